// Users whose rights end while they write, with the package @replifire/client as an app has it.

import assert from 'node:assert/strict';
import {messageKey} from '../lib/mutators.js';
import {replifire} from '../lib/sync.js';
import {membersOnly, setRole, tokenOf} from '../lib/users.js';
import {until} from '../lib/wait.js';
import {promise} from '../lib/world.js';

/**
 * @typedef {import('../lib/world.js').World} World
 * @typedef {import('../lib/client.js').Rejection & {clientID: string}} Told
 */

const [owner, user] = ['ann', 'bob'];
const saved = {id: 'saved', from: user, content: 'as a writer', order: 1};
const refused = {id: 'refused', from: user, content: 'as something less', order: 2};

/**
 * A client of a user who has written something, and what it is told of.
 * @param {World} world
 */
async function writer(world) {
  const server = await world.server(membersOnly);
  const token = `Bearer ${tokenOf(owner)}`;
  world.auth = {current: () => token, renew: async () => token};
  await setRole(server, world.space, owner, owner, 'owner');
  await setRole(server, world.space, owner, user, 'writer');
  /** @type {Told[]} */
  const told = [];
  /** @type {number[]} */
  const lost = [];
  const client = world.client(server, {
    sync: address =>
      replifire({
        ...address,
        auth: () => tokenOf(user),
        onRejected: (clientID, rejection) => told.push({clientID, ...rejection}),
        onMutationsLost: ({mutations}) => void lost.push(mutations),
      }),
  });
  await client.mutate.createMessage(saved);
  await until('it is saved', async () => (await client.pending()) === 0);
  return {server, client, told, lost};
}

/** @param {typeof saved} message */
function shown({id, ...message}) {
  return {[messageKey(id)]: message};
}

promise('a reader is told that what they push is rejected, and sees what is true', async world => {
  const {server, client, told} = await writer(world);
  await setRole(server, world.space, owner, user, 'reader');
  await client.mutate.createMessage(refused);
  await client.mutate.updateMessage({id: saved.id, content: 'changed'});
  await until('both are acknowledged', async () => (await client.pending()) === 0);
  await until('the app is told of both', () => told.length === 2 || JSON.stringify(told));
  assert.deepEqual(
    told.map(({clientID, id, name}) => ({clientID, id, name})),
    [
      {clientID: client.rep.clientID, id: 2, name: 'createMessage'},
      {clientID: client.rep.clientID, id: 3, name: 'updateMessage'},
    ],
    'the rejections',
  );
  told.forEach(({reason}) => assert.match(reason, /you may read this space/));
  assert.deepEqual(await client.view(), shown(saved), 'what the reader sees');
  assert.deepEqual(await world.converged(server, [client]), shown(saved), 'what everybody sees');

  await setRole(server, world.space, owner, user, 'writer');
  await client.mutate.createMessage(refused);
  const view = await world.converged(server, [client]);
  assert.deepEqual(view, {...shown(saved), ...shown(refused)}, 'a writer again');
  assert.equal(told.length, 2, 'rejections');
});

promise('what a removed member writes is not taken for saved, and not lost', async world => {
  const {server, client, told, lost} = await writer(world);
  const id = client.rep.clientID;
  await setRole(server, world.space, owner, user, undefined);
  await client.mutate.createMessage(refused);
  await until('pushes are refused', () => client.pushes.includes(403));
  // The stream may stay open for a while; the next one is not opened.
  await client.pull();
  assert.equal(await client.pending(), 1, 'it counts as not saved');
  const both = {...shown(saved), ...shown(refused)};
  assert.deepEqual(await client.view(), both, 'the app goes on with what it has');
  assert.deepEqual([told, lost], [[], []], 'nothing was decided about it');

  await setRole(server, world.space, owner, user, 'writer');
  assert.deepEqual(await world.converged(server, [client]), both, 'a member again');
  assert.equal(client.rep.clientID, id, 'the same client');
});
