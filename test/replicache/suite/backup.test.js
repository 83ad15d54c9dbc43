// Backups: a space is exported, lives on, and is put back under its clients.

import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {wipe} from '../lib/emulator.js';
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

    await Promise.all(clients.map(client => client.rep.pull({now: true})));
    await until('every client shows the backup', async () => {
      const views = await Promise.all(clients.map(client => client.view()));
      return views.every(view => ids(view).join() === 'message/before');
    });
    const last = world.client(server);
    for (const [i, client] of [...clients, last].entries()) {
      await create(client, `after${i}`);
    }
    const view = await world.converged(server, [...clients, last]);
    assert.deepEqual(
      ids(view),
      ['message/after0', 'message/after1', 'message/after2', 'message/after3', 'message/before'],
      'the view in the end',
    );
    for (const {name, reloads} of clients) {
      assert.ok(reloads <= 1, `${name} reloaded ${reloads} times`);
    }
    assert.ok(early.reloads === 1, 'who has seen more than the backup holds starts afresh');
  } finally {
    await rm(folder, {recursive: true});
  }
}

promise('a backup put back under clients that have seen more: all go on', world =>
  restore(world, {wiped: false}),
);

promise('a backup put into a wiped database: all go on', world => restore(world, {wiped: true}));
