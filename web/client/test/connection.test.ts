import assert from 'node:assert/strict';
import {type TestContext, test} from 'node:test';
import type {AuthSource, Environment, Sync} from '../src/index.js';
import {replifire} from '../src/index.js';
import {FakeBrowser, FakeRep, type FakeTarget, settle} from './fakes.js';

const heartbeat = 20_000;

interface Tab {
  readonly rep: FakeRep;
  readonly sync: Sync;
  readonly window: FakeTarget;
  readonly document: FakeTarget;
}

interface TabOptions {
  readonly auth?: AuthSource;
  readonly user?: string;
  readonly space?: string;
  readonly without?: Partial<Environment>;
}

/** Opens a tab, and checks at the end of the test that it leaves nothing behind. */
function openTab(t: TestContext, browser: FakeBrowser, options: TabOptions = {}): Tab {
  const {environment, window, document} = browser.tab(options.without);
  const rep = new FakeRep(`c${Math.random()}`, options.user);
  const sync = replifire({
    server: 'https://example.test/',
    space: options.space ?? 's',
    auth: options.auth ?? 'abc',
    environment,
  });
  sync.connect(rep);
  t.after(async () => {
    await sync.close();
    assert.deepEqual([window.listeners, document.listeners], [0, 0], 'listeners left');
    assert.equal(rep.getAuth, null, 'getAuth left');
  });
  return {rep, sync, window, document};
}

function assertNothingLeft(browser: FakeBrowser): void {
  assert.equal(browser.clock.pending, 0, 'timers left');
  assert.deepEqual(browser.server.open, [], 'requests left');
  assert.deepEqual([browser.locks.held, browser.locks.waiting], [[], 0], 'locks left');
  assert.equal(browser.channels.open, 0, 'channels left');
}

const closeAll = (tabs: Tab[]) => Promise.all(tabs.map(tab => tab.sync.close()));

test('pulls when there is news, and only then', async t => {
  const browser = new FakeBrowser();
  const {rep, sync} = openTab(t, browser);
  await settle();
  assert.deepEqual(rep.pulls, [], 'Replicache itself pulls at its start');
  const {last} = browser.server;
  last.begin().poke(3);
  await settle();
  assert.equal(rep.pulls.length, 1);
  last.poke(3).poke(3);
  await settle();
  assert.equal(rep.pulls.length, 1, 'the same version');
  last.poke(4);
  await settle();
  assert.equal(rep.pulls.length, 2);
  last.poke(1);
  await settle();
  assert.equal(rep.pulls.length, 3, 'a server that was wiped');
  assert.deepEqual([sync.status, sync.version], ['live', 1]);
});

test('a connection anew with the same version is no news', async t => {
  const browser = new FakeBrowser();
  const {rep} = openTab(t, browser);
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  browser.server.last.end();
  await browser.clock.advance(1_000);
  browser.server.last.begin().poke(3);
  await settle();
  assert.equal(browser.server.exchanges.length, 2);
  assert.equal(rep.pulls.length, 1);
});

test('status and version reach the subscriber', async t => {
  const browser = new FakeBrowser();
  const {sync} = openTab(t, browser);
  const heard: unknown[] = [];
  const cancel = sync.subscribe((...now) => heard.push(now));
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  cancel();
  browser.server.last.poke(4);
  await settle();
  assert.deepEqual(heard, [
    ['live', undefined],
    ['live', 3],
  ]);
});

test('many tabs share one stream', async t => {
  const browser = new FakeBrowser();
  const tabs = Array.from({length: 5}, () => openTab(t, browser));
  await settle();
  assert.equal(browser.server.exchanges.length, 1);
  browser.server.last.begin().poke(3);
  await settle();
  for (const {rep, sync} of tabs) {
    assert.equal(rep.pulls.length, 1);
    assert.deepEqual([sync.status, sync.version], ['live', 3]);
  }
  const late = openTab(t, browser);
  await settle();
  assert.deepEqual([late.sync.status, late.sync.version], ['live', 3], 'it asks how it stands');
  assert.equal(browser.server.exchanges.length, 1);
  await closeAll([...tabs, late]);
  assertNothingLeft(browser);
});

for (const {name, options} of [
  {name: 'another space', options: {space: 'other'}},
  {name: "another user's tab", options: {user: 'bob'}},
]) {
  test(`${name} has its own stream and hears nothing of this one`, async t => {
    const browser = new FakeBrowser();
    openTab(t, browser);
    await settle();
    const first = browser.server.last;
    const other = openTab(t, browser, options);
    await settle();
    assert.equal(browser.server.open.length, 2);
    first.begin().poke(3);
    await settle();
    assert.equal(other.rep.pulls.length, 0);
    assert.equal(other.sync.version, undefined);
  });
}

test('a tab that closes hands over, without two streams at any time', async t => {
  const browser = new FakeBrowser();
  const [first, second] = [openTab(t, browser), openTab(t, browser)];
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  await first.sync.close();
  await settle();
  assert.equal(browser.server.exchanges.length, 2);
  assert.equal(browser.server.open.length, 1);
  browser.server.last.begin().poke(3);
  await settle();
  assert.equal(second.rep.pulls.length, 1, 'nothing was missed');
  browser.server.last.poke(4);
  await settle();
  assert.equal(second.rep.pulls.length, 2);
  assert.equal(first.rep.pulls.length, 1, 'the closed one hears nothing');
});

for (const [sleep, wake] of [
  ['pagehide', 'pageshow'],
  ['freeze', 'resume'],
] as const) {
  test(`a page hands over at ${sleep} and is back at ${wake}`, async t => {
    const browser = new FakeBrowser();
    const [first, second] = [openTab(t, browser), openTab(t, browser)];
    const fire = (type: string) => {
      first.window.fire(type);
      first.document.fire(type);
    };
    await settle();
    browser.server.last.begin().poke(3);
    await settle();
    fire(wake);
    await settle();
    assert.equal(browser.server.exchanges.length, 1, 'there was no rest');
    fire(sleep);
    await settle();
    assert.equal(browser.server.open.length, 1);
    browser.server.last.begin().poke(4);
    await settle();
    assert.equal(first.rep.pulls.length, 1, 'it rests');
    first.window.fire('online');
    await settle();
    fire(wake);
    await settle();
    assert.equal(first.rep.pulls.length, 2, 'it asks what it missed');
    browser.server.last.poke(5);
    await settle();
    assert.equal(first.rep.pulls.length, 3);
    await second.sync.close();
    await settle();
    assert.equal(browser.server.open.length, 1, 'it stands for election again');
    await closeAll([first, second]);
    assertNothingLeft(browser);
  });
}

for (const missing of ['locks', 'openChannel'] as const) {
  test(`without ${missing} each tab has its own stream`, async t => {
    const browser = new FakeBrowser();
    const without = {[missing]: undefined};
    const tabs = [openTab(t, browser, {without}), openTab(t, browser, {without})];
    await settle();
    assert.equal(browser.server.open.length, 2);
    browser.server.exchanges.forEach(exchange => exchange.begin().poke(3));
    await settle();
    assert.deepEqual(
      tabs.map(tab => tab.rep.pulls.length),
      [1, 1],
    );
    await closeAll(tabs);
    assertNothingLeft(browser);
  });
}

test('without a page or any storage it works too', async t => {
  const browser = new FakeBrowser();
  const without = {window: undefined, document: undefined, storage: undefined};
  const {rep} = openTab(t, browser, {without});
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  assert.equal(rep.pulls.length, 1);
});

for (const {name, fire} of [
  {name: 'the network comes back', fire: (tab: Tab) => tab.window.fire('online')},
  {name: 'somebody looks', fire: (tab: Tab) => tab.document.fire('visibilitychange')},
]) {
  for (const who of [0, 1]) {
    test(`resumes at once when ${name}, seen by tab ${who}`, async t => {
      const browser = new FakeBrowser();
      const tabs = [openTab(t, browser), openTab(t, browser)] as const;
      await settle();
      browser.server.last.fail();
      await settle();
      assert.deepEqual([tabs[0].sync.status, tabs[1].sync.status], ['offline', 'offline']);
      fire(tabs[who as 0 | 1]);
      await settle();
      assert.equal(browser.server.exchanges.length, 2);
      browser.server.last.begin();
      await settle();
      assert.deepEqual([tabs[0].sync.status, tabs[1].sync.status], ['live', 'live']);
    });
  }
}

test('a page that is hidden is no reason to hope', async t => {
  const browser = new FakeBrowser();
  const {document} = openTab(t, browser);
  await settle();
  browser.server.last.fail();
  await settle();
  document.visibilityState = 'hidden';
  document.fire('visibilitychange');
  await settle();
  assert.equal(browser.server.exchanges.length, 1);
});

test('the network that goes shows at once', async t => {
  const browser = new FakeBrowser();
  const {sync, window} = openTab(t, browser);
  await settle();
  browser.server.last.begin();
  await settle();
  browser.server.down = true;
  window.fire('offline');
  await settle();
  assert.equal(sync.status, 'offline');
});

test('back online, what is pending is sent at once', async t => {
  const browser = new FakeBrowser();
  const tabs = [openTab(t, browser), openTab(t, browser)];
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  assert.deepEqual(tabs[0]?.rep.pushes, [], 'Replicache itself pushes at its start');
  browser.server.last.fail();
  await browser.clock.advance(1_000);
  browser.server.last.fail();
  await browser.clock.advance(2_000);
  browser.server.last.begin().poke(3);
  await settle();
  for (const {rep} of tabs) {
    assert.deepEqual(rep.pushes, [true]);
    assert.equal(rep.pulls.length, 1, 'no news');
  }
});

/** A pull by the tab's puller, which the server answers so. */
async function pull(browser: FakeBrowser, tab: Tab, status: number): Promise<void> {
  const pulled = tab.sync.options.puller(
    {pullVersion: 1, schemaVersion: '', profileID: 'p', clientGroupID: 'g', cookie: null},
    `${tab.rep.clientID}-1-0`,
  );
  await settle();
  browser.server.last.answer(status, '{}');
  await pulled;
}

test('a pull that failed is made good as soon as the server is back', async t => {
  const browser = new FakeBrowser();
  const tabs = [openTab(t, browser), openTab(t, browser)] as const;
  await settle();
  const stream = browser.server.last;
  stream.begin().poke(3);
  await settle();
  await pull(browser, tabs[0], 503);
  await pull(browser, tabs[1], 200);
  stream.send(':\n\n');
  await settle();
  assert.equal(tabs[0].rep.pulls.length, 1, 'a heartbeat is not the server being back');
  stream.fail();
  await browser.clock.advance(1_000);
  browser.server.last.begin().poke(3);
  await settle();
  assert.deepEqual(tabs[0].rep.pulls, [false, true], 'at once, whatever pause is on');
  assert.deepEqual(tabs[1].rep.pulls, [false], 'this one has it');
});

test('a tab with a token that is refused makes room for one with a better token', async t => {
  const browser = new FakeBrowser();
  const stale = openTab(t, browser, {auth: 'stale'});
  await settle();
  browser.server.last.answer(401);
  await settle();
  assert.equal(stale.sync.status, 'unauthorised');
  const fresh = openTab(t, browser, {auth: 'fresh'});
  await settle();
  assert.equal(browser.server.last.headers.get('Authorization'), 'Bearer fresh');
  browser.server.last.begin().poke(3);
  await settle();
  assert.deepEqual([stale.sync.status, fresh.sync.status], ['live', 'live']);
  await browser.clock.advance(5_000);
  assert.equal(browser.server.open.length, 1);
  assert.equal(stale.rep.pulls.length, 1);
  await closeAll([stale, fresh]);
  assertNothingLeft(browser);
});

test('a single tab that is refused tries again, with pauses', async t => {
  const browser = new FakeBrowser();
  const {sync} = openTab(t, browser);
  const statuses = new Set<string>();
  for (let i = 0; i < 40; i++) {
    await settle();
    if (browser.server.open.length > 0) {
      browser.server.last.answer(401);
    }
    await browser.clock.advance(1_000);
    statuses.add(sync.status);
  }
  assert.deepEqual([...statuses], ['unauthorised']);
  const requests = browser.server.exchanges.length;
  assert.ok(requests >= 4 && requests <= 8, `${requests} requests in 40 s`);
  browser.server.last.answer(401);
});

test('a refused tab tries at once when there is hope', async t => {
  const browser = new FakeBrowser();
  const {window} = openTab(t, browser);
  await settle();
  browser.server.last.answer(401);
  await settle();
  window.fire('online');
  await settle();
  assert.equal(browser.server.exchanges.length, 2);
});

test('a holder that is suspended by the browser is overthrown by a tab in use', async t => {
  const browser = new FakeBrowser();
  let channel: BroadcastChannel | undefined;
  const openChannel = (name: string) => (channel = browser.channels.openChannel(name));
  const holder = openTab(t, browser, {without: {openChannel}});
  const other = openTab(t, browser);
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  assert.ok(channel);
  browser.channels.suspended.add(channel);
  await browser.clock.advance(2.5 * heartbeat + 5_000);
  assert.equal(browser.server.open.length, 1);
  assert.equal(browser.server.exchanges.length > 1, true);
  browser.server.last.begin().poke(4);
  await settle();
  assert.equal(other.rep.pulls.length, 2);
  browser.channels.suspended.clear();
  await closeAll([holder, other]);
  assertNothingLeft(browser);
});

test('a holder that answers is not overthrown', async t => {
  const browser = new FakeBrowser();
  openTab(t, browser);
  openTab(t, browser);
  await settle();
  browser.server.last.begin().poke(3);
  for (let i = 0; i < 20; i++) {
    await browser.clock.advance(heartbeat);
    browser.server.last.send(':\n\n');
    await settle();
  }
  assert.equal(browser.server.exchanges.length, 1);
});

test('after a sleep of the machine no holder is overthrown unasked', async t => {
  const browser = new FakeBrowser();
  const [, other] = [openTab(t, browser), openTab(t, browser)];
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  browser.clock.sleep(60 * 60_000);
  other.document.fire('visibilitychange');
  await settle();
  assert.equal(browser.server.exchanges.length, 2, 'the holder looks after its stream');
  browser.server.last.begin().poke(3);
  await settle();
  await browser.clock.advance(6_000);
  assert.equal(browser.server.exchanges.length, 2);
});

test('a Replicache that was closed ends it', async t => {
  const browser = new FakeBrowser();
  const {rep} = openTab(t, browser);
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  rep.closed = true;
  browser.server.last.poke(4);
  await settle();
  assert.equal(rep.pulls.length, 1);
  assertNothingLeft(browser);
});

test('a Replicache that was closed before it began ends it too', async () => {
  const browser = new FakeBrowser();
  const {environment} = browser.tab();
  const rep = new FakeRep('c');
  rep.closed = true;
  const sync = replifire({server: 'https://example.test', environment});
  sync.connect(rep);
  await settle();
  assertNothingLeft(browser);
  await sync.close();
});

test('closed, it says that it is offline, and nothing after that', async t => {
  const browser = new FakeBrowser();
  const {sync, rep} = openTab(t, browser);
  await settle();
  browser.server.last.begin().poke(3);
  await settle();
  const heard: string[] = [];
  sync.subscribe(status => heard.push(status));
  await Promise.all([sync.close(), sync.close()]);
  assert.deepEqual(heard, ['offline']);
  assert.equal(sync.status, 'offline');
  assertNothingLeft(browser);
  assert.equal(rep.pulls.length, 1);
});

test('closed at once, it leaves nothing', async t => {
  const browser = new FakeBrowser();
  const {sync} = openTab(t, browser);
  await sync.close();
  assertNothingLeft(browser);
});

test('one is for one instance, once', async t => {
  const browser = new FakeBrowser();
  const {sync} = openTab(t, browser);
  assert.throws(() => sync.connect(new FakeRep('d')), /once/);
  await sync.close();
  assert.throws(() => sync.connect(new FakeRep('d')), /once/);
});
