import assert from 'node:assert/strict';
import {test} from 'node:test';
import {type PullRequest, getDefaultPuller} from 'replicache';
import type {ErrorAnswer} from '../src/answer.js';
import {Auth} from '../src/auth.js';
import {createPuller} from '../src/puller.js';
import type {ClientRejection} from '../src/rejection.js';
import {FakeClock, FakeServer, settle} from './fakes.js';

const url = 'https://example.test/api/replicache/pull?space=a%2Fb';
const request: PullRequest = {
  pullVersion: 1,
  schemaVersion: '',
  profileID: 'p',
  clientGroupID: 'g',
  cookie: {order: 3},
};
const answer = {cookie: {order: 4}, lastMutationIDChanges: {c1: 7}, patch: [{op: 'clear'}]};

function make(source: string | (() => string) = 'abc') {
  const server = new FakeServer();
  const rejections: [ClientRejection[], string][] = [];
  const outcomes: boolean[] = [];
  const errors: [PullRequest, ErrorAnswer][] = [];
  const puller = createPuller({
    url,
    auth: new Auth(source, new FakeClock()),
    environment: server,
    onRejections: (...args) => rejections.push(args),
    onOutcome: ok => outcomes.push(ok),
    onError: async (...args) => void errors.push(args),
  });
  return {server, puller, rejections, outcomes, errors};
}

test('asks as the default puller does', async () => {
  const {server, puller} = make();
  const pulled = puller(request, 'c1-1a2b-0');
  await settle();
  const {last} = server;
  const seen = {url: last.url, method: last.method, headers: [...last.headers], body: last.body};
  last.json(answer);
  await pulled;

  const theirs: Request[] = [];
  const realFetch = globalThis.fetch;
  globalThis.fetch = async input => {
    theirs.push(input as Request);
    return Response.json(answer);
  };
  try {
    await getDefaultPuller({pullURL: url, auth: 'Bearer abc'})(request, 'c1-1a2b-0');
  } finally {
    globalThis.fetch = realFetch;
  }
  const [their] = theirs;
  assert.ok(their);
  assert.deepEqual(seen, {
    url: their.url,
    method: their.method,
    headers: [...their.headers],
    body: await their.text(),
  });
});

test('hands on the answer', async () => {
  const {server, puller, outcomes} = make();
  const pulled = puller(request, 'c1-1a2b-0');
  await settle();
  server.last.json(answer);
  assert.deepEqual(await pulled, {
    response: answer,
    httpRequestInfo: {httpStatusCode: 200, errorMessage: ''},
  });
  assert.deepEqual(outcomes, [true]);
});

for (const status of [201, 204, 400, 401, 403, 500, 503]) {
  test(`${status} is no success`, async () => {
    const {server, puller, outcomes} = make();
    const pulled = puller(request, 'c1-1a2b-0');
    await settle();
    const errorMessage = status === 204 ? '' : '{"error":"ClientStateNotFound"}';
    server.last.answer(status, errorMessage);
    assert.deepEqual(await pulled, {httpRequestInfo: {httpStatusCode: status, errorMessage}});
    assert.deepEqual(outcomes, [false]);
  });
}

for (const {name, act, source} of [
  {name: 'a network that fails', act: (s: FakeServer) => s.last.fail()},
  {name: 'an answer that is no JSON', act: (s: FakeServer) => s.last.answer(200, '<html>')},
  {
    name: 'a source of tokens that fails',
    act: () => {},
    source: () => {
      throw new Error('offline');
    },
  },
]) {
  test(`${name} makes it throw, and Replicache try again`, async () => {
    const {server, puller, outcomes} = make(source);
    const pulled = puller(request, 'c1-1a2b-0');
    pulled.catch(() => {});
    await settle();
    act(server);
    await assert.rejects(pulled);
    assert.deepEqual(outcomes, [false]);
  });
}

test('error answers of the protocol are handed on, and go to Replicache', async () => {
  const {server, puller, errors} = make();
  const pulled = puller(request, 'c1-1a2b-0');
  await settle();
  server.last.json({error: 'ClientStateNotFound'});
  assert.deepEqual((await pulled).response, {error: 'ClientStateNotFound'});
  assert.deepEqual(errors, [[request, {error: 'ClientStateNotFound'}]]);
});

test('old clients are recovered with version 0', async () => {
  const {server, puller} = make();
  const old: PullRequest = {
    pullVersion: 0,
    schemaVersion: '',
    profileID: 'p',
    clientID: 'c0',
    cookie: 3,
    lastMutationID: 2,
  };
  const pulled = puller(old, 'c1-1a2b-0');
  await settle();
  assert.deepEqual(JSON.parse(server.last.body), old);
  server.last.json({cookie: 4, lastMutationID: 5, patch: []});
  assert.deepEqual((await pulled).response, {cookie: 4, lastMutationID: 5, patch: []});
});

test('without a token there is no header for it', async () => {
  const {server, puller} = make('');
  const pulled = puller(request, 'c1-1a2b-0');
  await settle();
  assert.equal(server.last.headers.has('Authorization'), false);
  server.last.json(answer);
  await pulled;
});

test('hands on the rejections, and leaves out what is malformed', async () => {
  const {server, puller, rejections} = make();
  const good = {id: 7, name: 'createMessage', reason: 'exists'};
  const pulled = puller(request, 'c1-1a2b-0');
  await settle();
  server.last.json({
    ...answer,
    rejections: {
      c1: [good, {...good, id: '8'}, {...good, reason: 1}, {id: 9}, null, 'x'],
      c2: 'x',
      c3: [{...good, id: 1, colour: 'red'}],
    },
  });
  await pulled;
  const want = [
    {clientID: 'c1', rejection: good},
    {clientID: 'c3', rejection: {...good, id: 1}},
  ];
  assert.deepEqual(rejections, [[want, 'c1-1a2b-0']]);
});

for (const {name, value} of [
  {name: 'no rejections', value: answer},
  {name: 'an empty object', value: {...answer, rejections: {}}},
  {name: 'null', value: {...answer, rejections: null}},
  {name: 'a list', value: {...answer, rejections: [1]}},
  {name: 'an answer that is null', value: null},
]) {
  test(`${name}: nothing to hand on`, async () => {
    const {server, puller, rejections} = make();
    const pulled = puller(request, 'c1-1a2b-0');
    await settle();
    server.last.json(value);
    await pulled;
    assert.deepEqual(rejections, []);
  });
}
