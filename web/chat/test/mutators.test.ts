// The golden file of the Go mutators, run against their twins in the real
// Replicache client.

import {readFileSync} from 'node:fs';
import {Replicache, type JSONValue, type WriteTransaction} from 'replicache';
import {describe, expect, test} from 'vitest';
import {chatMutators} from '../src/mutators.js';

/** A line of the file; chat/chat_test.go says what its fields mean. */
interface Golden {
  readonly name: string;
  readonly state: Record<string, JSONValue>;
  readonly user: string;
  readonly mutator: string;
  readonly args: JSONValue;
  readonly want?: Record<string, JSONValue>;
  readonly rejected?: string;
}

type State = ReadonlyMap<string, JSONValue>;
type Mutator = (tx: WriteTransaction, args: JSONValue) => Promise<void>;

const file = new URL('../../../chat/testdata/mutators.jsonl', import.meta.url);
const cases = readFileSync(file, 'utf8')
  .split('\n')
  .filter(line => line !== '')
  .map(line => JSON.parse(line) as Golden);

const fields = ['name', 'state', 'user', 'mutator', 'args', 'want', 'rejected'];

test('all cases are there, and have no fields that are not looked at', () => {
  expect(cases.length).toBeGreaterThanOrEqual(100);
  for (const c of cases) {
    expect(fields).toEqual(expect.arrayContaining(Object.keys(c)));
    expect((c.want === undefined) !== (c.rejected === undefined), c.name).toBe(true);
  }
});

describe('golden', () => {
  test.each(cases)('$name', async c => {
    const {error, before, after} = await run(c);
    if (c.rejected === undefined) {
      expect(error).toBeUndefined();
      expect(after).toEqual(new Map(Object.entries(c.want ?? {})));
    } else {
      expect(error).toBe(c.rejected);
      expect(after).toEqual(before);
    }
  });
});

test('refused again upon a new state, it changes nothing and does not throw', async () => {
  const state = new Map<string, JSONValue>([['message/m', {from: 'ann', content: '', order: 1}]]);
  const tx = {
    reason: 'rebase',
    has: async (key: string) => state.has(key),
    set: async (key: string, value: JSONValue) => void state.set(key, value),
  } as unknown as WriteTransaction;
  const again = {id: 'm', from: 'bob', content: 'mine', order: 2};
  await chatMutators().createMessage(tx, again);
  expect(state.get('message/m')).toEqual({from: 'ann', content: '', order: 1});
});

async function run(c: Golden) {
  const twins = chatMutators(c.user) as unknown as Record<string, Mutator>;
  const rep = new Replicache({
    name: crypto.randomUUID(),
    kvStore: 'mem',
    pullInterval: null,
    logLevel: 'error',
    mutators: {
      ...twins,
      seed: async (tx: WriteTransaction, entries: readonly (readonly [string, JSONValue])[]) => {
        for (const [key, value] of entries) {
          await tx.set(key, value);
        }
      },
    },
  });
  const state = (): Promise<State> =>
    rep.query(async tx => new Map(await tx.scan().entries().toArray()) as State);
  try {
    await rep.mutate.seed(Object.entries(c.state));
    const before = await state();
    const error = Object.hasOwn(twins, c.mutator)
      ? await reason((rep.mutate as unknown as Record<string, (args: JSONValue) => Promise<void>>)[c.mutator]!(c.args))
      : 'unknown mutator';
    return {error, before, after: await state()};
  } finally {
    await rep.close();
  }
}

async function reason(mutation: Promise<void>): Promise<string | undefined> {
  try {
    await mutation;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
