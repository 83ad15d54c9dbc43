// One test's world: a project of its own, servers, proxies and clients, all ended
// and checked when the test ends.

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Client} from './client.js';
import {startEmulator} from './emulator.js';
import {pull} from './http.js';
import {Proxy} from './proxy.js';
import {Random, processSeed} from './random.js';
import {Server, fsck, setup} from './server.js';
import {until} from './wait.js';
import {applyPatch, viewDiff} from './view.js';

/**
 * @typedef {import('./client.js').ClientOptions} ClientOptions
 * @typedef {'firestore' | 'memory'} Store
 */

const testTimeout = 600_000;
const space = 'room';

let worlds = 0;

/**
 * Declares a test of one promise. Its body gets a World; afterwards everything is
 * stopped, every server must have ended with code 0, no client may have
 * complained about the protocol, and fsck must find nothing.
 * @param {string} name
 * @param {(world: World) => Promise<void>} body
 * @param {{store?: Store, timeout?: number}} [options]
 */
export function promise(name, body, {store = 'firestore', timeout = testTimeout} = {}) {
  // An empty string would skip, too.
  const skip = (store === 'firestore' && setup.noEmulator) || false;
  test(name, {timeout, skip}, async t => {
    assert.ok(setup.binary, 'REPLIFIRE_BIN is not set: start the tests with npm test');
    const world = new World(store, line => t.diagnostic(line));
    try {
      await body(world);
      await world.end();
    } catch (err) {
      t.diagnostic(world.describe());
      throw err;
    } finally {
      await world.abandon();
    }
  });
}

export class World {
  /** @type {Server[]} */
  #servers = [];
  /** @type {Proxy[]} */
  #proxies = [];
  /** @type {Client[]} */
  #clients = [];
  #names = 0;
  /** @type {import('./emulator.js').Emulator | undefined} */
  #emulator;
  #store;
  say;
  random = new Random(processSeed);
  /** The Google Cloud project of this test alone. */
  project;
  space = space;

  /**
   * Who the checks of this world are, and clients for which nothing else is said.
   * @type {import('./client.js').Auth | undefined}
   */
  auth;

  /**
   * @param {Store} store
   * @param {(line: string) => void} say prints a line
   */
  constructor(store, say) {
    this.#store = store;
    this.say = say;
    this.project = `replicache-${process.pid}-${Date.now() % 1e6}-${worlds++}`;
  }

  /** The servers that were started, in order. */
  get servers() {
    return this.#servers;
  }

  /** The environment of a server or command of this world. */
  get env() {
    return {
      REPLIFIRE_STORE: this.#store,
      REPLIFIRE_AUTH: 'none',
      REPLIFIRE_POLICY: 'open',
      REPLIFIRE_DEV: 'true',
      GOOGLE_CLOUD_PROJECT: this.project,
      FIRESTORE_EMULATOR_HOST: this.emulator,
    };
  }

  /** Where the emulator is: the one of all tests, or this world's own. */
  get emulator() {
    return this.#emulator?.host ?? setup.emulator;
  }

  /**
   * Starts an emulator for this world alone; again, on the same port, if it has one.
   * @param {string} [metadata] of an export to begin with
   */
  async ownEmulator(metadata) {
    const before = this.#emulator;
    await before?.stop();
    this.#emulator = await startEmulator(metadata, before?.port);
  }

  /** @param {Record<string, string>} [env] */
  async server(env = {}) {
    const server = await Server.start({...this.env, ...env});
    this.#servers.push(server);
    return server;
  }

  /** @param {Server} server */
  async proxy(server) {
    const proxy = await Proxy.listen(server.port, this.random.fork());
    this.#proxies.push(proxy);
    return proxy;
  }

  /**
   * @param {{url: string}} server or a proxy before it
   * @param {Partial<ClientOptions>} [options]
   */
  client(server, options = {}) {
    const client = new Client({
      name: `${this.project}-client-${this.#names++}`,
      url: server.url,
      space,
      random: this.random.fork(),
      ...(this.auth ? {auth: this.auth} : {}),
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /**
   * Waits until the clients have nothing pending and show what a client that has
   * never been here gets; returns that.
   * @param {{url: string}} server
   * @param {Client[]} clients
   * @param {number} [timeout]
   */
  async converged(server, clients, timeout) {
    await until('all clients show what the server has', () => behind(server, clients, this.auth), timeout);
    const fresh = this.client(server);
    await until('a fresh client does too', () => behind(server, [fresh], this.auth), timeout);
    const view = await fresh.view();
    for (const client of clients) {
      assert.equal(viewDiff(await client.view(), view), '', `${client.name} and a fresh client`);
    }
    return view;
  }

  /** Ends everything in order and checks what must hold after every test. */
  async end() {
    const clients = this.#clients.splice(0);
    await Promise.all(clients.map(client => client.close()));
    await Promise.all(this.#proxies.splice(0).map(proxy => proxy.close()));
    await Promise.all(this.#servers.map(server => server.stop()));
    for (const client of clients) {
      assert.deepEqual(client.complaints, [], `the protocol errors that ${client.name} logged`);
    }
    if (this.#store === 'firestore') {
      await fsck(space, this.env);
    }
  }

  /** Ends what is left after a failure; asks nothing of it. */
  async abandon() {
    await Promise.allSettled([
      ...this.#clients.map(client => client.close()),
      ...this.#proxies.map(proxy => proxy.close()),
      ...this.#servers.map(server => server.abandon()),
    ]);
    await this.#emulator?.stop();
  }

  /** What a failure needs: how to run it again, and the last words of all. */
  describe() {
    return [
      `run it again with SEED=${processSeed}`,
      ...this.#clients.slice(0, 5).map(client => client.describe()),
      ...this.#servers.map(server => `${server.url} said:\n${server.output.slice(-4000)}`),
    ].join('\n');
  }
}

/**
 * Says which clients do not show what the server has, or returns true.
 * @param {{url: string}} server
 * @param {Client[]} clients
 * @param {import('./client.js').Auth} [auth]
 */
async function behind(server, clients, auth) {
  for (const client of clients) {
    const pending = await client.pending();
    if (pending > 0) {
      return `${client.name} has ${pending} pending mutations`;
    }
  }
  const authorization = await auth?.renew();
  const {patch} = await pull(server.url, space, authorization ? {authorization} : {});
  const want = applyPatch(patch);
  for (const client of clients) {
    const diff = viewDiff(await client.view(), want);
    if (diff) {
      return `${client.name} differs from the server:\n${diff}`;
    }
  }
  return true;
}
