// The page itself: for everybody, with a long history, and as a picture.

import assert from 'node:assert/strict';
import {mkdirSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';
import {push} from '../../replicache/lib/http.js';
import {until} from '../../replicache/lib/wait.js';
import {scene} from '../lib/stage.js';

/**
 * @typedef {import('../lib/chat.js').Chat} Chat
 * @typedef {import('../lib/stage.js').Stage} Stage
 */

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const pictures = fileURLToPath(new URL('../../../docs/screenshots/', import.meta.url));
const phone = {viewport: {width: 390, height: 780}, hasTouch: true, isMobile: true};

const conversation = /** @type {const} */ ([
  ['ann', 'Who brings the tent on Saturday?'],
  ['bob', 'I do. It holds four, if nobody snores.'],
  ['bob', 'The forecast says rain from 6 pm, so we should be up there before.'],
  ['cal', 'Then I take the early train: 9:12, platform 3.'],
  ['ann', 'Perfect. I bring the stove and far too much coffee ☕'],
  ['cal', 'There is no signal behind the second tunnel. I will write anyway.'],
]);

scene('no serious finding of axe, in all its states', async stage => {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const tab = await stage.tab(await stage.browser({colorScheme}));
    await accessible(tab, `the sign-in, ${colorScheme}`);
    await tab.signIn('cal');
    await tab.settled();
    await accessible(tab, `the room, ${colorScheme}`);
    await converse(stage, colorScheme);
    await tab.message('Who brings the tent on Saturday?').first().waitFor();
    await tab.switch.click();
    await tab.send(`written offline, ${colorScheme}`);
    await tab.message(`written offline, ${colorScheme}`).getByText('not sent yet').waitFor();
    await accessible(tab, `messages, offline, ${colorScheme}`);
    await tab.message(`written offline, ${colorScheme}`).hover();
    await tab.page.getByRole('button', {name: 'Edit: written'}).click();
    await accessible(tab, `editing, ${colorScheme}`);
    await tab.page.keyboard.press('Escape');
    await tab.page.getByRole('button', {name: 'Delete: written'}).click();
    await accessible(tab, `a notice, ${colorScheme}`);
    await tab.switch.click();
    await tab.settled();
  }
});

scene('the keyboard reaches everything, in order', async stage => {
  const tab = await stage.enter('ann');
  await tab.send('mine');
  await tab.settled();
  await tab.composer.press('Enter'); // nothing written: nothing sent
  assert.equal(await tab.fact('messages'), 1, 'messages');
  await tab.page.reload();
  await tab.composer.waitFor();
  await tab.message('mine').waitFor();
  await tab.page.evaluate(() => {
    /** @type {HTMLElement} */ (document.activeElement).blur();
    document.body.tabIndex = -1;
    document.body.focus();
  });
  const reached = [];
  for (let i = 0; i < 8; i++) {
    await tab.page.keyboard.press('Tab');
    reached.push(await focused(tab));
  }
  assert.deepEqual(reached, [
    'Skip to the message field',
    'Leave',
    'Go offline',
    'Messages',
    'Edit: mine',
    'Delete: mine',
    'composer',
    'Send',
  ]);
});

scene('a history of 5,000 messages stays usable', async stage => {
  const start = Date.now();
  await writeHistory(stage, 5000);
  stage.world.say(`5,000 messages pushed in ${Date.now() - start} ms`);
  const browser = await stage.browser();
  await browser.addInitScript(() => {
    if (location.protocol === 'http:') {
      localStorage.setItem('replifire-chat:name', 'ann');
    }
  });
  const tab = await stage.tab(browser);
  await measureView(stage, tab, 'first visit');
  const {page} = tab;
  await tab.settled();
  await page.waitForTimeout(3000); // Replicache persists when it is idle
  await page.reload();
  await measureView(stage, tab, 'second visit');

  const [sent, shown] = await page.evaluate(async () => {
    const field = /** @type {HTMLTextAreaElement} */ (document.querySelector('#composer'));
    field.value = 'one more';
    field.dispatchEvent(new InputEvent('input', {bubbles: true}));
    await new Promise(requestAnimationFrame);
    const sent = performance.now();
    field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
    const last = () => [...document.querySelectorAll('.bubble')].at(-1)?.textContent;
    while (last() !== 'one more') {
      await new Promise(requestAnimationFrame);
    }
    return [sent, performance.now()];
  });
  stage.world.say(`a message is drawn ${Math.round(shown - sent)} ms after Enter`);
  await tab.settled();

  const before = Date.now();
  const list = page.getByRole('region', {name: 'Messages'});
  await list.focus();
  await until('the oldest message is drawn', async () => {
    await page.keyboard.press('Home');
    return (await page.locator('.bubble').first().innerText()) === 'message 1';
  });
  stage.world.say(`the whole history was drawn, page by page, in ${Date.now() - before} ms`);
  assert.equal((await tab.texts()).length, 5001, 'messages that are drawn');
});

scene('pictures', async stage => {
  await converse(stage);
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const cal = await stage.enter('cal', {colorScheme});
    await cal.message(conversation[5][1]).waitFor();
    await cal.settled();
    await cal.waitStatus('Live');
    await picture(cal, colorScheme);
  }
  const ann = await stage.enter('ann', {...phone, colorScheme: 'light'});
  await ann.message(conversation[5][1]).waitFor();
  await ann.waitStatus('Live');
  await picture(ann, 'phone');

  const cal = await stage.enter('cal', {colorScheme: 'light'});
  await cal.message(conversation[5][1]).waitFor();
  await cal.switch.click();
  await cal.send('In the tunnel now, and still writing.');
  await cal.send('You get this on the other side.');
  await until('both are pending', async () => (await cal.fact('pending')) === 2);
  await cal.waitStatus('Offline');
  await picture(cal, 'offline');
});

/**
 * Writes a conversation, by hand and in order.
 * @param {Stage} stage
 * @param {string} [run] to tell one conversation from another
 */
async function converse(stage, run = '') {
  await write(
    stage,
    `conversation${run}`,
    conversation.map(([from, content], i) => ({id: `c${run}${i}`, from, content, order: i + 1})),
  );
}

/**
 * @param {Stage} stage
 * @param {number} count
 */
async function writeHistory(stage, count) {
  const all = Array.from({length: count}, (_, i) => ({
    id: `h${i}`,
    from: ['ann', 'bob', 'cal'][Math.floor(i / 3) % 3],
    content: `message ${i + 1}`,
    order: i + 1,
  }));
  await write(stage, 'history', all);
}

/**
 * @param {Stage} stage
 * @param {string} client
 * @param {{id: string}[]} messages
 */
async function write({server, world}, client, messages) {
  const most = 250; // in one push
  for (let at = 0; at < messages.length; at += most) {
    const mutations = messages
      .slice(at, at + most)
      .map((args, i) => ({id: at + i + 1, name: 'createMessage', args}));
    const from = {clientGroupID: `group-${client}`, clientID: `client-${client}`};
    const {status, text} = await push(server.url, world.space, from, mutations);
    assert.equal(status, 200, text);
  }
}

/**
 * Says when the page painted first, and when all was there and the newest message
 * in view.
 * @param {Stage} stage
 * @param {Chat} tab
 * @param {string} visit
 */
async function measureView({world}, {page}, visit) {
  const full = await page.waitForFunction(
    () => {
      const count = document.querySelector('[data-fact=messages]')?.textContent;
      const last = [...document.querySelectorAll('.bubble')].at(-1);
      const bottom = last?.getBoundingClientRect().bottom ?? Infinity;
      const drawn = count === '5,000' && last?.textContent === 'message 5000';
      return drawn && bottom < innerHeight && Math.round(performance.now());
    },
    undefined,
    {polling: 'raf'},
  );
  const paint = await page.evaluate(() =>
    Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN),
  );
  assert.ok(paint > 0, 'the page has painted');
  world.say(`${visit}: first paint ${paint} ms, full view ${await full.jsonValue()} ms`);
}

/**
 * @param {Chat} tab
 * @param {string} state
 */
async function accessible({page}, state) {
  // Not through a script element: the page's policy forbids what is not its own.
  const {readFileSync} = await import('node:fs');
  await page.evaluate(readFileSync(axe, 'utf8'));
  const found = await page.evaluate(async () => {
    const {violations} = await /** @type {any} */ (window).axe.run();
    return violations.map(
      (/** @type {any} */ v) =>
        `${v.impact}: ${v.id}: ${v.help}: ${v.nodes.map((/** @type {any} */ n) => n.html)}`,
    );
  });
  assert.deepEqual(found, [], state);
}

/** @param {Chat} tab */
function focused({page}) {
  return page.evaluate(() => {
    const {activeElement: e} = document;
    return e?.getAttribute('aria-label') || e?.textContent || e?.id;
  });
}

/**
 * Pictures for the documentation change with every run: they are kept only when
 * that is asked for.
 * @param {Chat} tab
 * @param {string} name
 */
async function picture({page}, name) {
  const image = await page.screenshot({animations: 'disabled', caret: 'hide'});
  assert.ok(image.length > 5000, `the picture ${name} shows something`);
  if (process.env.REPLIFIRE_SCREENSHOTS) {
    mkdirSync(pictures, {recursive: true});
    writeFileSync(`${pictures}${name}.png`, image);
  }
}
