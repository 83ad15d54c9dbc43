import assert from 'node:assert/strict';
import {once} from 'node:events';
import {type AddressInfo, createServer} from 'node:net';
import {type TestContext, test} from 'node:test';
import {
  type Pusher,
  type PushRequest,
  type PushRequestV0,
  type PushRequestV1,
  Replicache,
} from 'replicache';
import type {ErrorAnswer} from '../src/answer.js';
import {Auth} from '../src/auth.js';
import {createPusher, maxPartBytes, maxPartMutations, maxPause} from '../src/pusher.js';
import {FakeClock, FakeServer, settle} from './fakes.js';

const url = 'https://example.test/api/replicache/push?space=a%2Fb';
const notFound = {error: 'ClientStateNotFound'};
const requestID = 'c1-1a2b-0';

/** A mutation of a client, with so many bytes of argument. */
function mutation(id: number, {clientID = 'c1', text = 'ü'} = {}) {
  return {id, name: 'createMessage', args: {text}, timestamp: 1.5, clientID};
}

function requestOf(mutations: PushRequestV1['mutations']): PushRequestV1 {
  // In the order of Replicache.
  return {profileID: 'p', clientGroupID: 'g', mutations, pushVersion: 1, schemaVersion: ''};
}

const small = requestOf([mutation(1), mutation(2)]);

function make(source: string | (() => string) = 'abc') {
  const server = new FakeServer();
  const clock = new FakeClock();
  const errors: [PushRequest, ErrorAnswer][] = [];
  const closing = new AbortController();
  const state = {closed: false};
  const pusher = createPusher({
    url,
    auth: new Auth(source, clock),
    environment: {fetch: server.fetch, clock},
    onError: async (...args) => void errors.push(args),
    isClosed: () => state.closed,
    closing: closing.signal,
  });
  return {server, clock, pusher, errors, closing, state};
}

/** Three parts. */
const large = requestOf(Array.from({length: 2 * maxPartMutations + 1}, (_, i) => mutation(i + 1)));

type Setup = ReturnType<typeof make>;

/** Answers 200 to each part until the end, and returns what the parts were. */
async function sendAll({server, pusher}: Setup, request: PushRequest): Promise<PushRequest[]> {
  const pushed = pusher(request, requestID);
  let done = false;
  void pushed.then(() => (done = true));
  await settle();
  while (!done) {
    assert.equal(server.open.length, 1, 'one part after another');
    server.last.json({});
    await settle();
  }
  assert.deepEqual(await pushed, {httpRequestInfo: {httpStatusCode: 200, errorMessage: ''}});
  return server.exchanges.map(({body}) => JSON.parse(body) as PushRequest);
}

/** What the pusher puts on the wire, byte by byte. */
async function bytesOnTheWire(t: TestContext, push: (url: string) => Promise<unknown>) {
  const received: Buffer[] = [];
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', piece => {
      received.push(piece);
      const all = Buffer.concat(received);
      const [head = '', ...body] = all.toString('latin1').split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      if (body.join('\r\n\r\n').length === length) {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}');
      }
    });
  });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const {port} = server.address() as AddressInfo;
  await push(`http://127.0.0.1:${port}/api/replicache/push?space=a%2Fb`);
  return Buffer.concat(received).toString().replaceAll(`127.0.0.1:${port}`, 'HOST');
}

/** The pusher that Replicache takes if it is given none. */
function replicachesOwn(t: TestContext, pushURL: string, auth: string): Pusher {
  const rep = new Replicache({
    name: 'own',
    kvStore: 'mem',
    pushURL,
    auth,
    pullInterval: null,
    logSinks: [],
  });
  t.after(() => rep.close());
  return rep.pusher;
}

for (const {name, token, request} of [
  {name: 'a small push', token: 'abc', request: small},
  {name: 'one without a token', token: '', request: small},
  {
    name: 'one of version 0',
    token: 'abc',
    request: {
      profileID: 'p',
      clientID: 'c0',
      mutations: [{id: 1, name: 'n', args: null, timestamp: 2}],
      pushVersion: 0,
      schemaVersion: '',
    } satisfies PushRequestV0,
  },
]) {
  test(`${name} is what Replicache's own pusher sends, byte for byte`, async t => {
    const ours = await bytesOnTheWire(t, address => {
      const clock = new FakeClock();
      const pusher = createPusher({
        url: address,
        auth: new Auth(token, clock),
        environment: {fetch: globalThis.fetch, clock},
        onError: async () => {},
        isClosed: () => false,
        closing: new AbortController().signal,
      });
      return pusher(request, requestID);
    });
    const header = token && `Bearer ${token}`;
    const theirs = await bytesOnTheWire(t, address =>
      replicachesOwn(t, address, header)(request, requestID),
    );
    assert.ok(theirs.startsWith('POST /api/replicache/push?space=a%2Fb HTTP/1.1\r\n'), theirs);
    assert.equal(ours, theirs);
  });
}

test('a backlog goes in parts that are smaller than the limit, in its order', async () => {
  const text = 'x'.repeat(999_900);
  const mutations = Array.from({length: 25}, (_, i) =>
    mutation(i + 1, {clientID: `c${i % 3}`, text}),
  );
  const setup = make();
  const parts = await sendAll(setup, requestOf(mutations));
  assert.deepEqual(parts.flatMap(part => part.mutations), mutations);
  for (const {body} of setup.server.exchanges) {
    assert.ok(Buffer.byteLength(body) < maxPartBytes, `${Buffer.byteLength(body)} bytes`);
  }
  assert.deepEqual(parts.map(part => part.mutations.length), [8, 8, 8, 1]);
  for (const {mutations: _, ...envelope} of parts) {
    const {mutations: __, ...whole} = requestOf([]);
    assert.deepEqual(envelope, whole);
  }
});

test('a part is filled to the last byte', async () => {
  const empty = Buffer.byteLength(JSON.stringify(requestOf([mutation(1, {text: ''}), mutation(2)])));
  for (const {bytes, parts} of [
    {bytes: maxPartBytes - 1, parts: 1},
    {bytes: maxPartBytes, parts: 2},
  ]) {
    const text = 'x'.repeat(bytes - empty);
    const request = requestOf([mutation(1, {text}), mutation(2)]);
    assert.equal(Buffer.byteLength(JSON.stringify(request)), bytes);
    assert.equal((await sendAll(make(), request)).length, parts, `${bytes} bytes`);
  }
});

for (const {name, text} of [
  {name: 'letters of two bytes', text: 'ü'},
  {name: 'letters of four', text: '😀'},
  {name: 'halves of surrogate pairs, which JSON writes with six', text: '\ud83d'},
  {name: 'control characters, which JSON writes with six', text: '\u0001'},
  {name: 'quotes, which JSON writes with two', text: '"'},
]) {
  test(`bytes are counted, not characters: ${name}`, async () => {
    const bytes = Buffer.byteLength(JSON.stringify(text)) - 2;
    const mutations = [1, 2, 3].map(id => mutation(id, {text: text.repeat(3_000_000 / bytes)}));
    const setup = make();
    const parts = await sendAll(setup, requestOf(mutations));
    assert.deepEqual(parts.map(part => part.mutations.map(({id}) => id)), [[1, 2], [3]]);
    for (const {body} of setup.server.exchanges) {
      assert.ok(Buffer.byteLength(body) < maxPartBytes);
    }
  });
}

test('a mutation that is too large goes alone', async () => {
  const huge = mutation(2, {text: 'x'.repeat(maxPartBytes)});
  const mutations = [mutation(1), huge, mutation(3), mutation(4)];
  const parts = await sendAll(make(), requestOf(mutations));
  assert.deepEqual(parts.map(part => part.mutations.map(({id}) => id)), [[1], [2], [3, 4]]);
});

test('many small mutations go in parts, too', async () => {
  const parts = await sendAll(make(), large);
  assert.deepEqual(parts.flatMap(part => part.mutations), large.mutations);
  const sizes = parts.map(part => part.mutations.length);
  assert.deepEqual(sizes, [maxPartMutations, maxPartMutations, 1]);
});

test('what an old client has left goes in parts with its version', async () => {
  const text = 'x'.repeat(6_000_000);
  const old: PushRequestV0 = {
    profileID: 'p',
    clientID: 'c0',
    mutations: [1, 2].map(id => ({id, name: 'n', args: text, timestamp: 1})),
    pushVersion: 0,
    schemaVersion: 'old',
  };
  const [first, second] = old.mutations;
  assert.ok(first && second);
  assert.deepEqual(await sendAll(make(), old), [
    {...old, mutations: [first]},
    {...old, mutations: [second]},
  ]);
});

for (const status of [201, 204, 400, 401, 403, 409, 413, 429, 500, 503]) {
  test(`${status} ends the attempt, and is its result`, async () => {
    const {server, pusher, errors} = make();
    const pushed = pusher(large, requestID);
    await settle();
    server.last.json({});
    await settle();
    const errorMessage = status === 204 ? '' : JSON.stringify(notFound);
    server.last.answer(status, errorMessage);
    assert.deepEqual(await pushed, {httpRequestInfo: {httpStatusCode: status, errorMessage}});
    assert.equal(server.exchanges.length, 2);
    assert.deepEqual(errors, [], 'no error of the protocol');
  });
}

for (const response of [
  notFound,
  {error: 'VersionNotSupported'},
  {error: 'VersionNotSupported', versionType: 'schema'},
]) {
  test(`${JSON.stringify(response)} ends the attempt, and is its result`, async () => {
    const {server, pusher, errors} = make();
    const pushed = pusher(large, requestID);
    await settle();
    server.last.json({});
    await settle();
    server.last.json(response);
    const httpRequestInfo = {httpStatusCode: 200, errorMessage: ''};
    assert.deepEqual(await pushed, {httpRequestInfo, response});
    assert.equal(server.exchanges.length, 2);
    assert.deepEqual(errors, [[large, response]]);
  });
}

for (const body of [
  '',
  '<html>',
  'null',
  '[]',
  '{"error":"Foo"}',
  '{"error":"VersionNotSupported","versionType":"x"}',
]) {
  test(`200 with the body ${body || 'of nothing'} is success`, async () => {
    const {server, pusher, errors} = make();
    const pushed = pusher(small, requestID);
    await settle();
    server.last.answer(200, body);
    assert.deepEqual(await pushed, {httpRequestInfo: {httpStatusCode: 200, errorMessage: ''}});
    assert.deepEqual(errors, []);
  });
}

test('a network that fails makes it throw, and Replicache try again', async () => {
  const {server, pusher} = make();
  const pushed = pusher(large, requestID);
  pushed.catch(() => {});
  await settle();
  server.last.json({});
  await settle();
  server.last.fail();
  await assert.rejects(pushed, {message: 'fetch failed'});
});

test('a source of tokens that fails does so, too', async () => {
  const {pusher} = make(() => {
    throw new Error('offline');
  });
  await assert.rejects(pusher(small, requestID), {message: 'offline'});
});

test('each part has the token of its moment', async () => {
  let tokens = 0;
  const setup = make(() => `t${++tokens}`);
  await sendAll(setup, large);
  assert.deepEqual(
    setup.server.exchanges.map(({headers}) => headers.get('Authorization')),
    ['Bearer t1', 'Bearer t2', 'Bearer t3'],
  );
});

test('a closed instance sends no further part', async () => {
  const {server, pusher, state} = make();
  const pushed = pusher(large, requestID);
  await settle();
  state.closed = true;
  server.last.json({});
  await pushed;
  assert.equal(server.exchanges.length, 1);
});

for (const {header, pause} of [
  {header: '7', pause: 7_000},
  {header: '86400', pause: maxPause},
  {header: '0', pause: 0},
  {header: 'Wed, 21 Oct 2026 07:28:00 GMT', pause: 0},
  {header: undefined, pause: 0},
]) {
  test(`after a 429 it pauses: Retry-After is ${header}`, async () => {
    const {server, clock, pusher} = make();
    let result: unknown;
    void pusher(small, requestID).then(r => (result = r));
    await settle();
    server.last.answer(429, 'much', header === undefined ? {} : {'Retry-After': header});
    if (pause > 0) {
      await clock.advance(pause - 1);
      assert.equal(result, undefined);
      await clock.advance(1);
    }
    await settle();
    assert.deepEqual(result, {httpRequestInfo: {httpStatusCode: 429, errorMessage: 'much'}});
    assert.equal(clock.pending, 0);
  });
}

test('closing ends a pause, and allows no further one', async () => {
  const {server, clock, pusher, closing} = make();
  for (const close of [() => closing.abort(), () => {}]) {
    const pushed = pusher(small, requestID);
    await settle();
    server.last.answer(429, '', {'Retry-After': '7'});
    await settle();
    close();
    assert.equal((await pushed).httpRequestInfo.httpStatusCode, 429);
    assert.equal(clock.pending, 0);
  }
});
