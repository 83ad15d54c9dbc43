// Users of the Firebase Auth emulator sync, the tokens that they begin with having
// ended long ago. The emulator's tokens last an hour, so that is how they end here.

import assert from 'node:assert/strict';
import {after, before} from 'node:test';
import {promise} from '../../replicache/lib/world.js';
import {pull, post, routeURL} from '../../replicache/lib/http.js';
import {until} from '../../replicache/lib/wait.js';
import {Account, project, startAuthEmulator} from '../lib/authemulator.js';
import {Counter} from '../lib/counter.js';
import {TicketStream} from '../lib/tickets.js';

/** @type {Awaited<ReturnType<typeof startAuthEmulator>>} */
let emulator;
/** @type {Account} */
let ann;
/** @type {Account} */
let bob;
/** @type {Account} */
let checker;

before(async () => {
  emulator = await startAuthEmulator();
  ann = await Account.create(emulator.host, 'ann');
  bob = await Account.create(emulator.host, 'bob');
  checker = await Account.create(emulator.host, 'checker');
});

after(async () => {
  await Promise.all([ann, bob, checker].map(account => account?.close()));
  await emulator?.stop();
});

/** @param {import('../../replicache/lib/world.js').World} world */
function serve(world) {
  world.auth = checker;
  return world.server({
    REPLIFIRE_AUTH: 'firebase',
    REPLIFIRE_FIREBASE_PROJECT: project,
    FIREBASE_AUTH_EMULATOR_HOST: emulator.host,
    REPLIFIRE_POLICY: 'authenticated',
    REPLIFIRE_DEV: 'false',
  });
}

promise('clients that begin with old tokens get new ones, once each, and sync', async world => {
  const server = await serve(world);
  const counter = await Counter.listen(server);
  try {
    const accounts = [ann, bob];
    accounts.forEach(account => account.growOld());
    const clients = accounts.map(auth => world.client(counter, {auth}));
    for (const [i, client] of clients.entries()) {
      for (let n = 0; n < 10; n++) {
        await client.mutate.createMessage({id: `${i}-${n}`, from: client.name, content: 'hi', order: n});
      }
    }
    const view = await world.converged(server, clients);
    assert.equal(Object.keys(view).length, 20, 'messages after all');
    const refused = counter.count({status: 401});
    const calls = ann.calls + bob.calls;
    // A push, a pull and a stream of each client found out by themselves.
    assert.ok(refused >= 2 && refused <= 6, `${refused} requests were refused, want 2 to 6`);
    assert.ok(calls >= 2 && calls <= refused, `${calls} new tokens for ${refused} refusals`);
    await until('both are poked', () => clients.every(client => (client.pokes?.pokes ?? 0) > 0));
  } finally {
    world.say(String(counter));
    await counter.close();
  }
});

promise('an EventSource is poked by a ticket that a new token got', async world => {
  const server = await serve(world);
  const counter = await Counter.listen(server);
  ann.growOld();
  const [reader, writer] = [
    world.client(counter, {auth: ann, pokes: false}),
    world.client(counter, {auth: bob}),
  ];
  const stream = new TicketStream(counter.url, world.space, ann, () => reader.rep.pull());
  try {
    await until('the stream is poked on connecting', () => stream.pokes > 0);
    await writer.mutate.createMessage({id: 'm', from: 'bob', content: 'hi', order: 1});
    const view = await world.converged(server, [reader, writer]);
    assert.deepEqual(Object.keys(view), ['message/m']);
    assert.equal(stream.tickets, 1, 'tickets');
    assert.ok(counter.count({status: 401}) <= 3, `refused: ${counter}`);
  } finally {
    world.say(String(counter));
    await stream.close();
    await counter.close();
  }
});

promise('without a token, or with that of another project, there is nothing', async world => {
  const server = await serve(world);
  const url = routeURL(server.url, 'pull', world.space);
  const [header, payload] = (await bob.renew()).split('.');
  const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
  const foreign = Buffer.from(JSON.stringify({...claims, aud: 'other'})).toString('base64url');
  for (const token of [undefined, `${header}.${foreign}.`, `${header}.${payload}.c2lnbmVk`]) {
    const {status, json} = await post(url, {}, token);
    assert.deepEqual([status, json.kind], [401, 'unauthenticated'], `token ${token}`);
  }
  await pull(server.url, world.space, {authorization: bob.current()});
});
