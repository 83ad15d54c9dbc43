// A chat on the real Replicache, and `replifire serve` for it.

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {TestContext} from 'node:test';
import {Replicache, type WriteTransaction} from 'replicache';
import {type Environment, type ReplifireOptions, type Status, replifire} from '../src/index.js';

export type Message = {
  readonly id: string;
  readonly from: string;
  readonly content: string;
  readonly order: number;
};

const mutators = {
  createMessage: (tx: WriteTransaction, {id, ...message}: Message) =>
    tx.set(`message/${id}`, message),
};

/** Opens the chat in a tab: tabs with the same name are one user's. */
export function openChat(
  t: TestContext,
  name: string,
  options: ReplifireOptions,
  ofReplicache: {schemaVersion?: string} = {},
) {
  const refused: string[] = [];
  const statuses: Status[] = [];
  const sync = replifire({
    onRejected: (clientID, {id, name: mutator, reason}) =>
      refused.push(`${clientID === rep.clientID ? 'mine' : 'foreign'} ${mutator} ${id}: ${reason}`),
    ...options,
  });
  const rep = new Replicache({
    name,
    kvStore: 'mem',
    mutators,
    pullInterval: null, // only pokes bring news
    logSinks: [],
    ...sync.options,
    ...ofReplicache,
  });
  let contents: string[] = [];
  rep.subscribe(tx => tx.scan<Message>({prefix: 'message/'}).values().toArray(), {
    onData: list => {
      contents = list.map(({content}) => content).sort();
    },
  });
  sync.subscribe(status => {
    if (statuses.at(-1) !== status) {
      statuses.push(status);
    }
  });
  sync.connect(rep);
  const close = async () => {
    await sync.close();
    if (!rep.closed) {
      await rep.close();
    }
  };
  t.after(close);
  const write = (id: string, content: string) =>
    rep.mutate.createMessage({id, from: name, content, order: 1});
  /** Whether everything that was written here is acknowledged. */
  const settled = async () => (await rep.experimentalPendingMutations()).length === 0;
  return {rep, sync, refused, statuses, write, settled, close, contents: () => contents.join(', ')};
}

/** A fetch that remembers the addresses it was called with. */
export function countedFetch(): {urls: string[]; environment: Partial<Environment>} {
  const urls: string[] = [];
  const counted: typeof fetch = (input, init) => {
    urls.push(String(input));
    return fetch(input, init);
  };
  return {urls, environment: {fetch: counted}};
}

/** `replifire serve` with the memory store: stopped, it forgets everything. */
export class Serve {
  readonly #binary: string;
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(binary: string) {
    this.#binary = binary;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it, on the same port as before if there was one. */
  async start(): Promise<void> {
    const child = spawn(this.#binary, ['serve'], {
      env: {
        PATH: process.env['PATH'],
        REPLIFIRE_STORE: 'memory',
        REPLIFIRE_DEV: 'true',
        REPLIFIRE_HOST: '127.0.0.1',
        PORT: String(this.#port),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#port = await portOf(child);
  }

  async kill(): Promise<void> {
    if (this.#child?.exitCode === null && this.#child.kill('SIGKILL')) {
      await once(this.#child, 'exit');
    }
  }
}

/** The port is in the line that says where it listens. */
function portOf(child: ChildProcess): Promise<number> {
  let output = '';
  return new Promise((resolve, reject) => {
    const read = (piece: Buffer) => {
      output += String(piece);
      const port = /msg=listening address=\S*:(\d+)/.exec(output)?.[1];
      if (port) {
        resolve(Number(port));
      }
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`replifire serve ended: ${output}`)));
  });
}
