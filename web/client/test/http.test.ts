// With Node's own fetch, streams, timers and BroadcastChannel, over real sockets.

import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {type TestContext, test} from 'node:test';
import {type Environment, type ReplifireOptions, replifire} from '../src/index.js';
import {FakeLocks, FakeRep} from './fakes.js';
import {MockServer, until} from './server.js';

async function start(t: TestContext): Promise<MockServer> {
  const mock = await MockServer.start();
  t.after(() => mock.stop());
  return mock;
}

function connect(t: TestContext, mock: MockServer, options: ReplifireOptions = {}) {
  const rep = new FakeRep('c');
  const sync = replifire({server: mock.url, space: 'a b', auth: 'secret', ...options});
  t.after(sync.close);
  sync.connect(rep);
  return {rep, sync};
}

test('streams pokes, with the token in a header and never in the address', async t => {
  const mock = await start(t);
  const {rep, sync} = connect(t, mock);
  await until('the first poke', () => sync.version === 1);
  mock.commit();
  await until('the second poke', () => sync.version === 2);
  assert.equal(rep.pulls.length, 2);
  assert.deepEqual(mock.seen, [
    {path: '/api/replicache/poke?space=a%20b', authorization: 'Bearer secret'},
  ]);
});

test('connects again after a cut, and learns what it missed', async t => {
  const mock = await start(t);
  const {sync} = connect(t, mock);
  await until('the first poke', () => sync.version === 1);
  mock.version = 7;
  mock.cut();
  await until('the poke after the cut', () => sync.version === 7);
  assert.equal(sync.status, 'live');
});

test('a refused token is renewed', async t => {
  const mock = await start(t);
  mock.good = 't2';
  const forced: boolean[] = [];
  const {rep, sync} = connect(t, mock, {
    auth: force => {
      forced.push(force);
      return forced.includes(true) ? 't2' : 't1';
    },
  });
  await until('it is live', () => sync.status === 'live');
  assert.equal(forced.filter(force => force).length, 1);
  assert.equal(rep.auth, 'Bearer t2');
});

test('a silent connection is given up', async t => {
  const mock = await start(t);
  mock.silent = true;
  connect(t, mock, {heartbeat: 50});
  await until('a second connection', () => mock.seen.length >= 2);
});

test('tabs share a stream over real channels', async t => {
  const mock = await start(t);
  const environment: Partial<Environment> = {locks: new FakeLocks().locks};
  const tabs = Array.from({length: 4}, () => connect(t, mock, {environment}));
  await until('all have heard', () => tabs.every(({sync}) => sync.version === 1));
  assert.equal(mock.seen.length, 1);
  await tabs[0]?.sync.close();
  await until('another has taken over', () => mock.seen.length === 2);
  mock.commit();
  await until('the others have heard', () => tabs.slice(1).every(({sync}) => sync.version === 2));
  await until('one stream is left', () => mock.streams.size === 1);
});

test('a process in which it was closed comes to its end', async t => {
  const mock = await start(t);
  const child = `
    import {replifire} from ${JSON.stringify(new URL('../src/index.js', import.meta.url).href)};
    const rep = {name: 'n', clientID: 'c', closed: false, auth: '', getAuth: null,
      pull: async () => {}, push: async () => {}};
    const sync = replifire({server: process.argv[1], onRejected() {}});
    sync.connect(rep);
    const timer = setTimeout(() => process.exit(2), 120_000);
    sync.subscribe(async () => {
      if (sync.version === undefined || sync.status !== 'live') return;
      await sync.close();
      clearTimeout(timer);
      console.log('closed', process.getActiveResourcesInfo().filter(r => r === 'Timeout').length);
    });`;
  const done = await run(['--input-type=module', '-e', child, mock.url]);
  assert.deepEqual(done, {code: 0, out: 'closed 0\n'});
});

/** Not spawnSync, since the server of the test must answer meanwhile. */
async function run(args: string[]): Promise<{code: number | null; out: string}> {
  const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'inherit']});
  let out = '';
  child.stdout.on('data', piece => (out += piece));
  const code = await new Promise<number | null>(resolve => child.on('close', resolve));
  return {code, out};
}
