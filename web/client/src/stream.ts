import type {Auth} from './auth.js';
import type {Backoff} from './backoff.js';
import type {Environment} from './environment.js';
import {EventParser, type Frame} from './sse.js';
import type {Status} from './status.js';
import {Watchdog} from './watchdog.js';

/** How long the server may take to begin its answer, in milliseconds. */
export const connectPatience = 20_000;

/** A stream that lasted this long, in milliseconds, makes up for earlier failures. */
export const settledAfter = 10_000;

/** How many heartbeats may be missed before a connection counts as dead. */
const missedHeartbeats = 2.5;

/** What a poke stream works with. */
export interface StreamConfig {
  /** The address of the stream, with the space in its query. It never holds a token. */
  readonly url: string;
  readonly auth: Auth;
  readonly backoff: Backoff;
  readonly environment: Environment;
  /** How often the server says at least something, in milliseconds. */
  readonly heartbeat: number;
  /** How it stood before; an attempt after a failure does not hide the failure. */
  readonly status: Status;
  /** Hears the version of each poke, the same one several times. */
  readonly onPoke: (version: number) => void;
  /** Hears how it stands, the same status several times; at each heartbeat too. */
  readonly onStatus: (status: Status) => void;
}

/** How an attempt ended, and what the server says about the next one. */
interface Outcome {
  readonly kind: 'ended' | 'failed' | 'refused';
  /** The least pause, in milliseconds. */
  readonly pause?: number;
  /** There is a new token: try it at once. */
  readonly renewed?: boolean;
}

/**
 * Keeps a stream of pokes open: `fetch` with a header for the token, since
 * `EventSource` cannot send one. Connects again after every end, with a pause
 * that grows with each failure; gives up a connection that is silent for longer
 * than the server's heartbeat explains. It begins at once and goes on until
 * {@link close}.
 */
export class PokeStream {
  readonly #config: StreamConfig;
  readonly #watchdog: Watchdog;
  readonly #done: Promise<void>;
  #closed = false;
  #status: Status;
  #attempt = new AbortController();
  #endPause: (() => void) | undefined;
  #hurry = false;
  #renewals = 0;

  constructor(config: StreamConfig) {
    this.#config = config;
    this.#status = config.status;
    const patience = config.heartbeat * missedHeartbeats;
    this.#watchdog = new Watchdog(config.environment.clock, patience, () => this.#attempt.abort());
    // Not before the constructor has returned: the first status is told at once.
    this.#done = Promise.resolve().then(() => this.#run());
  }

  /**
   * There is reason to hope (the network is back, somebody looks at the page):
   * ends a pause, and gives up a connection that seems to have died in the
   * machine's sleep.
   */
  wake(): void {
    if (this.#endPause) {
      this.#endPause();
    } else if (this.#status === 'live' && this.#watchdog.silence() > this.#config.heartbeat * 1.25) {
      this.restart();
    }
  }

  /** There is reason to doubt (the network is gone): connects anew at once, to see. */
  restart(): void {
    if (this.#endPause) {
      this.#endPause();
      return;
    }
    this.#hurry = true;
    this.#attempt.abort();
  }

  /** Ends it. The promise is kept when nothing is left running. */
  close(): Promise<void> {
    this.#closed = true;
    this.#attempt.abort();
    this.#endPause?.();
    return this.#done;
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#status === 'live' || this.#status === 'connecting') {
        this.#set('connecting');
      }
      if (this.#closed) {
        return; // perhaps by who heard of the status
      }
      const outcome = await this.#connect();
      this.#watchdog.stop();
      if (this.#closed) {
        return;
      }
      this.#set(this.#statusAfter(outcome));
      await this.#pause(outcome);
    }
  }

  /** What was live may be so again in a moment; only a failed attempt means offline. */
  #statusAfter(outcome: Outcome): Status {
    if (outcome.kind === 'refused') {
      return outcome.renewed ? this.#status : 'unauthorised';
    }
    return this.#status === 'live' ? 'connecting' : 'offline';
  }

  #set(status: Status): void {
    this.#status = status;
    if (!this.#closed) {
      this.#config.onStatus(status);
    }
  }

  async #connect(): Promise<Outcome> {
    const attempt = (this.#attempt = new AbortController());
    const {clock} = this.#config.environment;
    this.#watchdog.allow(connectPatience);
    let openedAt: number | undefined;
    try {
      const authorization = await untilAborted(attempt.signal, this.#config.auth.header());
      const answer = await this.#request(authorization, attempt.signal);
      if (answer.status === 401) {
        return await this.#refused(authorization, attempt.signal);
      }
      if (answer.status === 403) {
        return {kind: 'refused'};
      }
      const body = eventStream(answer);
      if (!body) {
        return {kind: 'failed', pause: retryAfter(answer)};
      }
      openedAt = clock.now();
      this.#renewals = 0;
      return await this.#read(body);
    } catch {
      return {kind: 'failed'}; // no network, cut off, silent or closed
    } finally {
      attempt.abort(); // lets go of a body that was not read to its end
      if (openedAt !== undefined && clock.now() - openedAt >= settledAfter) {
        this.#config.backoff.reset();
      }
    }
  }

  #request(authorization: string, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {Accept: 'text/event-stream'};
    if (authorization !== '') {
      headers['Authorization'] = authorization;
    }
    const {fetch} = this.#config.environment;
    return fetch(this.#config.url, {headers, signal, cache: 'no-store'});
  }

  /** One new token is tried at once; if that is refused too, the pauses apply. */
  async #refused(authorization: string, signal: AbortSignal): Promise<Outcome> {
    const renewed =
      this.#renewals === 0 &&
      (await untilAborted(signal, this.#config.auth.renew(authorization))) !== undefined;
    this.#renewals = renewed ? 1 : 0;
    return {kind: 'refused', renewed};
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<Outcome> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    for (;;) {
      const {done, value} = await reader.read();
      if (done || this.#closed) {
        return {kind: 'ended'};
      }
      this.#watchdog.heard();
      this.#set('live');
      for (const frame of parser.push(decoder.decode(value, {stream: true}))) {
        if (this.#take(frame)) {
          return {kind: 'ended'};
        }
      }
    }
  }

  /** Says whether the server takes its leave with this frame. */
  #take(frame: Frame): boolean {
    if (frame.retry !== undefined) {
      this.#config.backoff.hint(frame.retry);
    }
    const version = frame.event === 'poke' ? versionOf(frame.data) : undefined;
    if (version !== undefined && !this.#closed) {
      this.#config.onPoke(version);
    }
    return frame.event === 'bye';
  }

  async #pause(outcome: Outcome): Promise<void> {
    if (outcome.renewed || this.#hurry || this.#closed) {
      this.#hurry = false;
      return;
    }
    const {backoff, environment} = this.#config;
    const ms = Math.max(backoff.next(), outcome.pause ?? 0);
    await new Promise<void>(resolve => {
      const cancel = environment.clock.after(ms, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }
}

/** The body, if the answer is what was asked for and not, say, a portal's page. */
function eventStream(answer: Response): ReadableStream<Uint8Array> | undefined {
  const type = answer.headers.get('Content-Type') ?? '';
  const good = answer.status === 200 && /^text\/event-stream\b/i.test(type);
  return good ? (answer.body ?? undefined) : undefined;
}

/** The seconds of a `Retry-After` header as milliseconds, five minutes at most; 0 without. */
function retryAfter(answer: Response): number {
  const seconds = Number(answer.headers.get('Retry-After') ?? 0);
  return seconds > 0 ? Math.min(seconds, 300) * 1_000 : 0;
}

/** The version of a poke: `{"version": N}`. Undefined if it is something else. */
function versionOf(data: string | undefined): number | undefined {
  try {
    const poke: unknown = JSON.parse(data ?? '');
    if (typeof poke !== 'object' || poke === null || !('version' in poke)) {
      return undefined;
    }
    return typeof poke.version === 'number' ? poke.version : undefined;
  } catch {
    return undefined;
  }
}

/** Waits for the promise, but no longer than until the signal: a source of tokens may hang. */
async function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new DOMException('aborted', 'AbortError'));
    signal.addEventListener('abort', stop);
    if (signal.aborted) {
      stop();
    }
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
