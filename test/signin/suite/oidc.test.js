// A user of an OpenID Connect provider syncs through the ends of many tokens. What
// the server is asked is counted: a client whose token has ended must not storm.

import assert from 'node:assert/strict';
import {after} from 'node:test';
import {promise} from '../../replicache/lib/world.js';
import {sleep, until} from '../../replicache/lib/wait.js';
import {Counter} from '../lib/counter.js';
import {build} from '../lib/provider.js';
import {Session, clientID} from '../lib/session.js';
import {TicketStream} from '../lib/tickets.js';

/**
 * @typedef {import('../../replicache/lib/world.js').World} World
 * @typedef {import('../../replicache/lib/client.js').Client} Client
 */

// The server allows clocks to differ by a minute, so these are good for 5 seconds, or
// one less: the times in a token are whole seconds.
const lifetime = '-55s';
const shortest = 4000; // milliseconds
const ends = 3; // of tokens, that a client has to live through

const provider = build();
after(() => provider.remove());

/**
 * @param {World} world
 * @param {(counter: Counter, start: () => Promise<Session>) => Promise<void>} body
 */
async function signedIn(world, body) {
  const {issuer, stop} = await provider.start(lifetime);
  const server = await world.server({
    REPLIFIRE_AUTH: 'oidc',
    REPLIFIRE_OIDC_ISSUER: issuer,
    REPLIFIRE_OIDC_AUDIENCE: clientID,
    REPLIFIRE_POLICY: 'authenticated',
    REPLIFIRE_DEV: 'false',
  });
  const counter = await Counter.listen(server);
  try {
    world.auth = await Session.start(issuer);
    await body(counter, () => Session.start(issuer));
  } finally {
    world.say(String(counter));
    await counter.close();
    await stop();
  }
}

/**
 * Writes until each session has seen the ends of some tokens.
 * @param {Client[]} clients
 * @param {Session[]} sessions
 * @returns {Promise<number>} how many messages were written
 */
async function writeThroughEnds(clients, sessions) {
  let written = 0;
  await until(`each user has had ${ends + 1} tokens`, async () => {
    for (const client of clients) {
      await create(client, written++);
    }
    return sessions.every(session => session.tokens > ends) || sessions.map(s => s.tokens).join();
  });
  return written;
}

/**
 * @param {Client} client
 * @param {number} n
 */
function create(client, n) {
  return client.mutate.createMessage({id: `m${n}`, from: client.name, content: `${n}`, order: n});
}

/**
 * Each end of a token may cost a client one 401 for its push, one for its pull and one
 * for its stream, and each of these one question for a new token.
 * @param {Counter} counter
 * @param {Session[]} sessions
 * @param {number} took milliseconds
 */
function noStorm(counter, sessions, took) {
  const most = 3 * sessions.length * (Math.ceil(took / shortest) + 1);
  const refused = counter.count({status: 401});
  const asked = sessions.reduce((sum, session) => sum + session.calls, 0);
  assert.ok(refused > 0, 'no token was ever refused');
  assert.ok(refused <= most, `${refused} requests were refused, want ${most} at the most`);
  assert.ok(asked <= refused, `${asked} new tokens were asked for after ${refused} refusals`);
}

promise('clients sync through the ends of their tokens, without a storm', world =>
  signedIn(world, async (counter, start) => {
    const began = performance.now();
    const sessions = [await start(), await start()];
    const clients = sessions.map(auth => world.client(counter, {auth}));
    const written = await writeThroughEnds(clients, sessions);
    const view = await world.converged(serverOf(world), clients);
    assert.equal(Object.keys(view).length, written, 'messages after all');
    noStorm(counter, sessions, performance.now() - began);
    const pushes = counter.count({route: 'push', status: 200});
    assert.ok(pushes <= written, `${pushes} pushes for ${written} mutations`);
    const pulls = counter.count({route: 'pull', status: 200});
    const reasons = clients.length * (pushes + counter.count({route: 'poke', status: 200}) + 1);
    assert.ok(pulls <= reasons, `${pulls} pulls, and ${reasons} reasons for one`);
  }),
);

promise('who signed out waits with the changes, and sends them after the next login', world =>
  signedIn(world, async (counter, start) => {
    const session = await start();
    const client = world.client(counter, {auth: session});
    await create(client, 0);
    await until('the first message is acknowledged', async () => (await client.pending()) === 0);
    session.end();
    await until('the token has ended', async () => {
      await create(client, 1); // refused where it is there already, which is no harm
      return counter.count({route: 'push', status: 401}) > 0;
    });
    const before = counter.count();
    const began = performance.now();
    for (let n = 2; n < 40; n++) {
      await create(client, n);
      await sleep(100);
    }
    const took = performance.now() - began;
    // The client's push and pull and the stream each try again after a pause that grows
    // to a second.
    const most = 3 * (took / 1000 + 8);
    const asked = counter.count() - before;
    assert.ok(asked <= most, `${asked} requests of a client without a token, want ${most} at the most`);
    assert.ok((await client.pending()) >= 38, 'the changes are kept');
    await session.login();
    const view = await world.converged(serverOf(world), [client]);
    assert.equal(Object.keys(view).length, 40, 'messages after all');
  }),
);

promise('an EventSource with tickets is poked through the ends of tokens', world =>
  signedIn(world, async (counter, start) => {
    const began = performance.now();
    const sessions = [await start(), await start()];
    const [writer, reader] = sessions.map(auth => world.client(counter, {auth, pokes: false}));
    assert.ok(writer && reader && sessions[0] && sessions[1]);
    const streams = [writer, reader].map(
      (client, i) => new TicketStream(counter.url, world.space, sessions[i], () => client.rep.pull()),
    );
    try {
      const written = await writeThroughEnds([writer], [sessions[0]]);
      const view = await world.converged(serverOf(world), [writer, reader]);
      assert.equal(Object.keys(view).length, written, 'messages after all');
      for (const [i, stream] of streams.entries()) {
        assert.ok(stream.tickets > 1, `stream ${i} had ${stream.tickets} tickets`);
      }
      noStorm(counter, sessions, performance.now() - began);
    } finally {
      await Promise.all(streams.map(stream => stream.close()));
    }
    for (const {status} of counter.answers) {
      assert.ok([200, 401].includes(status), `a request was answered ${status}`);
    }
  }),
);

/** The one server of a world. @param {World} world */
function serverOf(world) {
  const [server] = world.servers;
  assert.ok(server);
  return server;
}
