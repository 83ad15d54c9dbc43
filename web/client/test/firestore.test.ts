import assert from 'node:assert/strict';
import {test} from 'node:test';
import {pokeFromFirestore, type SpaceSnapshot} from '../src/index.js';
import {FakeBrowser, FakeRep} from './fakes.js';

interface Doc {
  readonly path: string;
}

/** Firestore as the listener sees it. */
function fakeFirestore() {
  const listeners: {
    doc: Doc;
    next: (snapshot: SpaceSnapshot) => void;
    fail: (error: Error) => void;
    on: boolean;
  }[] = [];
  const onSnapshot = (
    doc: Doc,
    next: (snapshot: SpaceSnapshot) => void,
    fail: (error: Error) => void,
  ) => {
    const listener = {doc, next, fail, on: true};
    listeners.push(listener);
    return () => {
      listener.on = false;
    };
  };
  return {
    onSnapshot,
    listeners,
    version: (version: unknown) =>
      listeners.at(-1)?.next({
        exists: () => version !== undefined,
        get: field => (field === 'version' ? version : undefined),
      }),
    fail: () => listeners.at(-1)?.fail(new Error('permission-denied')),
  };
}

function begin(onError?: (error: Error) => void) {
  const browser = new FakeBrowser();
  const {environment} = browser.tab();
  const fake = fakeFirestore();
  const rep = new FakeRep('c');
  const doc: Doc = {path: 'spaces/s'};
  const {onSnapshot} = fake;
  const stop = pokeFromFirestore(rep, doc, {onSnapshot, onError, environment});
  return {browser, fake, rep, stop};
}

test('listens to the document it was given', () => {
  const {fake} = begin();
  assert.deepEqual(
    fake.listeners.map(listener => listener.doc.path),
    ['spaces/s'],
  );
});

test('pulls when there is news, and only then', () => {
  const {fake, rep} = begin();
  const steps: [version: unknown, pulls: number][] = [
    [3, 1],
    [3, 1],
    [4, 2],
    [1, 3],
    ['5', 3],
    [null, 3],
    [undefined, 4],
    [undefined, 4],
  ];
  for (const [version, pulls] of steps) {
    fake.version(version);
    assert.equal(rep.pulls.length, pulls, `after version ${version}`);
  }
});

test('begins again with growing pauses after an error, which it tells', async () => {
  const errors: string[] = [];
  const {browser, fake, rep} = begin(error => errors.push(error.message));
  fake.version(3);
  fake.fail();
  await browser.clock.advance(1_900);
  assert.equal(fake.listeners.length, 1);
  await browser.clock.advance(200);
  assert.equal(fake.listeners.length, 2);
  fake.fail();
  await browser.clock.advance(3_900);
  assert.equal(fake.listeners.length, 2);
  await browser.clock.advance(200);
  assert.equal(fake.listeners.length, 3);
  fake.version(3);
  assert.equal(rep.pulls.length, 1, 'no news');
  fake.fail();
  await browser.clock.advance(2_000);
  assert.equal(fake.listeners.length, 4, 'what worked begins with the first pause');
  assert.deepEqual(errors, Array(3).fill('permission-denied'));
});

test('an onError that throws is reported and stops nothing', async () => {
  const {browser, fake} = begin(() => {
    throw new Error('mine');
  });
  fake.fail();
  await browser.clock.advance(2_000);
  assert.equal(fake.listeners.length, 2);
  assert.equal(browser.reported.length, 1);
});

test('stopped, it hears nothing and leaves nothing', async () => {
  const {browser, fake, rep, stop} = begin();
  stop();
  stop();
  fake.version(3);
  fake.fail();
  assert.deepEqual([rep.pulls.length, browser.clock.pending], [0, 0]);
  assert.equal(fake.listeners[0]?.on, false);
});

test('stopped in a pause, it leaves no timer', async () => {
  const {browser, fake, stop} = begin();
  fake.fail();
  stop();
  assert.equal(browser.clock.pending, 0);
  await browser.clock.advance(60_000);
  assert.equal(fake.listeners.length, 1);
});

test('a Replicache that was closed ends it', async () => {
  const {fake, rep} = begin();
  rep.closed = true;
  fake.version(3);
  await Promise.resolve();
  assert.deepEqual([rep.pulls.length, fake.listeners[0]?.on], [0, false]);
});
