// Clients that were away: with a long backlog, in another version of the app, or
// in two tabs at once.

import assert from 'node:assert/strict';
import {promise} from '../lib/world.js';
import {pull} from '../lib/http.js';
import {until} from '../lib/wait.js';

/**
 * @typedef {import('../lib/client.js').Client} Client
 */

const backlog = 2000;
const backlogLimit = 300_000; // milliseconds, generous for a slow machine

/**
 * @param {Client} client
 * @param {string} prefix
 * @param {number} count
 */
async function createMany(client, prefix, count) {
  for (let i = 0; i < count; i++) {
    const id = `${prefix}${i}`;
    await client.mutate.createMessage({id, from: prefix, content: `content of ${id}`, order: i});
  }
}

/**
 * @param {string} prefixes
 * @param {number} count
 */
function keys(prefixes, count) {
  return [...prefixes]
    .flatMap(prefix => Array.from({length: count}, (_, i) => `message/${prefix}${i}`))
    .sort();
}

promise(`a client comes back with ${backlog} pending mutations: all are applied`, async world => {
  const server = await world.server();
  const proxy = await world.proxy(server);
  const other = world.client(server);
  const client = world.client(proxy);
  await until('it has been online', () => client.pulls > 0);
  proxy.disconnect();
  await createMany(client, 'a', backlog);
  assert.equal(await client.pending(), backlog, 'pending while offline');
  const start = performance.now();
  proxy.reconnect();
  const view = await world.converged(server, [client, other], backlogLimit);
  world.say(`${backlog} mutations after ${(performance.now() - start).toFixed(0)} ms`);
  assert.deepEqual(Object.keys(view).sort(), keys('a', backlog), 'the messages');
  const {lastMutationIDChanges} = await pull(server.url, world.space, {
    clientGroupID: await client.rep.clientGroupID,
  });
  assert.equal(lastMutationIDChanges[client.rep.clientID], backlog, 'the lastMutationID');
});

promise('a new version of the app recovers what the old one had pending', async world => {
  const server = await world.server();
  const proxy = await world.proxy(server);
  const name = `${world.project}-app`;
  const old = world.client(proxy, {name, schemaVersion: '1'});
  await until('it has been online', () => old.pulls > 0);
  await createMany(old, 'a', 1);
  await until('the server has the first', async () => (await old.pending()) === 0);
  proxy.disconnect();
  await createMany(old, 'b', 25);
  await old.persisted();
  const group = await old.rep.clientGroupID;
  const clientID = old.rep.clientID;
  await old.close();
  proxy.reconnect();

  const next = world.client(proxy, {name, schemaVersion: '2'});
  await until('the old client\'s mutations are acknowledged', async () => {
    const {lastMutationIDChanges} = await pull(server.url, world.space, {clientGroupID: group});
    return lastMutationIDChanges[clientID] === 26 || JSON.stringify(lastMutationIDChanges);
  });
  assert.notEqual(await next.rep.clientGroupID, group, 'the new version is another group');
  const view = await world.converged(server, [next]);
  assert.deepEqual(Object.keys(view).sort(), ['message/a0', ...keys('b', 25)], 'the messages');
  assert.equal(next.reloads, 0, 'reloads');
});

promise('two tabs that push the same mutations at once count them once', async world => {
  const server = await world.server();
  const proxy = await world.proxy(server);
  const name = `${world.project}-app`;
  const tabs = [world.client(proxy, {name}), world.client(proxy, {name})];
  const [first, second] = tabs;
  assert.ok(first && second);
  const group = await first.rep.clientGroupID;
  assert.equal(await second.rep.clientGroupID, group, 'the tabs are one group');
  for (const [round, prefixes] of ['ab', 'cd', 'ef'].entries()) {
    proxy.disconnect();
    await Promise.all(tabs.map((tab, i) => createMany(tab, prefixes[i] ?? '', 20)));
    for (const tab of tabs) {
      await until('each tab has the mutations of both', async () => {
        const pending = await tab.pending();
        return pending === 40 || `${pending} pending`;
      });
    }
    proxy.reconnect();
    await Promise.all(tabs.map(tab => tab.rep.push({now: true}).catch(() => {})));
    const view = await world.converged(server, tabs);
    const want = keys('abcdef'.slice(0, 2 * (round + 1)), 20);
    assert.deepEqual(Object.keys(view).sort(), want, `the messages after round ${round}`);
  }
  const {lastMutationIDChanges} = await pull(server.url, world.space, {clientGroupID: group});
  assert.deepEqual(
    lastMutationIDChanges,
    Object.fromEntries(tabs.map(tab => [tab.rep.clientID, 60])),
    'the lastMutationIDs',
  );
  const refused = tabs.flatMap(tab => Object.values(tab.rejections).flat());
  assert.deepEqual(refused, [], 'a second create would have been refused');
});
