import assert from 'node:assert/strict';
import {test} from 'node:test';
import {grace, maxTold, RejectionLedger} from '../src/ledger.js';
import type {Environment} from '../src/index.js';
import {FakeBrowser, settle} from './fakes.js';

const rejection = (id: number) => ({id, name: 'createMessage', reason: 'exists'});
const of = (clientID: string, id: number) => ({clientID, rejection: rejection(id)});

/** A tab whose client has this id, and what it told. */
function tab(browser: FakeBrowser, clientID: string, without: Partial<Environment> = {}) {
  const told: string[] = [];
  const {environment} = browser.tab(without);
  const ledger = new RejectionLedger(
    'space',
    (client, {id, name, reason}) => told.push(`${client}:${id} ${name} ${reason}`),
    environment,
  );
  const add = (...list: {clientID: string; rejection: ReturnType<typeof rejection>}[]) =>
    ledger.add(list, id => id === clientID);
  return {told, ledger, add};
}

test('tells at once of its own', async () => {
  const a = tab(new FakeBrowser(), 'a');
  a.add(of('a', 1), of('a', 2));
  await settle();
  assert.deepEqual(a.told, ['a:1 createMessage exists', 'a:2 createMessage exists']);
});

test('tells once, however many pulls bring it', async () => {
  const a = tab(new FakeBrowser(), 'a');
  a.add(of('a', 1));
  a.add(of('a', 1));
  await settle();
  a.add(of('a', 1), of('a', 2));
  await settle();
  assert.equal(a.told.length, 2);
});

test('another tab leaves it to the one whose mutation it was', async () => {
  const browser = new FakeBrowser();
  const a = tab(browser, 'a');
  const b = tab(browser, 'b');
  b.add(of('a', 1));
  await settle();
  assert.deepEqual(b.told, []);
  a.add(of('a', 1));
  await browser.clock.advance(grace);
  assert.equal(a.told.length, 1);
  assert.deepEqual(b.told, []);
});

test('if that one is gone, one of the others tells', async () => {
  const browser = new FakeBrowser();
  const others = ['b', 'c', 'd'].map(id => tab(browser, id));
  others.forEach(other => other.add(of('a', 1)));
  await browser.clock.advance(grace);
  assert.equal(others.flatMap(other => other.told).length, 1);
});

test('a reload does not bring it back', async () => {
  const browser = new FakeBrowser();
  const before = tab(browser, 'a');
  before.add(of('a', 1));
  await settle();
  before.ledger.close();
  const after = tab(browser, 'a2');
  after.add(of('a', 1));
  await browser.clock.advance(grace);
  assert.deepEqual(after.told, []);
});

test('the same number of another client is another rejection', async () => {
  const browser = new FakeBrowser();
  const a = tab(browser, 'a');
  a.add(of('a', 1), of('b', 1));
  await browser.clock.advance(grace);
  assert.equal(a.told.length, 2);
});

test('what is remembered is bounded, the oldest goes first', async () => {
  const browser = new FakeBrowser();
  const a = tab(browser, 'a', {locks: undefined});
  for (let id = 1; id <= maxTold + 5; id++) {
    a.add(of('a', id));
  }
  await settle();
  await settle();
  assert.equal(a.told.length, maxTold + 5);
  const kept: unknown = JSON.parse(browser.storage.items.get('space:rejections') ?? '');
  assert.ok(Array.isArray(kept));
  assert.equal(kept.length, maxTold);
  assert.equal(kept[0], 'a:6');
});

for (const {name, without} of [
  {name: 'locks', without: {locks: undefined}},
  {name: 'storage', without: {storage: undefined}},
  {
    name: 'storage that may be used',
    without: {
      storage: {
        getItem: (): string => {
          throw new Error('forbidden');
        },
        setItem: () => {
          throw new Error('full');
        },
      },
    },
  },
  {
    name: 'locks that may be used',
    without: {locks: {request: () => Promise.reject(new Error('SecurityError'))}},
  },
  {name: 'sense in the storage', without: {storage: {getItem: () => '{"a":', setItem: () => {}}}},
]) {
  test(`without ${name} a tab still tells once`, async () => {
    const browser = new FakeBrowser();
    const a = tab(browser, 'a', without as Partial<Environment>);
    a.add(of('a', 1));
    a.add(of('a', 1));
    await settle();
    assert.equal(a.told.length, 1);
  });
}

test('a listener that throws is reported, and the rest is told', async () => {
  const browser = new FakeBrowser();
  let calls = 0;
  const ledger = new RejectionLedger(
    'space',
    () => {
      calls++;
      throw new Error('mine');
    },
    browser.tab().environment,
  );
  ledger.add([of('a', 1), of('a', 2)], () => true);
  await settle();
  assert.equal(calls, 2);
  assert.equal(browser.reported.length, 2);
});

test('a closed one tells nothing and leaves no timer', async () => {
  const browser = new FakeBrowser();
  const a = tab(browser, 'a');
  a.add(of('a', 1), of('b', 1));
  a.ledger.close();
  await browser.clock.advance(grace);
  assert.deepEqual(a.told, []);
  assert.equal(browser.clock.pending, 0);
  assert.deepEqual([browser.locks.held, browser.locks.waiting], [[], 0]);
});
