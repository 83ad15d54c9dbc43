// A database that goes back in time, and nobody says so: an emulator that is started again from
// an older export, under a server that runs on. What was written after the export is lost; the
// clients that have seen it go on by themselves.

import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {exportTo} from '../lib/emulator.js';
import {until} from '../lib/wait.js';
import {promise} from '../lib/world.js';

/**
 * @typedef {import('../lib/client.js').Client} Client
 * @typedef {import('../lib/world.js').World} World
 */

/**
 * @param {Client} client
 * @param {string} id
 */
function create(client, id) {
  return client.mutate.createMessage({id, from: client.name, content: id, order: 1});
}

/** @param {Record<string, unknown>} view */
const ids = view => Object.keys(view).sort();

/**
 * Writes messages, each in a commit of its own, or nearly.
 * @param {Client} client
 * @param {string} prefix
 * @param {number} n
 */
async function write(client, prefix, n) {
  for (let i = 0; i < n; i++) {
    await create(client, `${prefix}${i}`);
    await until('the server has it', async () => {
      await client.pull();
      return (await client.pending()) === 0;
    });
  }
}

/**
 * @param {World} world
 * @param {{others: number, pokes: boolean}} how many commits others make before the clients
 *   that have seen what is lost come back, and whether those listen all the time
 */
async function goesBack(world, {others, pokes}) {
  const folder = await mkdtemp(join(tmpdir(), 'replifire-history-'));
  try {
    await world.ownEmulator();
    const server = await world.server();
    const [writer, reader, idle] = [1, 2, 3].map(() => world.client(server, {pokes}));
    await write(writer, 'before', 3);
    await create(idle, 'idle');
    await until('all is written', async () => (await idle.pull(), (await idle.pending()) === 0));
    const metadata = await exportTo(world.emulator, world.project, join(folder, 'morning'));
    await write(writer, 'lost', 3);
    await reader.pull();
    assert.equal(ids(await reader.view()).length, 7, 'messages that the reader sees');

    await world.ownEmulator(metadata);
    const other = world.client(server);
    await write(other, 'other', others);

    await create(writer, 'given up, or not');
    await Promise.all([writer, reader, idle].map(client => client.pull()));
    const clients = [writer, reader, idle, other];
    const view = await settled(world, server, clients);
    assert.ok(!('message/lost0' in view), 'what is lost is lost for all');
    assert.ok('message/before0' in view, 'what was exported is there');
    for (const [i, client] of clients.entries()) {
      await create(client, `after${i}`);
    }
    const after = ids(await settled(world, server, clients));
    for (const i of clients.keys()) {
      assert.ok(after.includes(`message/after${i}`), `what client ${i} writes afterwards stays`);
    }
    assert.equal(
      after.filter(id => id.startsWith('message/other')).length,
      others,
      'what the others have written',
    );
    for (const {name, reloads} of clients) {
      assert.ok(reloads <= 1, `${name} reloaded ${reloads} times`);
    }
    assert.equal(reader.reloads, 0, 'who only reads needs no reload');
    assert.equal(writer.reloads, 1, 'who has lost what was confirmed starts afresh');
  } finally {
    await rm(folder, {recursive: true});
  }
}

/**
 * Has all clients pull until they show the same, with nothing pending.
 * @param {World} world
 * @param {{url: string}} server
 * @param {Client[]} clients
 */
async function settled(world, server, clients) {
  await until('nothing is pending', async () => {
    await Promise.all(clients.map(client => client.pull()));
    const pending = await Promise.all(clients.map(client => client.pending()));
    return pending.every(n => n === 0) || `pending: ${pending}`;
  });
  await Promise.all(clients.map(client => client.pull()));
  return world.converged(server, clients);
}

promise('an emulator that is started from an older export: its clients heal at once', world =>
  goesBack(world, {others: 0, pokes: true}),
);

promise('... and when another client has written as much as is lost', world =>
  goesBack(world, {others: 3, pokes: false}),
);

promise('... and when another client has written more than what is lost', world =>
  goesBack(world, {others: 8, pokes: false}),
);
