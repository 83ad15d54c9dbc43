// Mutations that the server refuses, and versions that it does not know.

import assert from 'node:assert/strict';
import {promise} from '../lib/world.js';
import {messageKey} from '../lib/mutators.js';
import {post, pull, push, routeURL} from '../lib/http.js';
import {until} from '../lib/wait.js';
import {applyPatch} from '../lib/view.js';

promise('a second message with the same id disappears, with a reason', async world => {
  const server = await world.server();
  const [first, second] = [world.client(server), world.client(server, {pokes: false})];
  await until('the second knows the empty space', () => second.pulls > 0);
  const mine = {id: 'm', from: 'first', content: 'mine', order: 1};
  await first.mutate.createMessage(mine);
  await until('the first is acknowledged', async () => (await first.pending()) === 0);
  await second.mutate.createMessage({...mine, from: 'second', content: 'not mine'});
  const {content} = /** @type {{content: string}} */ ((await second.view())[messageKey('m')]);
  assert.equal(content, 'not mine', 'what the second shows at first');
  await second.rep.push({now: true});
  await second.pull();
  const view = await world.converged(server, [first, second]);
  assert.deepEqual(view, {[messageKey('m')]: {from: 'first', content: 'mine', order: 1}}, 'the view');
  const [rejection, ...more] = second.rejections[second.rep.clientID] ?? [];
  assert.deepEqual(more, [], 'one rejection');
  assert.equal(rejection?.id, 1, 'its mutation id');
  assert.equal(rejection?.name, 'createMessage', 'its name');
  assert.ok(rejection?.reason, 'it has a reason');
  assert.deepEqual(first.rejections, {}, 'the first client hears of no rejection');
});

promise('an unknown mutator is refused once, and the client goes on', async world => {
  const server = await world.server();
  const client = world.client(server);
  await client.mutate.unknownToTheServer({key: 'ghost'});
  assert.deepEqual(await client.view(), {ghost: 'only here'}, 'what the client shows at first');
  await client.mutate.createMessage({id: 'm', from: 'x', content: 'after it', order: 1});
  const view = await world.converged(server, [client]);
  assert.deepEqual(Object.keys(view), [messageKey('m')], 'the view');
  const rejections = client.rejections[client.rep.clientID] ?? [];
  assert.deepEqual(
    rejections.map(({id, name}) => ({id, name})),
    [{id: 1, name: 'unknownToTheServer'}],
    'the rejections',
  );
});

promise('an update of an absent message is refused, a deletion is not', async world => {
  const server = await world.server();
  const client = world.client(server);
  await client.mutate.deleteMessage({id: 'absent'});
  await client.mutate.updateMessage({id: 'absent', content: 'x'});
  await client.mutate.createMessage({id: 'm', from: 'x', content: 'y', order: 1});
  await world.converged(server, [client]);
  const rejections = client.rejections[client.rep.clientID] ?? [];
  assert.deepEqual(
    rejections.map(({id, name}) => ({id, name})),
    [{id: 2, name: 'updateMessage'}],
    'the rejections',
  );
});

promise('a schema version that is not accepted makes the client ask for an update', async world => {
  const server = await world.server({REPLIFIRE_SCHEMA_VERSIONS: '2,3'});
  const accepted = world.client(server, {schemaVersion: '2'});
  const old = world.client(server, {schemaVersion: '1'});
  await until('the old client is told', () => old.updatesNeeded.length > 0);
  assert.deepEqual(
    old.updatesNeeded[0],
    {type: 'VersionNotSupported', versionType: 'schema'},
    'what it is told',
  );
  await accepted.mutate.createMessage({id: 'm', from: 'x', content: 'y', order: 1});
  await until('the accepted one syncs', async () => (await accepted.pending()) === 0);
  assert.deepEqual(accepted.updatesNeeded, [], 'what the accepted one is told');
});

promise('errors that the client understands come with status 200', async world => {
  const server = await world.server();
  const pushURL = routeURL(server.url, 'push', world.space);
  const pullURL = routeURL(server.url, 'pull', world.space);
  const create = {name: 'createMessage', args: {id: 'm', from: 'x', content: 'y', order: 1}};
  const push1 = {
    pushVersion: 1,
    profileID: 'p',
    clientGroupID: 'g',
    schemaVersion: '',
    mutations: [{clientID: 'c', id: 1, timestamp: 1.5, ...create}],
  };
  const push0 = {
    pushVersion: 0,
    clientID: 'c',
    schemaVersion: '',
    mutations: [{id: 2, timestamp: 1.5, ...create}],
  };
  const late = {...push1, mutations: [{...push1.mutations[0], id: 2}]};
  const pull1 = {
    pullVersion: 1,
    profileID: 'p',
    clientGroupID: 'g',
    cookie: null,
    schemaVersion: '',
  };
  const notFound = {error: 'ClientStateNotFound'};
  for (const [name, url, request, want] of /** @type {[string, string, object, object][]} */ ([
    ['mutation 2 of an unknown client', pushURL, late, notFound],
    ['the same in version 0', pushURL, push0, notFound],
    ['an unknown push version', pushURL, {...push1, pushVersion: 99}, notSupported('push')],
    ['an unknown pull version', pullURL, {...pull1, pullVersion: 99}, notSupported('pull')],
  ])) {
    const {status, json} = await post(url, request);
    assert.deepEqual({status, ...json}, {status: 200, ...want}, name);
  }
  const {patch} = await pull(server.url, world.space);
  assert.deepEqual(applyPatch(patch), {}, 'the view: nothing was applied');
});

/** @param {string} versionType */
function notSupported(versionType) {
  return {error: 'VersionNotSupported', versionType};
}

promise('a gap in the mutations is an error, and what came before it stays', async world => {
  const server = await world.server();
  /** @param {number} id */
  const create = id => ({
    id,
    name: 'createMessage',
    args: {id: `m${id}`, from: 'x', content: 'y', order: 1},
  });
  const from = {clientGroupID: 'g', clientID: 'c'};
  const gap = await push(server.url, world.space, from, [create(1), create(3)]);
  assert.notEqual(gap.status, 200, 'the status of a push with a gap');
  const answer = await pull(server.url, world.space, {clientGroupID: 'g'});
  assert.deepEqual(answer.lastMutationIDChanges, {c: 1}, 'the lastMutationIDs');
  assert.deepEqual(Object.keys(applyPatch(answer.patch)), [messageKey('m1')], 'the view');
  const whole = await push(server.url, world.space, from, [create(1), create(2), create(3)]);
  assert.equal(whole.status, 200, 'the status of the push without the gap');
});
