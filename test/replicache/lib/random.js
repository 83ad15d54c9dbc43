// Seeded random numbers, so that the decisions of a failed run can be taken again
// with SEED=<number>. What the network and the scheduler do is not repeated.

import {randomInt} from 'node:crypto';

/** The seed of this process: SEED from the environment, else a new one. */
export const processSeed = Number(process.env.SEED) || randomInt(1, 2 ** 31);

/** A stream of random numbers that its seed decides (mulberry32). */
export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 up to, not including, 1. */
  float() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /**
   * A whole number from low to high, both included.
   * @param {number} low
   * @param {number} high
   */
  between(low, high) {
    return low + Math.floor(this.float() * (high - low + 1));
  }

  /** @param {number} probability */
  chance(probability) {
    return this.float() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} list not empty
   * @returns {T}
   */
  pick(list) {
    return /** @type {T} */ (list[this.between(0, list.length - 1)]);
  }

  /** Another stream, so that what one part draws does not move the others. */
  fork() {
    return new Random(this.between(1, 2 ** 31));
  }
}
