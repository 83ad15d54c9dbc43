// The poke stream as an app reads it: server-sent events over fetch, connected
// again whenever it ends.

import {sleep} from './wait.js';

const shortestPause = 10; // milliseconds before it connects again
const longestPause = 150;
const refusedPause = 1000; // when there is no better token

/** @typedef {{version: number}} Poke */

export class PokeStream {
  #url;
  #onPoke;
  #random;
  #auth;
  #closing = false;
  #connection = new AbortController();
  #loop;
  /** How often it was connected. */
  connects = 0;
  /** The pokes that arrived. */
  pokes = 0;
  /** @type {unknown} why the last connection ended */
  lastError;

  /**
   * @param {string} url
   * @param {(poke: Poke) => void} onPoke
   * @param {import('./random.js').Random} random
   * @param {import('./client.js').Auth} [auth]
   */
  constructor(url, onPoke, random, auth) {
    this.#url = url;
    this.#onPoke = onPoke;
    this.#random = random;
    this.#auth = auth;
    this.#loop = this.#run();
  }

  /** Ends the present connection, as a network does. */
  cut() {
    this.#connection.abort(new Error('cut by the client'));
  }

  async close() {
    this.#closing = true;
    this.cut();
    await this.#loop;
  }

  async #run() {
    while (!this.#closing) {
      this.#connection = new AbortController();
      try {
        await this.#read(this.#connection.signal);
      } catch (err) {
        this.lastError = err;
      }
      await sleep(this.#random.between(shortestPause, longestPause));
    }
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    const headers = {
      accept: 'text/event-stream',
      ...(this.#auth ? {authorization: this.#auth.current()} : {}),
    };
    const answer = await fetch(this.#url, {signal, headers});
    if (answer.status === 401 && this.#auth && !(await this.#auth.renew())) {
      await sleep(refusedPause, undefined, {signal});
    }
    const type = answer.headers.get('content-type') ?? '';
    if (answer.status !== 200 || !type.startsWith('text/event-stream') || !answer.body) {
      throw new Error(`poke stream: ${answer.status} ${type} ${await answer.text()}`);
    }
    this.connects++;
    for await (const event of events(answer.body)) {
      if (event.name === 'poke') {
        this.pokes++;
        this.#onPoke(JSON.parse(event.data));
      }
    }
  }
}

/**
 * Parses a stream of server-sent events.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{name: string, data: string}>}
 */
async function* events(body) {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    text += decoder.decode(chunk, {stream: true});
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      yield parse(block);
    }
  }
}

/** @param {string} block */
function parse(block) {
  const event = {name: 'message', data: ''};
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') {
      event.name = value ?? '';
    } else if (field === 'data') {
      event.data += value;
    }
  }
  return event;
}
