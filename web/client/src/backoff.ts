/** Bounds of a {@link Backoff}, in milliseconds. */
export interface BackoffLimits {
  /** The pause after the first failure. */
  readonly first: number;
  /** The longest pause. */
  readonly longest: number;
}

/** What a poke stream begins with; the server may ask for another first pause. */
export const defaultBackoff: BackoffLimits = {first: 1_000, longest: 30_000};

/**
 * Says how long to pause before the next attempt: twice as long after each
 * failure, up to a limit. Each pause is somewhere between half of that and all
 * of it, so that the clients of a server that went down do not come back at the
 * same moment.
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #first: number;
  #failures = 0;

  constructor(limits: BackoffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
    this.#first = limits.first;
  }

  /** The pause before the next attempt, in milliseconds. Each call counts as a failure. */
  next(): number {
    const pause = Math.min(this.#limits.longest, this.#first * 2 ** this.#failures);
    this.#failures++;
    return pause * (0.5 + this.#random() / 2);
  }

  /** Begins again with the first pause. */
  reset(): void {
    this.#failures = 0;
  }

  /**
   * Takes the server's word for the first pause (`retry:` of an event stream),
   * within the limits.
   */
  hint(ms: number): void {
    this.#first = Math.min(this.#limits.longest, Math.max(100, ms));
  }
}
