import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {PullRequest, PushRequest} from 'replicache';
import {type LossListener, type LostMutations, replifire} from '../src/index.js';
import {FakeBrowser, FakeRep, settle} from './fakes.js';

const notFound = {error: 'ClientStateNotFound'};
const notSupported = {error: 'VersionNotSupported', versionType: 'schema'};

function pushOf(clientGroupID: string, count: number): PushRequest {
  const mutations = Array.from({length: count}, (_, i) => ({
    id: i + 1,
    name: 'createMessage',
    args: null,
    timestamp: 1,
    clientID: 'c1',
  }));
  return {pushVersion: 1, schemaVersion: '', profileID: 'p', clientGroupID, mutations};
}

function pullOf(clientGroupID: string): PullRequest {
  return {pullVersion: 1, schemaVersion: '', profileID: 'p', clientGroupID, cookie: null};
}

const oldPush: PushRequest = {
  pushVersion: 0,
  schemaVersion: '',
  profileID: 'p',
  clientID: 'c0',
  mutations: [{id: 1, name: 'n', args: null, timestamp: 1}],
};

/** An instance with three pending mutations, and what the app is told. */
function make({connected = true, listener}: {connected?: boolean; listener?: LossListener} = {}) {
  const browser = new FakeBrowser();
  const {environment} = browser.tab();
  const told: LostMutations[] = [];
  const onMutationsLost = listener ?? (lost => void told.push(lost));
  const sync = replifire({environment, onMutationsLost});
  const rep = new FakeRep('c1');
  rep.mutations = [1, 2, 3];
  if (connected) {
    sync.connect(rep);
  }
  /** Sends the request and answers it; whether Replicache has the answer yet. */
  const ask = async (request: PullRequest | PushRequest, answer: unknown) => {
    const {pusher, puller} = sync.options;
    const asked = 'mutations' in request ? pusher(request, 'c1-0') : puller(request, 'c1-0');
    const state = {done: false};
    void asked.then(() => (state.done = true));
    await settle();
    browser.server.open.find(({method}) => method === 'POST')?.json(answer);
    await settle();
    return state;
  };
  return {browser, sync, rep, told, ask};
}

for (const {name, request, answer, want, connected} of [
  {name: 'a push of the own group', request: pushOf('g', 2), answer: notFound, want: [3]},
  {name: 'a pull of the own group', request: pullOf('g'), answer: notFound, want: [3]},
  {name: 'a push of what an earlier visit left', request: pushOf('old', 2), answer: notFound, want: [2]},
  {name: 'its schema version', request: pushOf('old', 2), answer: notSupported, want: [2]},
  {name: 'a pull after that push', request: pullOf('old'), answer: notFound, want: []},
  {name: 'a client of version 12', request: oldPush, answer: notFound, want: [1]},
  {name: 'the own schema version, by a push', request: pushOf('g', 3), answer: notSupported, want: []},
  {name: 'the own schema version, by a pull', request: pullOf('g'), answer: notSupported, want: []},
  {name: 'plain success', request: pushOf('g', 3), answer: {}, want: []},
  {name: 'a push, not connected', request: pushOf('g', 2), answer: notFound, want: [2], connected: false},
  {name: 'a pull, not connected', request: pullOf('g'), answer: notFound, want: [], connected: false},
  {name: 'a version, not connected', request: pushOf('g', 2), answer: notSupported, want: [], connected: false},
]) {
  const text = want.length > 0 ? `${want.join()} mutations are lost` : 'nothing is lost';
  test(`${name}: ${text}`, async t => {
    const {sync, told, ask} = make({connected: connected ?? true});
    t.after(sync.close);
    assert.equal((await ask(request, answer)).done, true);
    assert.deepEqual(told, want.map(mutations => ({mutations})));
  });
}

test('nothing is told if nothing is pending', async t => {
  const {sync, rep, told, ask} = make();
  t.after(sync.close);
  rep.mutations = [];
  await ask(pullOf('g'), notFound);
  assert.deepEqual(told, []);
});

test('a closed instance loses nothing: the next one sends it', async t => {
  const {sync, rep, told, ask} = make();
  t.after(sync.close);
  rep.closed = true;
  await ask(pushOf('g', 3), notFound);
  assert.deepEqual(told, []);
});

test('Replicache hears of it after the app, once, by pull and push', async t => {
  let calls = 0;
  let finish = () => {};
  const listener = () => {
    calls++;
    return new Promise<void>(resolve => (finish = resolve));
  };
  const {sync, ask} = make({listener});
  t.after(sync.close);
  const asked = [await ask(pushOf('g', 3), notFound), await ask(pullOf('g'), notFound)];
  assert.deepEqual(asked.map(({done}) => done), [false, false]);
  finish();
  await settle();
  assert.deepEqual(asked.map(({done}) => done), [true, true]);
  assert.equal(calls, 1);
});

test('an app that throws is reported, and Replicache goes on', async t => {
  const error = new Error('no dialog');
  const {browser, sync, ask} = make({
    listener: () => {
      throw error;
    },
  });
  t.after(sync.close);
  assert.equal((await ask(pushOf('g', 3), notFound)).done, true);
  assert.deepEqual(browser.reported, [error]);
});

test('without a listener there is a warning', async t => {
  const browser = new FakeBrowser();
  const sync = replifire({environment: browser.tab().environment});
  t.after(sync.close);
  const pushed = sync.options.pusher(pushOf('g', 2), 'c1-0');
  await settle();
  browser.server.last.json(notFound);
  await pushed;
  assert.deepEqual(browser.warnings, [
    'the server does not know the client group, so Replicache gives up its unsent mutations: 2',
  ]);
});
