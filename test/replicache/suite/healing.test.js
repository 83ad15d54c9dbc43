// Clients whose server is not the one they knew: wiped, another one, or emptied.
// They go on by themselves, without a loop of reloads.

import assert from 'node:assert/strict';
import {createServer} from 'node:http';
import {once} from 'node:events';
import {promise} from '../lib/world.js';
import {wipe} from '../lib/emulator.js';
import {init} from '../lib/http.js';
import {setup} from '../lib/server.js';
import {until} from '../lib/wait.js';
import {Journal} from '../lib/workload.js';

/**
 * @typedef {import('../lib/client.js').Client} Client
 * @typedef {import('../lib/world.js').World} World
 */

const mostReloads = 2; // more would be a loop

/**
 * @param {Client} client
 * @param {string} id
 */
function create(client, id) {
  return client.mutate.createMessage({id, from: client.name, content: id, order: 1});
}

/** @param {Client[]} clients */
function checkReloads(clients) {
  for (const {name, reloads} of clients) {
    assert.ok(reloads <= mostReloads, `${name} reloaded ${reloads} times`);
  }
}

/**
 * Writes a message until it stays: one that was written just before a reload is
 * lost with the old client, which the protocol allows.
 * @param {World} world
 * @param {{url: string}} server
 * @param {Client} client
 * @param {string} prefix
 */
async function createUntilItStays(world, server, client, prefix) {
  let attempt = 0;
  const stayed = await until(`a message ${prefix} of ${client.name} stays`, async () => {
    const id = `${prefix}${attempt++}`;
    await create(client, id);
    const {reloads} = client;
    await until('it is acknowledged, or the client starts afresh', async () => {
      return client.reloads > reloads || (await client.pending()) === 0;
    });
    const view = await world.converged(server, [client]);
    return `message/${id}` in view && {id};
  });
  return stayed.id;
}

/**
 * Wipes the emulator under clients that have data.
 * @param {World} world
 */
async function wiped(world) {
  const server = await world.server();
  const clients = [world.client(server), world.client(server)];
  for (const [i, client] of clients.entries()) {
    await create(client, `a${i}`);
    await create(client, `b${i}`);
  }
  assert.equal(Object.keys(await world.converged(server, clients)).length, 4, 'messages before');
  await wipe(setup.emulator, world.project);
  return {server, clients};
}

promise('after a wipe, clients that only read show the empty space', async world => {
  const {server, clients} = await wiped(world);
  await Promise.all(clients.map(client => client.pull()));
  assert.deepEqual(await world.converged(server, clients), {}, 'the view after the wipe');
  checkReloads(clients);
});

promise('after a wipe, clients that write go on by themselves', async world => {
  const {server, clients} = await wiped(world);
  const ids = [];
  for (const client of clients) {
    ids.push(await createUntilItStays(world, server, client, `after-${ids.length}-`));
  }
  const view = await world.converged(server, clients);
  assert.deepEqual(
    Object.keys(view).sort(),
    ids.map(id => `message/${id}`).sort(),
    'only what was written after the wipe',
  );
  checkReloads(clients);
});

promise('after a wipe and a restart of the server, clients go on too', async world => {
  const {server, clients} = await wiped(world);
  await server.stop();
  await server.start();
  for (const [i, client] of clients.entries()) {
    await createUntilItStays(world, server, client, `after-${i}-`);
  }
  await world.converged(server, clients);
  checkReloads(clients);
});

/**
 * A server of another make: it answers every pull with the same cookie and one
 * message, and acknowledges every push.
 * @param {unknown} cookie
 */
async function foreignServer(cookie) {
  /** @type {Record<string, number>} */
  const acknowledged = {};
  let changes = 0;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    const {mutations} = JSON.parse(body);
    for (const {clientID, id} of mutations ?? []) {
      acknowledged[clientID] = id;
      changes++;
    }
    const answer = {
      cookie: changes === 0 ? cookie : nextCookie(cookie, changes),
      lastMutationIDChanges: acknowledged,
      patch: [{op: 'put', key: 'message/foreign', value: {from: 'x', content: 'y', order: 1}}],
    };
    response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * @param {unknown} cookie
 * @param {number} changes
 */
function nextCookie(cookie, changes) {
  if (typeof cookie === 'number') {
    return cookie + changes;
  }
  if (typeof cookie === 'string') {
    return `${cookie}${changes}`;
  }
  return {.../** @type {{order: number}} */ (cookie), order: 1e6 + changes};
}

const foreignCookies = {
  'the number 42': 42,
  'the string "zz"': 'zz',
  'an object of another server': {order: 1e6, cvrID: 'abc'},
  'an object with a string order': {order: 'zz', version: 7, epoch: 'theirs'},
};

for (const [what, cookie] of Object.entries(foreignCookies)) {
  promise(`a client with ${what} as its cookie is given everything anew`, async world => {
    const foreign = await foreignServer(cookie);
    try {
      const server = await world.server();
      const native = world.client(server);
      await create(native, 'native');
      await world.converged(server, [native]);
      const client = world.client(foreign, {pokes: false});
      await until('the client has the foreign data', async () => {
        return 'message/foreign' in (await client.view());
      });
      await client.moveTo(server.url);
      await client.pull();
      const view = await world.converged(server, [client]);
      assert.deepEqual(Object.keys(view), ['message/native'], 'the view');
      await create(client, 'more');
      await client.rep.push({now: true});
      await client.pull();
      const after = await world.converged(server, [client]);
      assert.ok('message/more' in after, 'it can go on writing');
      assert.equal(client.reloads, 0, 'reloads');
    } finally {
      foreign.close();
    }
  });
}

promise('a client that wrote to another server starts afresh, once', async world => {
  const foreign = await foreignServer(42);
  try {
    const server = await world.server();
    const client = world.client(foreign, {pokes: false});
    await create(client, 'lost');
    await client.rep.push({now: true});
    await client.pull();
    await until('the other server has acknowledged it', async () => {
      return (await client.pending()) === 0;
    });
    await client.moveTo(server.url);
    await create(client, 'refused');
    await until('the client was told to start afresh', () => client.reloads > 0);
    await until('it has', async () => !client.rep.closed && client.pulls > 0);
    const listener = world.client(server);
    await create(client, 'kept');
    await client.rep.push({now: true});
    await until('the message arrives', async () => 'message/kept' in (await listener.view()));
    await client.pull();
    await world.converged(server, [client, listener]);
    assert.equal(client.reloads, 1, 'reloads');
  } finally {
    foreign.close();
  }
});

promise('/api/init empties the space; its clients go on writing', async world => {
  const server = await world.server();
  const clients = [world.client(server), world.client(server), world.client(server)];
  for (const [i, client] of clients.entries()) {
    await create(client, `before${i}`);
  }
  await world.converged(server, clients);
  await init(server.url, world.space);
  await until('every client shows an empty space', async () => {
    const views = await Promise.all(clients.map(client => client.view()));
    const left = views.flatMap(view => Object.keys(view));
    return left.length === 0 || left.join();
  });
  for (const [i, client] of clients.entries()) {
    await create(client, `after${i}`);
  }
  const view = await world.converged(server, clients);
  assert.deepEqual(
    Object.keys(view).sort(),
    clients.map((_, i) => `message/after${i}`),
    'the view after init',
  );
  assert.deepEqual(
    clients.map(client => client.reloads),
    [0, 0, 0],
    'reloads: the lastMutationIDs survive',
  );
});

promise('/api/init in the middle of writing leaves all with one view', async world => {
  const server = await world.server();
  const clients = Array.from({length: 6}, () => world.client(server));
  const journal = new Journal();
  const writing = Promise.all(
    clients.map(client => journal.write(client, 30, world.random.fork())),
  );
  let done = false;
  writing.finally(() => (done = true)).catch(() => {});
  let resets = 0;
  while (!done) {
    await init(server.url, world.space);
    resets++;
  }
  await writing;
  world.say(`${resets} resets`);
  await world.converged(server, clients);
  assert.deepEqual(clients.map(client => client.reloads), clients.map(() => 0), 'reloads');
});
