// What stands for the browser in the tests: a clock that is set by hand, locks and
// channels of several tabs, pages, and a server whose answers the test gives.

import assert from 'node:assert/strict';
import {setMaxListeners} from 'node:events';
import type {
  Cancel,
  Clock,
  Environment,
  KeyValueStorage,
  Locks,
  Syncable,
} from '../src/index.js';

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise(resolve => setImmediate(resolve));
  }
}

/** A clock that the test moves. */
export class FakeClock implements Clock {
  #now = 1_000_000;
  #timers = new Set<{at: number; run: () => void}>();

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Cancel {
    const timer = {at: this.#now + ms, run};
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Goes on, timer by timer, and lets each do what it does. */
  async advance(ms: number): Promise<void> {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) {
        break;
      }
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await settle();
    }
    this.#now = end;
  }

  /** The machine sleeps: time goes on, and timers are late. */
  sleep(ms: number): void {
    this.#now += ms;
  }
}

/** An EventTarget that knows how many listen to it. */
export class FakeTarget extends EventTarget {
  visibilityState: DocumentVisibilityState = 'visible';
  #listeners = 0;

  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
    super.addEventListener(type, listener, options);
    this.#listeners++;
    if (typeof options === 'object' && options.signal) {
      setMaxListeners(50, options.signal); // this counting doubles them
      options.signal.addEventListener('abort', () => this.#listeners--);
    }
  }

  get listeners(): number {
    return this.#listeners;
  }

  fire(type: string): void {
    this.dispatchEvent(new Event(type));
  }
}

interface Waiter {
  readonly name: string;
  readonly run: () => void;
  readonly lose: () => void;
}

/** Web Locks, exclusive ones, for any number of tabs. */
export class FakeLocks {
  #held = new Map<string, Waiter>();
  #queue: Waiter[] = [];

  /** The names that are held. */
  get held(): string[] {
    return [...this.#held.keys()];
  }

  get waiting(): number {
    return this.#queue.length;
  }

  readonly locks = {
    request: (name: string, options: LockOptions, run: (lock: Lock | null) => unknown) =>
      this.#request(name, options, run),
  } as unknown as Locks;

  #request(
    name: string,
    options: LockOptions,
    run: (lock: Lock | null) => unknown,
  ): Promise<unknown> {
    assert.ok(!(options.steal && options.signal), 'a browser refuses steal with a signal');
    return new Promise((resolve, reject) => {
      const abort = () => reject(new DOMException('aborted', 'AbortError'));
      const waiter: Waiter = {
        name,
        lose: abort,
        run: () => {
          void Promise.resolve(run({name, mode: 'exclusive'})).then(result => {
            resolve(result);
            if (this.#held.get(name) === waiter) {
              this.#held.delete(name);
              this.#grant(name);
            }
          }, reject);
        },
      };
      if (options.signal?.aborted) {
        return abort();
      }
      options.signal?.addEventListener('abort', () => {
        if (this.#queue.includes(waiter)) {
          this.#queue = this.#queue.filter(w => w !== waiter);
          abort();
        }
      });
      if (options.steal) {
        this.#held.get(name)?.lose();
        this.#held.delete(name);
        this.#queue.unshift(waiter);
      } else {
        this.#queue.push(waiter);
      }
      queueMicrotask(() => this.#grant(name));
    });
  }

  #grant(name: string): void {
    const next = this.#held.has(name) ? undefined : this.#queue.find(w => w.name === name);
    if (next) {
      this.#queue = this.#queue.filter(w => w !== next);
      this.#held.set(name, next);
      next.run();
    }
  }
}

/** The channels of all tabs. A message reaches all others of its name, later. */
export class FakeChannels {
  #open: {name: string; channel: BroadcastChannel}[] = [];
  /** Channels that neither hear nor tell, as those of a suspended page. */
  readonly suspended = new Set<BroadcastChannel>();

  get open(): number {
    return this.#open.length;
  }

  readonly openChannel = (name: string): BroadcastChannel => {
    const channel = {
      name,
      onmessage: null,
      postMessage: (data: unknown) => {
        assert.ok(this.#open.includes(entry), 'postMessage of a closed channel');
        this.#post(entry, structuredClone(data));
      },
      close: () => {
        this.#open = this.#open.filter(e => e !== entry);
      },
    } as unknown as BroadcastChannel;
    const entry = {name, channel};
    this.#open.push(entry);
    return channel;
  };

  #post(from: {name: string; channel: BroadcastChannel}, data: unknown): void {
    for (const to of this.#open) {
      if (to !== from && to.name === from.name && !this.suspended.has(from.channel)) {
        setImmediate(() => {
          if (this.#open.includes(to) && !this.suspended.has(to.channel)) {
            to.channel.onmessage?.(new MessageEvent('message', {data}));
          }
        });
      }
    }
  }
}

/** localStorage, shared by all tabs. */
export class FakeStorage implements KeyValueStorage {
  readonly items = new Map<string, string>();

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
}

/** A request that waits for the test's answer. */
export class Exchange {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (answer: Response) => void;
  readonly #reject: (error: unknown) => void;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Whether the server would still see a connection. */
  open = true;

  constructor(
    url: string,
    init: RequestInit,
    resolve: (answer: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.url = url;
    this.method = init.method ?? 'GET';
    this.headers = new Headers(init.headers);
    this.body = String(init.body ?? '');
    this.#signal = init.signal ?? undefined;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal?.addEventListener('abort', () => this.#abort());
  }

  #abort(): void {
    if (this.open) {
      this.fail(new DOMException('aborted', 'AbortError'));
    }
  }

  answer(status: number, body = '', headers: Record<string, string> = {}): void {
    this.open = false;
    this.#resolve(new Response(body || null, {status, headers}));
  }

  json(value: unknown): void {
    this.answer(200, JSON.stringify(value), {'Content-Type': 'application/json'});
  }

  /** Begins a stream of events, as replifire does. */
  begin(text = 'retry: 1000\n\n'): this {
    const body = new ReadableStream<Uint8Array>({start: c => void (this.#stream = c)});
    const headers = {'Content-Type': 'text/event-stream; charset=utf-8'};
    this.#resolve(new Response(body, {status: 200, headers}));
    return this.send(text);
  }

  send(text: string): this {
    this.#stream?.enqueue(new TextEncoder().encode(text));
    return this;
  }

  poke(version: number): this {
    return this.send(`event: poke\ndata: {"version": ${version}}\nid: ${version}\n\n`);
  }

  end(): void {
    this.open = false;
    this.#stream?.close();
  }

  fail(error: unknown = new TypeError('fetch failed')): void {
    this.open = false;
    this.#reject(error);
    this.#stream?.error(error);
  }
}

/** A server that sees all requests and answers when the test says so. */
export class FakeServer {
  readonly exchanges: Exchange[] = [];
  /** No request gets out. */
  down = false;

  readonly fetch: typeof fetch = (input, init = {}) =>
    new Promise((resolve, reject) => {
      const exchange = new Exchange(String(input), init, resolve, reject);
      if (init.signal?.aborted) {
        return reject(new DOMException('aborted', 'AbortError'));
      }
      this.exchanges.push(exchange);
      if (this.down) {
        exchange.fail();
      }
    });

  /** Requests that are not answered to the end, poke streams included. */
  get open(): Exchange[] {
    return this.exchanges.filter(e => e.open);
  }

  /** The latest request. */
  get last(): Exchange {
    const last = this.exchanges.at(-1);
    assert.ok(last, 'there was no request');
    return last;
  }
}

/** A Replicache instance that only counts. */
export class FakeRep implements Syncable {
  auth = '';
  getAuth: Syncable['getAuth'] = null;
  closed = false;
  readonly pulls: boolean[] = [];
  readonly pushes: boolean[] = [];
  readonly clientGroupID = Promise.resolve('g');
  /** What it has pending. */
  mutations: unknown[] = [];

  constructor(
    readonly clientID: string,
    readonly name = 'ada',
  ) {}

  async pull({now = false}: {now?: boolean | undefined} = {}): Promise<void> {
    this.pulls.push(now);
  }

  async push({now = false}: {now?: boolean | undefined} = {}): Promise<void> {
    this.pushes.push(now);
  }

  async experimentalPendingMutations(): Promise<readonly unknown[]> {
    if (this.closed) {
      throw new Error('Closed');
    }
    return this.mutations;
  }
}

/** A browser: what its tabs share. */
export class FakeBrowser {
  readonly clock = new FakeClock();
  readonly server = new FakeServer();
  readonly locks = new FakeLocks();
  readonly channels = new FakeChannels();
  readonly storage = new FakeStorage();
  readonly reported: unknown[] = [];
  readonly warnings: string[] = [];

  /** A tab: its environment and its page. Jitter is left out: pauses are as long as can be. */
  tab(without: Partial<Environment> = {}) {
    const window = new FakeTarget();
    const document = new FakeTarget();
    const environment: Environment = {
      fetch: this.server.fetch,
      clock: this.clock,
      random: () => 0.999_999_999,
      locks: this.locks.locks,
      openChannel: this.channels.openChannel,
      window,
      document,
      storage: this.storage,
      report: error => this.reported.push(error),
      warn: message => this.warnings.push(message),
      ...without,
    };
    return {window, document, environment};
  }
}
