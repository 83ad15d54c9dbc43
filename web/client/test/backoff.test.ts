import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Backoff} from '../src/backoff.js';

const limits = {first: 1_000, longest: 30_000};
const all = () => 1;
const half = () => 0;

test('each failure doubles the pause, up to the longest', () => {
  const backoff = new Backoff(limits, all);
  const pauses = Array.from({length: 7}, () => backoff.next());
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test('jitter takes up to half of a pause away', () => {
  const backoff = new Backoff(limits, half);
  assert.deepEqual([backoff.next(), backoff.next()], [500, 1_000]);
});

test('a very long row of failures does not overflow', () => {
  const backoff = new Backoff(limits, all);
  for (let i = 0; i < 5_000; i++) {
    assert.ok(backoff.next() <= limits.longest);
  }
});

test('reset begins again', () => {
  const backoff = new Backoff(limits, all);
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 1_000);
});

for (const {name, ms, want} of [
  {name: 'is the first pause', ms: 4_200, want: 4_200},
  {name: 'cannot make it a storm', ms: 0, want: 100},
  {name: 'cannot make it for ever', ms: 999_999, want: 30_000},
]) {
  test(`the server's hint ${name}`, () => {
    const backoff = new Backoff(limits, all);
    backoff.hint(ms);
    assert.equal(backoff.next(), want);
  });
}
