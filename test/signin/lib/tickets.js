// A poke stream by plain EventSource, which cannot send a header: it is opened by a
// ticket, and with a new one when the last is no longer taken.

import {EventSource} from 'eventsource';
import {routeURL, post} from '../../replicache/lib/http.js';
import {sleep} from '../../replicache/lib/wait.js';

const refusedPause = 1000; // milliseconds, when there is no ticket to be had

export class TicketStream {
  #base;
  #space;
  #auth;
  #onPoke;
  #closing = false;
  /** Ends the present connection. */
  #end = () => {};
  #loop;
  tickets = 0;
  pokes = 0;

  /**
   * @param {string} base the server's URL
   * @param {string} space
   * @param {import('../../replicache/lib/client.js').Auth} auth
   * @param {() => unknown} onPoke
   */
  constructor(base, space, auth, onPoke) {
    this.#base = base;
    this.#space = space;
    this.#auth = auth;
    this.#onPoke = onPoke;
    this.#loop = this.#run();
  }

  async close() {
    this.#closing = true;
    this.#end();
    await this.#loop;
  }

  async #run() {
    while (!this.#closing) {
      const ticket = await this.#ticket();
      if (ticket) {
        await this.#listen(ticket);
      } else {
        await sleep(refusedPause);
      }
    }
  }

  async #ticket() {
    const url = routeURL(this.#base, 'poke-ticket', this.#space);
    let answer = await post(url, undefined, this.#auth.current());
    if (answer.status === 401) {
      const renewed = await this.#auth.renew();
      answer = await post(url, undefined, renewed);
    }
    this.tickets += answer.status === 200 ? 1 : 0;
    return answer.json?.ticket;
  }

  /**
   * Listens until the server takes the ticket no more. Where only the connection ends,
   * an EventSource connects again by itself.
   * @param {string} ticket
   * @returns {Promise<void>}
   */
  #listen(ticket) {
    const url = `${routeURL(this.#base, 'poke', this.#space)}&ticket=${encodeURIComponent(ticket)}`;
    const source = new EventSource(url);
    return new Promise(resolve => {
      this.#end = () => {
        source.close();
        resolve();
      };
      source.addEventListener('poke', () => {
        this.pokes++;
        this.#onPoke();
      });
      source.addEventListener('error', () => {
        if (source.readyState === source.CLOSED) {
          resolve();
        }
      });
      if (this.#closing) {
        this.#end();
      }
    });
  }
}
