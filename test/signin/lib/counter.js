// A proxy that counts what a server is asked, and how it answers.

import {createServer, request} from 'node:http';
import {once} from 'node:events';

export class Counter {
  #target;
  #server;
  #port = 0;
  /** @type {{route: string, status: number}[]} in the order of the answers */
  answers = [];

  /** @param {number} target the port of the server, on the loopback interface */
  constructor(target) {
    this.#target = target;
    this.#server = createServer((asked, answer) => this.#pass(asked, answer));
  }

  /** @param {{port: number}} server */
  static async listen(server) {
    const counter = new Counter(server.port);
    counter.#server.listen(0, '127.0.0.1');
    await once(counter.#server, 'listening');
    counter.#port = /** @type {import('node:net').AddressInfo} */ (counter.#server.address()).port;
    return counter;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /**
   * How many answers there were of a route (such as "push") and a status, or of all.
   * @param {{route?: string, status?: number}} [which]
   */
  count({route, status} = {}) {
    return this.answers.filter(
      answer =>
        (route === undefined || answer.route === route) &&
        (status === undefined || answer.status === status),
    ).length;
  }

  /** The counts, for people. */
  toString() {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const {route, status} of this.answers) {
      counts[`${route} ${status}`] = (counts[`${route} ${status}`] ?? 0) + 1;
    }
    return Object.entries(counts)
      .sort()
      .map(([what, n]) => `${what}: ${n}`)
      .join(', ');
  }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  /**
   * @param {import('node:http').IncomingMessage} asked
   * @param {import('node:http').ServerResponse} answer
   */
  #pass(asked, answer) {
    const {method, url = '', headers} = asked;
    const onward = request({port: this.#target, host: '127.0.0.1', method, path: url, headers});
    onward.on('response', incoming => {
      const status = incoming.statusCode ?? 0;
      this.answers.push({route: /([a-z-]+)(\?|$)/.exec(url)?.[1] ?? url, status});
      answer.writeHead(status, incoming.headers);
      answer.flushHeaders();
      incoming.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  }
}
