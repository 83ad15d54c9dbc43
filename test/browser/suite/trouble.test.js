// What goes wrong, and that it heals without anybody's help.

import assert from 'node:assert/strict';
import {wipe} from '../../replicache/lib/emulator.js';
import {setup} from '../../replicache/lib/server.js';
import {until} from '../../replicache/lib/wait.js';
import {agreed} from '../lib/chat.js';
import {scene} from '../lib/stage.js';

const twenty = Array.from({length: 20}, (_, i) => `offline message ${i + 1}`);

scene('20 messages written offline survive a reload and arrive', async stage => {
  const ann = await stage.enter('ann');
  const bob = await stage.enter('bob');
  await ann.send('going into the tunnel');
  await bob.waitTexts(['going into the tunnel']);
  await ann.settled();
  await ann.switch.click();
  await ann.waitStatus('Offline');
  /** @type {string[]} */
  const traffic = [];
  ann.page.on('request', request => {
    if (request.url().includes('/api/')) {
      traffic.push(request.url());
    }
  });
  for (const text of twenty) {
    await ann.send(text);
  }
  await bob.send('are you there?');
  await bob.settled();
  await until('all are shown and pending', async () => (await ann.fact('pending')) === 20);
  assert.equal(await ann.page.locator('.mark').count(), 20, 'messages marked as not sent');
  await persisted(ann);

  await ann.page.reload();
  await until('the reloaded page has them', async () => (await ann.fact('pending')) === 20);
  await ann.waitTexts(['going into the tunnel', ...twenty]);
  await ann.waitStatus('Offline');
  assert.deepEqual(traffic, [], 'requests to the server while offline');

  await ann.switch.click();
  await ann.waitStatus('Live');
  const texts = await agreed(ann, bob);
  assert.deepEqual([...texts].sort(), ['going into the tunnel', 'are you there?', ...twenty].sort());
  assert.deepEqual(
    texts.filter(text => text.startsWith('offline')),
    twenty,
    'their order',
  );
});

scene('the server is killed under both, and started again', async stage => {
  const ann = await stage.enter('ann');
  const bob = await stage.enter('bob');
  await ann.send('before');
  await bob.waitTexts(['before']);
  await stage.server.kill();
  await ann.waitStatus('Offline');
  await bob.waitStatus('Offline');
  await ann.send('from ann, meanwhile');
  await bob.send('from bob, meanwhile');
  await ann.waitTexts(['before', 'from ann, meanwhile']);
  await stage.server.start();
  const texts = await agreed(ann, bob);
  assert.deepEqual(texts.sort(), ['before', 'from ann, meanwhile', 'from bob, meanwhile']);
  await ann.waitStatus('Live');
  await bob.waitStatus('Live');
});

scene('the emulator is wiped under both', async stage => {
  // It is Replicache that says so. The page then loads itself anew, and what was
  // pending is made anew too.
  stage.expect(/Client state not found on server/);
  const ann = await stage.enter('ann');
  const bob = await stage.enter('bob');
  await ann.send('of the old world');
  await bob.waitTexts(['of the old world']);
  await agreed(ann, bob);
  await wipe(setup.emulator, stage.world.project);
  const cal = await stage.enter('cal');
  await cal.send('of the new world');
  await ann.waitTexts(['of the new world']);
  await bob.waitTexts(['of the new world']);
  await ann.send('ann again');
  await bob.waitTexts(['of the new world', 'ann again']);
  await bob.send('and bob');
  await ann.waitTexts(['of the new world', 'ann again', 'and bob']);
  await agreed(ann, bob, cal);
});

/**
 * Waits until the local store has what the page shows: another tab of the same
 * browser reads nothing else.
 * @param {import('../lib/chat.js').Chat} chat
 */
async function persisted(chat) {
  const pending = await chat.fact('pending');
  const page = await chat.page.context().newPage();
  await page.goto(chat.page.url());
  const fact = page.locator('[data-fact=pending]');
  await until('another tab shows as many pending', async () => {
    const seen = Number(await fact.innerText());
    return seen === pending || `it shows ${seen} of ${pending}`;
  });
  await page.close();
}
