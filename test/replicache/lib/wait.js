// Bounded waits: a condition is asked again and again until it holds, and the
// failure says what was seen last. No test sleeps and hopes.

import {setTimeout as sleep} from 'node:timers/promises';

const firstPause = 5;
const longestPause = 100;

/** How long a system that works may take on a slow, busy machine. */
export const patience = 60_000;

/**
 * Waits until check returns anything but a string, undefined or false, and
 * returns that. A string says why it does not hold yet; a thrown error counts as
 * one.
 * @template T
 * @param {string} what for the failure message
 * @param {() => T | string | undefined | false | Promise<T | string | undefined | false>} check
 * @param {number} [timeout] milliseconds
 * @returns {Promise<T>}
 */
export async function until(what, check, timeout = patience) {
  const deadline = Date.now() + timeout;
  let pause = firstPause;
  for (;;) {
    const start = Date.now();
    const [held, result] = await attempt(check);
    if (held) {
      return /** @type {T} */ (result);
    }
    if (Date.now() > deadline) {
      throw new Error(`after ${timeout} ms still waiting until ${what}: ${result || 'not yet'}`);
    }
    // A check that costs much must not take the time that what it waits for needs.
    await sleep(Math.max(pause, Date.now() - start));
    pause = Math.min(pause * 2, longestPause);
  }
}

/**
 * @param {() => unknown} check
 * @returns {Promise<[held: boolean, result: unknown]>}
 */
async function attempt(check) {
  try {
    const result = await check();
    const held = typeof result !== 'string' && result !== undefined && result !== false;
    return [held, result];
  } catch (err) {
    return [false, err instanceof Error ? `${err.message} ${err.cause ?? ''}` : String(err)];
  }
}

/**
 * Rejects if the promise takes longer than timeout milliseconds.
 * @template T
 * @param {string} what for the failure message
 * @param {Promise<T>} promise
 * @param {number} [timeout]
 * @returns {Promise<T>}
 */
export async function within(what, promise, timeout = patience) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`after ${timeout} ms still waiting until ${what}`)),
      timeout,
    );
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}

export {sleep};
