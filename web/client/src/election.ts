import type {Locks} from './environment.js';

/** What a candidate is told. The calls alternate, beginning with `elected`. */
export interface Candidate {
  /** It is the one of all tabs now. */
  readonly elected: () => void;
  /** It is no longer; what is left over is gone when the promise is kept. */
  readonly dismissed: () => Promise<void>;
}

/**
 * Elects one tab of all that stand for the same name, with a Web Lock: whoever
 * holds it is elected. The browser hands it on when a tab closes or crashes.
 */
export class Election {
  readonly #locks: Locks;
  readonly #name: string;
  readonly #candidate: Candidate;
  /** Aborted to leave the queue, or to let go of the lock. */
  #candidacy: AbortController | undefined;
  #settled: Promise<void> = Promise.resolve();

  constructor(locks: Locks, name: string, candidate: Candidate) {
    this.#locks = locks;
    this.#name = name;
    this.#candidate = candidate;
  }

  /** Stands for election. Nothing happens if it does already. */
  join(): void {
    if (!this.#candidacy) {
      this.#stand(false);
    }
  }

  /** Takes the lock away from a holder that gives no sign of life. It is told, if it wakes up. */
  overthrow(): void {
    this.#candidacy?.abort();
    this.#stand(true);
  }

  /** Stands no more. The promise is kept when nothing is left over. */
  leave(): Promise<void> {
    this.#candidacy?.abort();
    this.#candidacy = undefined;
    return this.#settled;
  }

  #stand(steal: boolean): void {
    const candidacy = new AbortController();
    this.#candidacy = candidacy;
    // One after the other: whoever was dismissed has cleared up before the next term.
    this.#settled = this.#settled.then(() => this.#serve(candidacy, steal));
  }

  async #serve(candidacy: AbortController, steal: boolean): Promise<void> {
    const {signal} = candidacy;
    if (signal.aborted) {
      return;
    }
    let term: Promise<void> | undefined;
    const hold = () => (term ??= this.#hold(signal));
    // A browser takes no signal together with steal, which does not wait anyway.
    const options: LockOptions = steal ? {steal} : {signal};
    try {
      await this.#locks.request(this.#name, options, hold);
    } catch {
      if (!term && !signal.aborted) {
        await hold(); // no locks here after all: each for itself
      }
    }
    if (signal.aborted) {
      return;
    }
    // The lock was taken away: clear up, and back into the queue.
    candidacy.abort();
    await term;
    if (this.#candidacy === candidacy) {
      this.#stand(false);
    }
  }

  /** Lasts as long as the lock should be held: until everything is cleared up. */
  async #hold(signal: AbortSignal): Promise<void> {
    if (signal.aborted) {
      return;
    }
    const aborted = new Promise<void>(resolve => {
      signal.addEventListener('abort', () => resolve());
    });
    this.#candidate.elected();
    await aborted;
    await this.#candidate.dismissed();
  }
}
