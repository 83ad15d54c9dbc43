// Random work, and a journal of it that tells what must come out.

import assert from 'node:assert/strict';
import {pull} from './http.js';
import {messageKey} from './mutators.js';
import {sleep, until} from './wait.js';

/**
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('./random.js').Random} Random
 * @typedef {import('./view.js').View} View
 */

const keyPrefix = messageKey('');
const longestPause = 60; // milliseconds between two mutations of a client

/** What all clients together have asked for. */
export class Journal {
  /** @type {Set<string>} ids of messages */
  created = new Set();
  /** @type {Set<string>} */
  deleted = new Set();
  /** @type {Map<string, Set<string>>} every content a message ever had */
  contents = new Map();
  /** @type {Map<string, string>} the last content of messages only their author touches */
  own = new Map();
  /** @type {Map<string, {group: string, count: number}>} by client id */
  clients = new Map();

  /**
   * Makes a client write count random mutations, faster than any user.
   * @param {Client} client
   * @param {number} count
   * @param {Random} random
   */
  async write(client, count, random) {
    const name = client.name.split('-').pop() ?? '';
    const id = client.rep.clientID;
    const issued = this.clients.get(id)?.count ?? 0;
    for (let i = 0; i < count; i++) {
      await this.#mutate(client, `${name}-${issued + i}`, random);
      await sleep(random.between(0, longestPause));
    }
    assert.equal(client.rep.clientID, id, `${client.name} was reloaded while it wrote`);
    this.clients.set(id, {group: await client.rep.clientGroupID, count: issued + count});
  }

  /**
   * @param {Client} client
   * @param {string} unique
   * @param {Random} random
   */
  async #mutate(client, unique, random) {
    const view = await client.view();
    const ids = Object.keys(view).map(key => key.slice(keyPrefix.length));
    const common = ids.filter(id => !this.own.has(id));
    const own = ids.filter(id => this.own.has(id) && id.startsWith(`${unique.split('-')[0]}-`));
    const dice = random.float();
    if (dice < 0.5 || common.length === 0) {
      await this.#create(client, unique, random.chance(0.3));
    } else if (dice < 0.65 && own.length > 0) {
      await this.#update(client, random.pick(own), `updated by ${unique}`);
    } else if (dice < 0.8) {
      await this.#update(client, random.pick(common), `updated by ${unique}`);
    } else {
      await this.#delete(client, random.pick(common));
    }
  }

  /**
   * @param {Client} client
   * @param {string} id
   * @param {boolean} own
   */
  async #create(client, id, own) {
    const content = `created as ${id}`;
    this.created.add(id);
    this.contents.set(id, new Set([content]));
    if (own) {
      this.own.set(id, content);
    }
    await client.mutate.createMessage({id, from: client.name, content, order: this.created.size});
  }

  /**
   * @param {Client} client
   * @param {string} id
   * @param {string} content
   */
  async #update(client, id, content) {
    this.contents.get(id)?.add(content);
    if (this.own.has(id)) {
      this.own.set(id, content);
    }
    await client.mutate.updateMessage({id, content});
  }

  /**
   * @param {Client} client
   * @param {string} id
   */
  async #delete(client, id) {
    this.deleted.add(id);
    await client.mutate.deleteMessage({id});
  }

  /** How many mutations there are. */
  count() {
    return [...this.clients.values()].reduce((sum, {count}) => sum + count, 0);
  }

  /**
   * Checks that every mutation had its effect, and had it once. A second create
   * would be refused, or bring back what was deleted.
   * @param {View} view what all clients converged to
   * @param {{url: string}} server
   * @param {string} space
   * @param {Client[]} clients
   */
  async check(view, server, space, clients) {
    const want = [...this.created].filter(id => !this.deleted.has(id));
    const got = Object.keys(view).map(key => key.slice(keyPrefix.length));
    assert.deepEqual(got.sort(), want.sort(), 'the messages created and not deleted');
    for (const id of want) {
      const {content} = /** @type {{content: string}} */ (view[messageKey(id)]);
      const own = this.own.get(id);
      if (own !== undefined) {
        assert.equal(content, own, `the last content its author gave to ${id}`);
      }
      assert.ok(this.contents.get(id)?.has(content), `nobody wrote ${id}: ${content}`);
    }
    await this.#checkAcknowledged(server, space);
    this.#checkRejections(clients);
  }

  /**
   * @param {{url: string}} server
   * @param {string} space
   */
  async #checkAcknowledged(server, space) {
    for (const [clientID, {group, count}] of this.clients) {
      // The server may still be under fire: then there is no answer, but never a wrong one.
      const {lastMutationIDChanges} = await until('a pull by hand is answered', () =>
        pull(server.url, space, {clientGroupID: group}),
      );
      assert.equal(lastMutationIDChanges[clientID], count, `the lastMutationID of ${clientID}`);
    }
  }

  /**
   * Nothing is refused but updates of messages that somebody deleted.
   * @param {Client[]} clients
   */
  #checkRejections(clients) {
    const rejections = clients.flatMap(client => Object.values(client.rejections).flat());
    const wrong = rejections.filter(({name}) => name !== 'updateMessage');
    assert.deepEqual(wrong, [], 'mutations that were refused');
  }
}
