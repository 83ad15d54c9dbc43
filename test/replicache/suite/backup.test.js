// Backups: a space is exported, lives on, and is put back under its clients.

import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {exportTo, startEmulator, wipe} from '../lib/emulator.js';
import {command, setup} from '../lib/server.js';
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
 * All clients show what the backup holds, and go on with each other.
 * @param {World} world
 * @param {{url: string}} server
 * @param {Client[]} clients
 * @param {string[]} [more] that was written since
 */
async function heal(world, server, clients, more = []) {
  await Promise.all(clients.map(client => client.pull()));
  const shown = [...more, 'message/before'].sort();
  await until('every client shows the backup', async () => {
    const views = await Promise.all(clients.map(client => client.view()));
    return views.every(view => ids(view).join() === shown.join());
  });
  const last = world.client(server);
  for (const [i, client] of [...clients, last].entries()) {
    await create(client, `after${i}`);
  }
  const view = await world.converged(server, [...clients, last]);
  assert.deepEqual(
    ids(view),
    ['message/after0', 'message/after1', 'message/after2', 'message/after3', ...shown].sort(),
    'the view in the end',
  );
  for (const {name, reloads} of clients) {
    assert.ok(reloads <= 1, `${name} reloaded ${reloads} times`);
  }
}

/**
 * Some write before the backup, some after, one only reads; then it is put back.
 * @param {World} world
 * @param {{wiped: boolean}} how
 */
async function restore(world, {wiped}) {
  const folder = await mkdtemp(join(tmpdir(), 'replifire-backup-'));
  const file = join(folder, 'room.jsonl.gz');
  const server = await world.server();
  try {
    const early = world.client(server);
    const reader = world.client(server);
    await create(early, 'before');
    await world.converged(server, [early, reader]);
    await command(['export', world.space, '-o', file], world.env);

    const late = world.client(server);
    await create(early, 'lost1');
    await create(late, 'lost2');
    const clients = [early, reader, late];
    assert.equal(ids(await world.converged(server, clients)).length, 3, 'messages before');
    if (wiped) {
      await wipe(setup.emulator, world.project);
    }
    await command(['import', world.space, file, '--replace'], world.env);

    await heal(world, server, clients);
    assert.ok(early.reloads === 1, 'who has seen more than the backup holds starts afresh');
  } finally {
    await rm(folder, {recursive: true});
  }
}

promise('a backup put back under clients that have seen more: all go on', world =>
  restore(world, {wiped: false}),
);

promise('a backup put into a wiped database: all go on', world => restore(world, {wiped: true}));

promise('a managed export is imported into another database: all go on', async world => {
  const folder = await mkdtemp(join(tmpdir(), 'replifire-backup-'));
  const server = await world.server();
  /** @type {Awaited<ReturnType<typeof startEmulator>> | undefined} */
  let other;
  try {
    const early = world.client(server);
    const reader = world.client(server);
    await create(early, 'before');
    await world.converged(server, [early, reader]);
    const metadata = await exportTo(setup.emulator, world.project, join(folder, 'managed'));
    const late = world.client(server);
    await create(early, 'lost1');
    await create(late, 'lost2');
    const clients = [early, reader, late];
    assert.equal(ids(await world.converged(server, clients)).length, 3, 'messages before');
    await server.stop();

    other = await startEmulator(metadata);
    const env = {...world.env, FIRESTORE_EMULATOR_HOST: other.host};
    await command(['restored', world.space], env);
    const next = await world.server({FIRESTORE_EMULATOR_HOST: other.host});
    // The space goes beyond the version that the others have seen of the old one.
    const first = world.client(next);
    const more = [];
    for (let i = 0; i < 5; i++) {
      await create(first, `more${i}`);
      await world.converged(next, [first]);
      more.push(`message/more${i}`);
    }
    await Promise.all(clients.map(client => client.moveTo(next.url)));
    await heal(world, next, clients, more);
    await command(['fsck', world.space], env);
    await Promise.all(clients.map(client => client.close()));
    await next.stop();
  } finally {
    await other?.stop();
    await rm(folder, {recursive: true});
  }
});
