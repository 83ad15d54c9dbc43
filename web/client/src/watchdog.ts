import type {Cancel, Clock} from './environment.js';

/**
 * Barks when nothing has been heard for too long. It begins with the first call
 * of {@link heard} or {@link allow} and barks once, until it hears again.
 */
export class Watchdog {
  readonly #clock: Clock;
  readonly #patience: number;
  readonly #bark: () => void;
  #cancel: Cancel | undefined;
  #heardAt = -Infinity;

  /** `patience` is in milliseconds. */
  constructor(clock: Clock, patience: number, bark: () => void) {
    this.#clock = clock;
    this.#patience = patience;
    this.#bark = bark;
  }

  /** Something was heard: the time begins anew. */
  heard(): void {
    this.#heardAt = this.#clock.now();
    this.allow(this.#patience);
  }

  /** Barks in so many milliseconds, unless something is heard before. */
  allow(ms: number): void {
    this.stop();
    this.#cancel = this.#clock.after(ms, this.#bark);
  }

  /** How long it has been silent, in milliseconds; infinite if nothing was ever heard. */
  silence(): number {
    return this.#clock.now() - this.#heardAt;
  }

  /** Barks no more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
