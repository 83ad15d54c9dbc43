// What people do with the page, two and more at a time.

import assert from 'node:assert/strict';
import {until} from '../../replicache/lib/wait.js';
import {agreed} from '../lib/chat.js';
import {scene} from '../lib/stage.js';

scene('two browsers chat, edit and delete', async stage => {
  const ann = await stage.enter('ann');
  const bob = await stage.enter('bob');
  await ann.send('lunch?');
  await bob.waitTexts(['lunch?']);
  await bob.send('tacos?');
  await bob.send('or pizza?');
  await ann.waitTexts(['lunch?', 'tacos?', 'or pizza?']);
  await until('a screen reader is told', async () => {
    const said = await ann.page.getByTestId('announcer').innerText();
    return said.includes('pizza') || said;
  });
  assert.equal(
    await ann.message('tacos?').getByRole('button').count(),
    0,
    "the buttons at somebody else's message",
  );

  await bob.message('tacos?').getByRole('button', {name: 'Edit'}).focus();
  await bob.page.keyboard.press('Enter');
  await bob.page.getByRole('textbox', {name: 'Edit the message'}).fill('burgers?');
  await bob.page.keyboard.press('Enter');
  await bob.message('or pizza?').hover();
  await bob.message('or pizza?').getByRole('button', {name: 'Delete'}).click();
  await ann.waitTexts(['lunch?', 'burgers?']);
  await bob.notices.getByRole('button', {name: 'Undo'}).click();
  await ann.waitTexts(['lunch?', 'burgers?', 'or pizza?']);
  await agreed(ann, bob);
  assert.equal(await ann.fact('version'), await bob.fact('version'), 'the versions');
  assert.deepEqual(await ann.page.locator('.group h2').allInnerTexts(), ['You', 'bob'], 'groups');
});

scene('two tabs share one poke stream', async stage => {
  const browser = await stage.browser();
  /** @type {string[]} */
  const streams = [];
  browser.on('request', request => {
    if (request.url().includes('/api/replicache/poke')) {
      streams.push(request.url());
    }
  });
  const first = await stage.tab(browser);
  await first.signIn('ann');
  await first.waitStatus('Live');
  const second = await stage.tab(browser);
  await second.waitStatus('Live');
  const bob = await stage.enter('bob');
  await bob.send('hello, both of you');
  await first.waitTexts(['hello, both of you']);
  await second.waitTexts(['hello, both of you']);
  assert.equal(streams.length, 1, 'poke streams of one browser');

  await first.page.close();
  await second.waitStatus('Live');
  await bob.send('and now?');
  await second.waitTexts(['hello, both of you', 'and now?']);
  assert.equal(streams.length, 2, 'poke streams after the tab that held the first was closed');
});

scene('a rejected message disappears, with a notice', async stage => {
  const ann = await stage.enter('ann');
  const bob = await stage.enter('bob');
  await ann.waitStatus('Live');
  await ann.switch.click();
  const novel = 'All work and no play. '.repeat(50_000); // 1.1 MB, more than the server takes
  await ann.send(novel);
  await ann.send('a short one');
  await until('both are shown and pending', async () => (await ann.fact('pending')) === 2);
  await ann.switch.click();
  await ann.notices.getByText('value is larger than').waitFor();
  await ann.waitTexts(['a short one']);
  await bob.waitTexts(['a short one']);
  await agreed(ann, bob);
  await ann.notices.getByRole('button', {name: 'Take the text back'}).click();
  assert.equal(await ann.composer.inputValue(), novel.trim(), 'the text in the message field');
  assert.equal(await ann.notices.getByText('refused').count(), 0, 'notices after that');
  assert.equal(await bob.notices.getByText('refused').count(), 0, "notices on bob's page");
});

scene('a change of a message that is gone is refused, with a notice', async stage => {
  const here = await stage.enter('ann');
  const there = await stage.enter('ann');
  await here.send('which one?');
  await there.waitTexts(['which one?']);
  await there.switch.click();
  await there.waitStatus('Offline');
  await here.message('which one?').getByRole('button', {name: 'Delete'}).focus();
  await here.page.keyboard.press('Enter');
  await here.settled();
  await there.message('which one?').getByRole('button', {name: 'Edit'}).focus();
  await there.page.keyboard.press('Enter');
  await there.page.keyboard.type(' This one');
  await there.page.keyboard.press('Enter');
  await there.waitTexts(['which one? This one']);
  await there.switch.click();
  await there.notices.getByText('Your change was refused: no such message').waitFor();
  await agreed(here, there);
  assert.deepEqual(await there.texts(), [], 'messages');
});
