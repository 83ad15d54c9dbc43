import assert from 'node:assert/strict';
import {test} from 'node:test';
import {StatusBoard, type StatusListener} from '../src/status.js';

test('tells of changes, and only of them', () => {
  const board = new StatusBoard(() => {});
  const heard: unknown[] = [];
  const listener: StatusListener = (...now) => heard.push(now);
  const cancel = board.subscribe(listener);
  board.set('live', undefined);
  board.set('live', undefined);
  board.set('live', 3);
  cancel();
  cancel();
  board.set('offline', 3);
  assert.deepEqual(heard, [
    ['live', undefined],
    ['live', 3],
  ]);
  assert.deepEqual([board.status, board.version], ['offline', 3]);
});

test('the same listener may be there twice', () => {
  const board = new StatusBoard(() => {});
  let heard = 0;
  const listener = () => heard++;
  const cancel = board.subscribe(listener);
  board.subscribe(listener);
  board.set('live', 1);
  cancel();
  board.set('live', 2);
  assert.equal(heard, 3);
});

test('a listener that throws keeps nobody from hearing', () => {
  const reported: unknown[] = [];
  const board = new StatusBoard(error => reported.push(error));
  let heard = 0;
  board.subscribe(() => {
    throw new Error('mine');
  });
  board.subscribe(() => heard++);
  board.set('live', 1);
  assert.equal(heard, 1);
  assert.match(String(reported[0]), /mine/);
});
