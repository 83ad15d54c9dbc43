// A TCP proxy between a client and its server: it can refuse, cut and delay
// connections, as networks do.

import {connect, createServer} from 'node:net';
import {once} from 'node:events';

/**
 * @typedef {import('node:net').Socket} Socket
 * @typedef {import('./random.js').Random} Random
 *
 * Faults are probabilities, each for one chunk of data on its way.
 * @typedef {object} Faults
 * @property {number} lostRequest the connection is cut before the server sees it
 * @property {number} lostReply the connection is cut before the client sees it
 * @property {number} delay it waits a while
 */

/** @type {Faults} */
const none = {lostRequest: 0, lostReply: 0, delay: 0};

/** @type {Faults} */
export const badNetwork = {lostRequest: 0.08, lostReply: 0.08, delay: 0.1};

const longestDelay = 150; // milliseconds

export class Proxy {
  #server;
  #port = 0;
  #random;
  /** @type {Set<Socket>} */
  #sockets = new Set();
  #faults = none;
  #refusing = false;
  /** Where new connections go; may be changed. */
  target;
  /** How many connections were cut. */
  cuts = 0;

  /**
   * @param {number} target the port of the server, on the loopback interface
   * @param {Random} random
   */
  constructor(target, random) {
    this.target = target;
    this.#random = random;
    this.#server = createServer(client => this.#serve(client));
  }

  /**
   * @param {number} target
   * @param {Random} random
   */
  static async listen(target, random) {
    const proxy = new Proxy(target, random);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    const address = /** @type {import('node:net').AddressInfo} */ (proxy.#server.address());
    proxy.#port = address.port;
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** @param {Faults} faults */
  misbehave(faults) {
    this.#faults = faults;
  }

  behave() {
    this.#faults = none;
  }

  /** Refuses connections and cuts those that exist: the client is offline. */
  disconnect() {
    this.#refusing = true;
    this.cutAll();
  }

  reconnect() {
    this.#refusing = false;
  }

  cutAll() {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async close() {
    this.#server.close();
    this.disconnect();
    await once(this.#server, 'close');
  }

  /** @param {Socket} client */
  #serve(client) {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const server = connect(this.target, '127.0.0.1');
    this.#join(client, server, () => this.#faults.lostRequest);
    this.#join(server, client, () => this.#faults.lostReply);
  }

  /**
   * @param {Socket} from
   * @param {Socket} to
   * @param {() => number} loss
   */
  #join(from, to, loss) {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on('data', chunk => {
      if (this.#random.chance(loss())) {
        this.cuts++;
        from.destroy();
        return;
      }
      from.pause();
      const pass = () => to.write(chunk, () => from.resume());
      if (this.#random.chance(this.#faults.delay)) {
        setTimeout(pass, this.#random.between(1, longestDelay));
      } else {
        pass();
      }
    });
  }
}
