import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Election} from '../src/election.js';
import type {Locks} from '../src/index.js';
import {FakeLocks, settle} from './fakes.js';

/** A candidate that writes down what happens to it. */
function candidate(locks: Locks, name: string, log: string[], clearUp = async () => {}) {
  return new Election(locks, 'space', {
    elected: () => log.push(`${name} elected`),
    dismissed: async () => {
      await clearUp();
      log.push(`${name} dismissed`);
    },
  });
}

test('one of many is elected, the next when it leaves', async () => {
  const fake = new FakeLocks();
  const log: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map(name => candidate(fake.locks, name, log));
  a?.join();
  b?.join();
  c?.join();
  c?.join();
  await settle();
  assert.deepEqual(log, ['a elected']);
  await a?.leave();
  await settle();
  assert.deepEqual(log, ['a elected', 'a dismissed', 'b elected']);
  await c?.leave();
  await b?.leave();
  await settle();
  assert.deepEqual(log.slice(3), ['b dismissed'], 'c had left the queue');
  assert.deepEqual([fake.held, fake.waiting], [[], 0]);
});

test('who comes back waits until the last term is cleared up', async () => {
  const fake = new FakeLocks();
  const log: string[] = [];
  const a = candidate(fake.locks, 'a', log, settle);
  a.join();
  await settle();
  void a.leave();
  a.join();
  await settle();
  await settle();
  assert.deepEqual(log, ['a elected', 'a dismissed', 'a elected']);
  await a.leave();
});

test('who never was elected is never dismissed', async () => {
  const fake = new FakeLocks();
  const log: string[] = [];
  const a = candidate(fake.locks, 'a', log);
  a.join();
  await a.leave();
  assert.deepEqual(log, []);
  assert.deepEqual([fake.held, fake.waiting], [[], 0]);
});

test('an overthrown holder is dismissed and queues again', async () => {
  const fake = new FakeLocks();
  const log: string[] = [];
  const a = candidate(fake.locks, 'a', log);
  const b = candidate(fake.locks, 'b', log);
  a.join();
  b.join();
  await settle();
  b.overthrow();
  await settle();
  assert.deepEqual(log.sort(), ['a dismissed', 'a elected', 'b elected']);
  await b.leave();
  await settle();
  assert.equal(log.at(-1), 'a elected');
  await a.leave();
  await settle();
  assert.deepEqual([fake.held, fake.waiting], [[], 0]);
});

test('where locks do not work, each is elected', async () => {
  const refusing: Locks = {request: () => Promise.reject(new Error('SecurityError'))};
  const log: string[] = [];
  const a = candidate(refusing, 'a', log);
  a.join();
  await settle();
  assert.deepEqual(log, ['a elected']);
  await a.leave();
  assert.deepEqual(log, ['a elected', 'a dismissed']);
});
