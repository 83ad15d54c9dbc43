// Many clients in one space: whatever the network and the servers do, all see the
// same in the end, and every mutation counts once.

import assert from 'node:assert/strict';
import {promise} from '../lib/world.js';
import {badNetwork} from '../lib/proxy.js';
import {Journal} from '../lib/workload.js';
import {sleep} from '../lib/wait.js';

/**
 * @typedef {import('../lib/world.js').World} World
 * @typedef {import('../lib/server.js').Server} Server
 * @typedef {import('../lib/client.js').Client} Client
 */

const restarts = 5;

/**
 * Clients behind one bad network each write at once; and go on in rounds for as
 * long as something else happens.
 * @param {World} world
 * @param {{servers: Server[], clients: number, mutations: number}} plan
 * @param {() => Promise<void>} [meanwhile] what else happens
 */
async function everybodyWrites(world, {servers, clients: count, mutations}, meanwhile) {
  const proxies = await Promise.all(servers.map(server => world.proxy(server)));
  const clients = Array.from({length: count}, (_, i) =>
    world.client(proxies[i % proxies.length] ?? proxies[0]),
  );
  const journal = new Journal();
  proxies.forEach(proxy => proxy.misbehave(badNetwork));
  const stop = new AbortController();
  const cutting = cutStreams(world, clients, stop.signal);
  const event = runOnce(meanwhile);
  await Promise.all(
    clients.map(async client => {
      const random = world.random.fork();
      do {
        await journal.write(client, mutations, random);
      } while (event.running);
    }),
  );
  await event.done;
  stop.abort();
  await cutting;
  proxies.forEach(proxy => proxy.behave());
  await check(world, servers[0], clients, journal);
  const cuts = proxies.reduce((sum, proxy) => sum + proxy.cuts, 0);
  world.say(`${count} clients, ${journal.count()} mutations, ${cuts} connections cut`);
}

/** @param {(() => Promise<void>) | undefined} task */
function runOnce(task) {
  const event = {running: task !== undefined, done: Promise.resolve()};
  if (task) {
    event.done = task().finally(() => (event.running = false));
    event.done.catch(() => {}); // whoever waits for it hears of it
  }
  return event;
}

/**
 * @param {World} world
 * @param {Server | undefined} server
 * @param {Client[]} clients
 * @param {Journal} journal
 */
async function check(world, server, clients, journal) {
  assert.ok(server);
  const view = await world.converged(server, clients);
  await journal.check(view, server, world.space, clients);
  const reloads = clients.map(client => client.reloads);
  assert.deepEqual(reloads, clients.map(() => 0), 'reloads');
}

/**
 * Cuts the poke stream of one client after another until told to stop.
 * @param {World} world
 * @param {Client[]} clients
 * @param {AbortSignal} stop
 */
async function cutStreams(world, clients, stop) {
  const random = world.random.fork();
  while (!stop.aborted) {
    random.pick(clients).pokes?.cut();
    await sleep(random.between(5, 60));
  }
}

promise('20 clients with 50 random mutations each converge over a bad network', async world => {
  const server = await world.server();
  await everybodyWrites(world, {servers: [server], clients: 20, mutations: 50});
});

promise(
  'the memory store does the same',
  async world => {
    const server = await world.server();
    await everybodyWrites(world, {servers: [server], clients: 10, mutations: 30});
  },
  {store: 'memory'},
);

promise('two servers on one space: clients of both converge', async world => {
  const servers = [await world.server(), await world.server()];
  await everybodyWrites(world, {servers, clients: 20, mutations: 30});
});

for (const [how, end] of /** @type {const} */ ([
  ['kill -9', 'kill'],
  ['SIGTERM', 'stop'],
])) {
  promise(`${how} under writing clients loses nothing and doubles nothing`, async world => {
    const server = await world.server();
    const random = world.random.fork();
    const plan = {servers: [server], clients: 10, mutations: 20};
    await everybodyWrites(world, plan, async () => {
      for (let i = 0; i < restarts; i++) {
        await sleep(random.between(100, 600));
        await server[end]();
        await server.start();
      }
    });
  });
}
