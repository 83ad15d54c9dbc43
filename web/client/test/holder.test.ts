import assert from 'node:assert/strict';
import {test} from 'node:test';
import {answerPatience, HolderWatch} from '../src/holder.js';
import {FakeClock} from './fakes.js';

const heartbeat = 20_000;
const patience = 2.5 * heartbeat;

function begin() {
  const clock = new FakeClock();
  const log: string[] = [];
  const watch = new HolderWatch(clock, heartbeat, {
    ask: () => log.push('ask'),
    giveUp: () => log.push('give up'),
  });
  watch.heard();
  return {clock, log, watch};
}

test('a silent holder is asked, then given up', async () => {
  const {clock, log} = begin();
  await clock.advance(patience - 1);
  assert.deepEqual(log, []);
  await clock.advance(1);
  assert.deepEqual(log, ['ask']);
  await clock.advance(answerPatience);
  assert.deepEqual(log, ['ask', 'give up']);
});

test('an answer is enough', async () => {
  const {clock, log, watch} = begin();
  await clock.advance(patience);
  watch.heard();
  await clock.advance(patience - 1);
  assert.deepEqual(log, ['ask']);
});

test('asked out of turn, it has as long to answer', async () => {
  const {clock, log, watch} = begin();
  watch.ask();
  await clock.advance(answerPatience);
  assert.deepEqual(log, ['ask', 'give up']);
});

test('a tab that slept itself asks again: the answer may be waiting to be read', async () => {
  const {clock, log} = begin();
  await clock.advance(patience);
  clock.sleep(60 * 60_000);
  await clock.advance(0);
  assert.deepEqual(log, ['ask', 'ask']);
  await clock.advance(answerPatience);
  assert.deepEqual(log, ['ask', 'ask', 'give up']);
});

test('stopped, it does nothing', async () => {
  const {clock, log, watch} = begin();
  watch.stop();
  await clock.advance(10 * patience);
  assert.deepEqual(log, []);
  assert.equal(clock.pending, 0);
});
