import {describe, expect, test} from 'vitest';
import {groupMessages, listMessages, newID, nextOrder} from '../src/messages.js';

const entry = (id: string, from: string, order: number, content = id) =>
  [`message/${id}`, {from, content, order}] as const;

const list = (...entries: (readonly [string, unknown])[]) => listMessages(entries, new Map());

describe('listMessages', () => {
  test('sorts by order, then by id', () => {
    const ids = list(entry('b', 'x', 2), entry('a', 'x', 2), entry('d', 'x', 10), entry('c', 'x', -1.5));
    expect(ids.map(({id}) => id)).toEqual(['c', 'a', 'b', 'd']);
  });

  test('leaves out what is no message', () => {
    const others = [null, 'text', 7, [], {}, {from: 'x', content: 'y'}, {from: 1, content: '', order: 1}];
    expect(list(...others.map((value, i) => [`message/${i}`, value] as const))).toEqual([]);
  });

  test('keeps the objects of what has not changed, and of nothing else', () => {
    const before = list(entry('a', 'x', 1), entry('b', 'x', 2));
    const known = new Map(before.map(message => [message.id, message]));
    const after = listMessages([entry('a', 'x', 1), entry('b', 'x', 2, 'edited')], known);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toEqual({id: 'b', from: 'x', order: 2, content: 'edited'});
  });
});

test('groupMessages puts together what one author wrote in a row', () => {
  const groups = groupMessages(
    list(entry('1', 'ann', 1), entry('2', 'ann', 2), entry('3', 'bob', 3), entry('4', 'ann', 4)),
  );
  expect(groups.map(({from, messages}) => [from, messages.length])).toEqual([
    ['ann', 2],
    ['bob', 1],
    ['ann', 1],
  ]);
});

test('nextOrder is after all others', () => {
  expect(nextOrder([])).toBe(1);
  expect(nextOrder(list(entry('1', 'x', 41), entry('2', 'x', 3)))).toBe(42);
});

test('newID makes ids that differ and need no escaping', () => {
  const ids = Array.from({length: 1000}, newID);
  expect(new Set(ids).size).toBe(1000);
  expect(ids.filter(id => !/^[0-9a-z]{30}$/.test(id))).toEqual([]);
});
