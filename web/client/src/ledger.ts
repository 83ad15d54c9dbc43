import type {Cancel, Environment} from './environment.js';
import type {ClientRejection, Rejection} from './rejection.js';

/** Told of a rejection: whose mutation it was, and what was refused and why. */
export type RejectionListener = (clientID: string, rejection: Rejection) => void;

/**
 * How long a tab waits, in milliseconds, before it tells of a rejection that
 * concerns another tab. The other one should tell its user itself, unless it is
 * gone.
 */
export const grace = 1_000;

/** How many rejections are remembered as told. The server keeps 16 for each client. */
export const maxTold = 1_000;

/**
 * Tells of each rejection once. Every tab of a client group gets the group's
 * rejections with its own pull, and gets them again after a full resync or a
 * reload; so what was told is remembered in a place that all tabs share, under a
 * lock.
 */
export class RejectionLedger {
  readonly #name: string;
  readonly #listener: RejectionListener;
  readonly #environment: Environment;
  readonly #told = new Set<string>();
  readonly #waiting = new Set<Cancel>();
  readonly #closing = new AbortController();

  constructor(name: string, listener: RejectionListener, environment: Environment) {
    this.#name = `${name}:rejections`;
    this.#listener = listener;
    this.#environment = environment;
  }

  /**
   * Tells of those that nobody has been told of. `isOwn` says whether a client
   * is this tab's.
   */
  add(rejections: readonly ClientRejection[], isOwn: (clientID: string) => boolean): void {
    const own = rejections.filter(({clientID}) => isOwn(clientID));
    const others = rejections.filter(({clientID}) => !isOwn(clientID));
    if (own.length > 0) {
      void this.#claim(own);
    }
    if (others.length > 0) {
      this.#later(() => this.#claim(others));
    }
  }

  /** Tells nothing any more, and stops its timers. */
  close(): void {
    this.#closing.abort();
    this.#waiting.forEach(cancel => cancel());
    this.#waiting.clear();
  }

  #later(run: () => Promise<void>): void {
    const cancel = this.#environment.clock.after(grace, () => {
      this.#waiting.delete(cancel);
      void run();
    });
    this.#waiting.add(cancel);
  }

  async #claim(rejections: readonly ClientRejection[]): Promise<void> {
    let fresh: readonly ClientRejection[] = [];
    const mark = () => {
      fresh = this.#mark(rejections);
    };
    try {
      await this.#locked(mark);
    } catch {
      if (!this.#closing.signal.aborted) {
        mark(); // no locks here after all, as in a sandboxed frame
      }
    }
    fresh.forEach(({clientID, rejection}) => this.#tell(clientID, rejection));
  }

  async #locked(run: () => void): Promise<void> {
    const {locks} = this.#environment;
    if (!locks) {
      return run();
    }
    await locks.request(this.#name, {signal: this.#closing.signal}, run);
  }

  /** Which of them were not marked yet. All of them are afterwards. */
  #mark(rejections: readonly ClientRejection[]): ClientRejection[] {
    this.#load().forEach(key => this.#told.add(key));
    const fresh = rejections.filter(r => {
      const key = `${r.clientID}:${r.rejection.id}`;
      return this.#told.size !== this.#told.add(key).size;
    });
    for (const key of [...this.#told].slice(0, -maxTold)) {
      this.#told.delete(key);
    }
    if (fresh.length > 0) {
      this.#save();
    }
    return fresh;
  }

  #load(): string[] {
    try {
      const list: unknown = JSON.parse(this.#environment.storage?.getItem(this.#name) ?? '[]');
      return Array.isArray(list) ? list.filter(key => typeof key === 'string') : [];
    } catch {
      return []; // forbidden, or not ours
    }
  }

  #save(): void {
    try {
      this.#environment.storage?.setItem(this.#name, JSON.stringify([...this.#told]));
    } catch {
      // Forbidden or full: this tab remembers by itself.
    }
  }

  #tell(clientID: string, rejection: Rejection): void {
    if (this.#closing.signal.aborted) {
      return;
    }
    try {
      this.#listener(clientID, rejection);
    } catch (error) {
      this.#environment.report(error);
    }
  }
}
