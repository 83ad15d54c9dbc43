// The old protocol, spoken by hand: clients up to version 12 still speak it.

import assert from 'node:assert/strict';
import {promise} from '../lib/world.js';
import {post, routeURL} from '../lib/http.js';
import {messageKey} from '../lib/mutators.js';
import {until} from '../lib/wait.js';
import {applyPatch} from '../lib/view.js';

const clientID = '0d9ce1ae-6f1d-4b7a-8f6e-3f9f0a1b2c3d';

/**
 * @param {string} url
 * @param {{id: number, name: string, args: unknown}[]} mutations
 */
function push0(url, mutations) {
  return post(url, {
    pushVersion: 0,
    clientID,
    schemaVersion: '',
    mutations: mutations.map(mutation => ({timestamp: 12.5, ...mutation})),
  });
}

/**
 * @param {string} url
 * @param {{clientID?: string, cookie?: unknown, lastMutationID?: number}} [request]
 */
async function pull0(url, request = {}) {
  const {status, text, json} = await post(url, {
    pullVersion: 0,
    clientID,
    cookie: null,
    lastMutationID: 0,
    schemaVersion: '',
    ...request,
  });
  assert.equal(status, 200, `the pull's answer is ${text}`);
  return json;
}

/** @param {string} id */
const message = id => ({id, from: 'v0', content: `content of ${id}`, order: 1});

promise('a client of version 0 pushes and pulls', async world => {
  const server = await world.server();
  const pushURL = routeURL(server.url, 'push', world.space);
  const pullURL = routeURL(server.url, 'pull', world.space);

  assert.deepEqual(applyPatch((await pull0(pullURL)).patch), {}, 'the view before');
  const pushed = await push0(pushURL, [
    {id: 1, name: 'createMessage', args: message('a')},
    {id: 2, name: 'noSuchMutator', args: null},
    {id: 3, name: 'createMessage', args: message('b')},
  ]);
  assert.equal(pushed.status, 200, pushed.text);

  const all = await pull0(pullURL);
  assert.deepEqual(Object.keys(all).sort().filter(field => field !== 'rejections'), [
    'cookie',
    'lastMutationID',
    'patch',
  ]);
  assert.equal(all.lastMutationID, 3, 'lastMutationID');
  assert.deepEqual(
    Object.keys(applyPatch(all.patch)).sort(),
    [messageKey('a'), messageKey('b')],
    'the view',
  );

  const same = await pull0(pullURL, {cookie: all.cookie, lastMutationID: 3});
  assert.deepEqual(
    {cookie: same.cookie, lastMutationID: same.lastMutationID, patch: same.patch},
    {cookie: all.cookie, lastMutationID: 3, patch: []},
    'nothing new: the same cookie and an empty patch',
  );

  const again = await push0(pushURL, [
    {id: 3, name: 'createMessage', args: message('b')},
    {id: 4, name: 'deleteMessage', args: {id: 'a'}},
  ]);
  assert.equal(again.status, 200, again.text);
  const changes = await pull0(pullURL, {cookie: all.cookie, lastMutationID: 3});
  assert.equal(changes.lastMutationID, 4, 'lastMutationID after the second push');
  assert.deepEqual(changes.patch, [{op: 'del', key: messageKey('a')}], 'the changes');
});

promise('a forked client of version 0 may come with a cookie it never got', async world => {
  const server = await world.server();
  const pullURL = routeURL(server.url, 'pull', world.space);
  await push0(routeURL(server.url, 'push', world.space), [
    {id: 1, name: 'createMessage', args: message('a')},
  ]);
  const {cookie} = await pull0(pullURL);
  const forked = await pull0(pullURL, {clientID: 'another', cookie, lastMutationID: 0});
  assert.equal(forked.lastMutationID, 0, 'lastMutationID');
  assert.deepEqual(forked.patch, [], 'the patch');
});

promise('clients of versions 0 and 1 share a space, at the old routes too', async world => {
  const server = await world.server();
  const client = world.client(server);
  const old = `${server.url}/api/replicache-push?spaceID=${world.space}`;
  const pushed = await push0(old, [{id: 1, name: 'createMessage', args: message('a')}]);
  assert.equal(pushed.status, 200, pushed.text);
  await until('the new client shows it', async () => messageKey('a') in (await client.view()));
  await client.mutate.updateMessage({id: 'a', content: 'changed'});
  await world.converged(server, [client]);
  const {patch} = await pull0(`${server.url}/api/replicache-pull?spaceID=${world.space}`);
  assert.deepEqual(
    applyPatch(patch),
    {[messageKey('a')]: {from: 'v0', content: 'changed', order: 1}},
    'the view of the old client',
  );
});
