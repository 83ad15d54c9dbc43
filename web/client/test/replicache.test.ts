// With the real Replicache: against a server that refuses tokens, and against
// `replifire serve`.

import assert from 'node:assert/strict';
import {type TestContext, test} from 'node:test';
import {countedFetch, openChat, Serve} from './chat.js';
import type {Clock} from '../src/environment.js';
import {grace} from '../src/ledger.js';
import {FakeLocks, FakeStorage} from './fakes.js';
import {MockServer, until} from './server.js';

test('a token that is refused: one refresh, and everything goes on', async t => {
  const mock = await MockServer.start();
  t.after(() => mock.stop());
  mock.good = 't2';
  const forced: boolean[] = [];
  const {rep, sync, write} = openChat(t, 'refreshed', {
    server: mock.url,
    auth: force => {
      forced.push(force);
      return forced.includes(true) ? 't2' : 't1';
    },
  });
  await write('1', 'a');
  await until('it is live', () => sync.status === 'live');
  const good = (route: string) =>
    mock.requests(route).some(({authorization}) => authorization === 'Bearer t2');
  await until('all have the good token', () => ['push', 'pull', 'poke'].every(good));
  assert.equal(rep.auth, 'Bearer t2');
  assert.equal(forced.filter(force => force).length, 1);
});

test('tokens that are refused for good make no storm', async t => {
  const mock = await MockServer.start();
  t.after(() => mock.stop());
  mock.good = 'none';
  const forced: boolean[] = [];
  const {sync, write} = openChat(t, 'refused', {
    server: mock.url,
    auth: force => {
      forced.push(force);
      return `t${forced.length}`;
    },
  });
  await write('1', 'a');
  await until('several rounds', () => mock.requests('pull').length >= 6);
  assert.equal(sync.status, 'unauthorised');
  assert.ok(forced.filter(force => force).length <= 1);
  // Replicache alone asks eight times in each round.
  assert.ok(mock.seen.length <= 60, `${mock.seen.length} requests`);
});

for (const {name, asked} of [
  {name: 'a push', asked: 'mutations'},
  {name: 'a pull', asked: 'cookie'},
]) {
  test(`what is lost is told before Replicache gives up: ${name}`, async t => {
    const mock = await MockServer.start();
    t.after(() => mock.stop());
    const events: string[] = [];
    const {rep, sync, write} = openChat(t, `lost by ${name}`, {
      server: mock.url,
      onMutationsLost: async ({mutations}) => {
        await new Promise(resolve => setTimeout(resolve, 50)); // a dialog, say
        events.push(`${mutations} lost`);
      },
    });
    rep.onClientStateNotFound = () => events.push('reload');
    await write('1', 'a');
    await write('2', 'b');
    await write('3', 'c');
    await until('it is live', () => sync.status === 'live');
    mock.errorFor = body => (asked in body ? {error: 'ClientStateNotFound'} : undefined);
    rep.push({now: true}).catch(() => {});
    mock.commit();
    await until('it is over', () => events.includes('reload'));
    assert.deepEqual(events, ['3 lost', 'reload']);
  });
}

test('what an earlier version of the app has left, and is lost, is told', async t => {
  const mock = await MockServer.start();
  t.after(() => mock.stop());
  mock.errorFor = ({schemaVersion}) =>
    schemaVersion === '1' ? {error: 'VersionNotSupported'} : undefined;
  const told: number[] = [];
  const options = {
    server: mock.url,
    onMutationsLost: ({mutations}: {mutations: number}) => void told.push(mutations),
  };
  const old = openChat(t, 'updated', options, {schemaVersion: '1'});
  old.rep.onUpdateNeeded = () => {};
  await old.write('1', 'a');
  await old.write('2', 'b');
  // The local store has it as soon as another tab sees it.
  const twin = openChat(t, 'updated', options, {schemaVersion: '1'});
  twin.rep.onUpdateNeeded = () => {};
  await until('it is in the local store', () => twin.contents() === 'a, b');
  await twin.close();
  await old.close();
  assert.deepEqual(told, [], 'the next version may send it');
  openChat(t, 'updated', options, {schemaVersion: '2'});
  await until('it is told', () => told.length > 0);
  assert.deepEqual(told, [2]);
});

const binary = process.env['REPLIFIRE_BIN'];
const serverTest = {
  skip: binary ? false : 'REPLIFIRE_BIN is unset: it names the program to test against',
};

async function serve(t: TestContext): Promise<Serve> {
  const server = new Serve(binary ?? '');
  await server.start();
  t.after(() => server.kill());
  return server;
}

test('what one user writes, the other sees', serverTest, async t => {
  const server = await serve(t);
  const [ada, bob] = ['ada', 'bob'].map(name => openChat(t, name, {server: server.url}));
  assert.ok(ada && bob);
  await until('both are live', () => [ada, bob].every(({sync}) => sync.status === 'live'));
  await ada.write('1', 'hello');
  await until("bob sees ada's", () => bob.contents() === 'hello');
  await bob.write('2', 'world');
  await until("ada sees bob's", () => ada.contents() === 'hello, world');
  await until('everything is acknowledged', ada.settled);
});

test('a rejection is told once, in the tab that made the mutation', serverTest, async t => {
  const server = await serve(t);
  const storage = new FakeStorage();
  const {locks} = new FakeLocks();
  const {urls, environment} = countedFetch();
  // Other tabs wait for the one whose mutation it was until the test ends their patience:
  // a busy machine may take longer than they would.
  const patience: (() => void)[] = [];
  let refusing = false;
  const clock: Clock = {
    now: () => Date.now(),
    after: (ms, run) => {
      const held = refusing && ms === grace;
      if (held) {
        patience.push(run);
      }
      const timer = setTimeout(run, held ? 100 * grace : ms);
      return () => clearTimeout(timer);
    },
  };
  const tabs = Array.from({length: 3}, () =>
    openChat(t, 'ada', {server: server.url, environment: {...environment, clock, storage, locks}}),
  );
  const [first, second] = tabs;
  assert.ok(first && second);
  await first.write('1', 'first');
  await until('all see it', () => tabs.every(tab => tab.contents() === 'first'));
  refusing = true;
  const mutation = await second.write('1', 'second').then(() => second.rep.clientID);
  assert.ok(mutation);
  await until('it is refused', () => second.refused.length > 0);
  await until('its effect is gone', () => tabs.every(tab => tab.contents() === 'first'));
  await until('the others have heard', () => patience.length >= 2);
  patience.forEach(run => run());
  await new Promise(resolve => setImmediate(resolve)); // they have looked whether it was told
  assert.deepEqual(
    tabs.map(tab => tab.refused),
    [[], ['mine createMessage 1: a message with this id exists'], []],
  );
  const streams = urls.filter(url => url.includes('/poke?'));
  assert.equal(streams.length, 1, 'three tabs share one stream');
});

test('a server that dies and comes back empty: everything heals by itself', serverTest, async t => {
  const server = await serve(t);
  const [ada, bob] = ['ada2', 'bob2'].map(name => openChat(t, name, {server: server.url}));
  assert.ok(ada && bob);
  await ada.write('1', 'one');
  await until('bob sees it', () => bob.contents() === 'one');
  // What is pending would be sent to the new server, rightly.
  await until('it is acknowledged', ada.settled);
  let startsAfresh = false; // as her page does, by reloading
  ada.rep.onClientStateNotFound = () => {
    startsAfresh = true;
  };
  await server.kill();
  await until('both know', () => [ada, bob].every(({sync}) => sync.status === 'offline'));
  await server.start();
  await until('both are live', () => [ada, bob].every(({sync}) => sync.status === 'live'));
  await until('who only reads sees the empty space', () => bob.contents() === '');
  await until('who has written is told to start afresh', () => startsAfresh);
  assert.deepEqual(ada.statuses, ['live', 'connecting', 'offline', 'live']);
});

test('a server that comes back empty: what was unsent is told before the reload', serverTest, async t => {
  const server = await serve(t);
  const events: string[] = [];
  const {rep, sync, write, settled} = openChat(t, 'ada3', {
    server: server.url,
    onMutationsLost: ({mutations}) => void events.push(`${mutations} lost`),
  });
  rep.onClientStateNotFound = () => events.push('reload');
  await write('1', 'one');
  await until('it is acknowledged', settled);
  await server.kill();
  await until('she knows', () => sync.status === 'offline');
  await write('2', 'two');
  await write('3', 'three');
  await server.start();
  await until('it is over', () => events.includes('reload'));
  assert.deepEqual(events.slice(0, 2), ['2 lost', 'reload']);
});
