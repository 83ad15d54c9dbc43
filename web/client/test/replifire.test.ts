import assert from 'node:assert/strict';
import {test} from 'node:test';
import {type Rejection, replifire, type ReplifireOptions} from '../src/index.js';
import {FakeBrowser, settle} from './fakes.js';

for (const {name, options, want} of [
  {
    name: 'a server and a space',
    options: {server: 'https://x.test', space: 'garden'},
    want: 'https://x.test/api/replicache/pull?space=garden',
  },
  {
    name: 'a path and a slash at its end',
    options: {server: 'https://x.test/sync/', space: 'garden'},
    want: 'https://x.test/sync/api/replicache/pull?space=garden',
  },
  {
    name: "the page's own origin and the default space",
    options: {},
    want: '/api/replicache/pull?space=default',
  },
  {
    name: 'a space with letters that mean something in an address',
    options: {space: 'a/b&c=d e#ü'},
    want: '/api/replicache/pull?space=a%2Fb%26c%3Dd%20e%23%C3%BC',
  },
] satisfies {name: string; options: ReplifireOptions; want: string}[]) {
  test(`addresses of ${name}`, () => {
    const {pullURL, pushURL} = replifire(options).options;
    assert.equal(pullURL, want);
    assert.equal(pushURL, want.replace('/pull', '/push'));
  });
}

for (const server of ['https://x.test?key=1', 'https://x.test/#a']) {
  test(`the server cannot be ${server}`, () => {
    assert.throws(() => replifire({server}), TypeError);
  });
}

test('a fixed token is there from the beginning', () => {
  assert.equal(replifire({auth: 'abc'}).options.auth, 'Bearer abc');
  assert.equal(replifire({auth: () => 'abc'}).options.auth, '');
});

test('rejections of pulls are told once; a client knows its own', async () => {
  const browser = new FakeBrowser();
  const {environment} = browser.tab();
  const told: [string, Rejection][] = [];
  const sync = replifire({environment, onRejected: (...args) => told.push(args)});
  const mine: Rejection = {id: 4, name: 'createMessage', reason: 'exists'};
  const others: Rejection = {id: 9, name: 'deleteMessage', reason: 'not yours'};
  for (let i = 0; i < 2; i++) {
    const pulled = sync.options.puller(
      {pullVersion: 1, schemaVersion: '', profileID: 'p', clientGroupID: 'g', cookie: null},
      'c1-1a2b-0',
    );
    await settle();
    browser.server.last.json({
      cookie: 1,
      lastMutationIDChanges: {},
      patch: [],
      rejections: {c1: [mine], c12: [others]},
    });
    await pulled;
    await settle();
  }
  assert.deepEqual(told, [['c1', mine]]);
  await browser.clock.advance(1_000);
  assert.deepEqual(told, [
    ['c1', mine],
    ['c12', others],
  ]);
  await sync.close();
  assert.equal(browser.clock.pending, 0);
});
