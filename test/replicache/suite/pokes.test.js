// Pokes: without them a client would show nothing new until it asks.

import assert from 'node:assert/strict';
import {promise} from '../lib/world.js';
import {messageKey} from '../lib/mutators.js';
import {until, within} from '../lib/wait.js';

/**
 * @typedef {import('../lib/client.js').Client} Client
 */

const crossings = 20;
const crossingLimit = 45_000; // milliseconds: a server looks by itself every minute, poked or not

/**
 * Resolves when the client's subscription shows the key.
 * @param {Client} client
 * @param {string} key
 * @returns {Promise<void>}
 */
function shows(client, key) {
  /** @type {() => void} */
  let stop = () => {};
  /** @type {Promise<void>} */
  const shown = new Promise(resolve => {
    stop = client.rep.subscribe(tx => tx.has(key), has => has && resolve());
  });
  return shown.finally(() => stop());
}

/**
 * @param {Client} client
 * @param {string} id
 */
function create(client, id) {
  return client.mutate.createMessage({id, from: client.name, content: id, order: 1});
}

/** @param {Client[]} clients */
async function connected(clients) {
  for (const client of clients) {
    await until(`${client.name} is poked on connecting`, () => (client.pokes?.pokes ?? 0) > 0);
  }
}

promise('a push by one client shows in the other without any interval', async world => {
  const server = await world.server();
  const [writer, reader] = [world.client(server), world.client(server)];
  await connected([writer, reader]);
  for (let i = 0; i < 5; i++) {
    const seen = shows(reader, messageKey(`m${i}`));
    await create(writer, `m${i}`);
    await within(`the reader shows message ${i}`, seen);
  }
  await world.converged(server, [writer, reader]);
});

promise('the pusher is poked too: its mutations do not stay pending', async world => {
  const server = await world.server();
  const writer = world.client(server);
  await connected([writer]);
  await create(writer, 'm');
  await until('nothing is pending', async () => (await writer.pending()) === 0);
});

promise('pokes cross from one server to another', async world => {
  const servers = [await world.server(), await world.server()];
  const [writer, reader] = servers.map(server => world.client(server));
  assert.ok(writer && reader);
  await connected([writer, reader]);
  const times = [];
  for (let i = 0; i < crossings; i++) {
    const seen = shows(reader, messageKey(`m${i}`));
    const start = performance.now();
    await create(writer, `m${i}`);
    await within(`message ${i} crosses over`, seen, crossingLimit);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const [median, slowest] = [times[crossings / 2], times.at(-1)].map(ms => ms?.toFixed(0));
  world.say(`from mutation to the other server's client: median ${median} ms, longest ${slowest} ms`);
  await world.converged(servers[0] ?? writer.rep, [writer, reader]);
});

promise('a stream that was cut makes up for the pokes it missed', async world => {
  const server = await world.server();
  const proxy = await world.proxy(server);
  const [writer, reader] = [world.client(server), world.client(proxy)];
  await connected([writer, reader]);
  proxy.disconnect();
  await create(writer, 'm');
  await until('the server has it', async () => (await writer.pending()) === 0);
  const seen = shows(reader, messageKey('m'));
  proxy.reconnect();
  await within('the reader shows what it missed', seen);
});
