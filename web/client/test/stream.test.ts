import assert from 'node:assert/strict';
import {type TestContext, test} from 'node:test';
import {Auth, type AuthSource} from '../src/auth.js';
import {Backoff, defaultBackoff} from '../src/backoff.js';
import type {Status} from '../src/index.js';
import {connectPatience, PokeStream, settledAfter} from '../src/stream.js';
import {FakeBrowser, settle} from './fakes.js';

const heartbeat = 20_000;
const url = 'https://example.test/api/replicache/poke?space=s';

function open(t: TestContext, source: AuthSource = 'abc', status: Status = 'connecting') {
  const browser = new FakeBrowser();
  const {clock, server} = browser;
  const {environment} = browser.tab();
  const pokes: number[] = [];
  const statuses: Status[] = [];
  const stream = new PokeStream({
    url,
    auth: new Auth(source, clock),
    backoff: new Backoff(defaultBackoff, environment.random),
    environment,
    heartbeat,
    status,
    onPoke: version => pokes.push(version),
    onStatus: now => {
      if (statuses.at(-1) !== now) {
        statuses.push(now);
      }
    },
  });
  t.after(async () => {
    await stream.close();
    assert.equal(clock.pending, 0, 'timers left');
    assert.deepEqual(server.open, [], 'requests left');
  });
  return {stream, clock, server, pokes, statuses};
}

test('asks with the token in a header, never in the address', async t => {
  const {server} = open(t, 'secret');
  await settle();
  assert.equal(server.last.url, url);
  assert.equal(server.last.method, 'GET');
  assert.deepEqual(Object.fromEntries(server.last.headers), {
    accept: 'text/event-stream',
    authorization: 'Bearer secret',
  });
});

test('without a token there is no header for it', async t => {
  const {server} = open(t, '');
  await settle();
  assert.equal(server.last.headers.has('Authorization'), false);
});

test('hears pokes and is live', async t => {
  const {server, pokes, statuses} = open(t);
  await settle();
  assert.deepEqual(statuses, ['connecting']);
  server.last.begin().poke(3).poke(4);
  await settle();
  assert.deepEqual(pokes, [3, 4]);
  assert.deepEqual(statuses, ['connecting', 'live']);
});

test('a letter that is torn into two pieces does no harm', async t => {
  const {server, pokes} = open(t);
  await settle();
  server.last.begin('event: po').send('ke\ndata: {"ver').send('sion": 12}\n\n');
  await settle();
  assert.deepEqual(pokes, [12]);
});

for (const data of ['', 'x', 'null', '7', '{}', '{"version": "7"}', '[7]']) {
  test(`a poke with the data ${JSON.stringify(data)} is passed over`, async t => {
    const {server, pokes, statuses} = open(t);
    await settle();
    server.last.begin(`event: poke\ndata: ${data}\n\nevent: other\ndata: {"version": 1}\n\n`).poke(8);
    await settle();
    assert.deepEqual(pokes, [8]);
    assert.equal(statuses.at(-1), 'live');
  });
}

test('connects again after the end of a stream, after the pause that the server asks for', async t => {
  const {server, clock, statuses} = open(t);
  await settle();
  server.last.begin().poke(1);
  await settle();
  server.last.send('event: bye\ndata: {}\nretry: 4000\n\n');
  await settle();
  assert.deepEqual(server.open, [], 'the connection is let go of');
  assert.deepEqual(statuses, ['connecting', 'live', 'connecting']);
  await clock.advance(3_900);
  assert.equal(server.exchanges.length, 1);
  await clock.advance(200);
  assert.equal(server.exchanges.length, 2);
});

test('failures make the pauses grow, a stream that lasted makes up for them', async t => {
  const {server, clock, statuses} = open(t);
  const starts: number[] = [];
  const waitForRequest = async (n: number) => {
    while (server.exchanges.length < n) {
      await clock.advance(100);
    }
    starts.push(clock.now());
  };
  for (let n = 1; n <= 5; n++) {
    await waitForRequest(n);
    server.last.fail();
    await settle();
  }
  const gaps = starts.slice(1).map((at, i) => Math.round((at - (starts[i] ?? 0)) / 1000));
  assert.deepEqual(gaps, [1, 2, 4, 8]);
  assert.deepEqual(statuses, ['connecting', 'offline']);

  await waitForRequest(6);
  server.last.begin();
  await clock.advance(settledAfter);
  server.last.fail();
  await settle();
  await clock.advance(1_100);
  assert.equal(server.exchanges.length, 7, 'after the first pause again');
});

test('a stream that breaks at once makes up for nothing', async t => {
  const {server, clock} = open(t);
  for (let n = 1; n <= 4; n++) {
    await settle();
    server.last.begin();
    await settle();
    server.last.end();
    await clock.advance(1_000 * 2 ** (n - 1));
  }
  await clock.advance(3_000);
  assert.equal(server.exchanges.length, 5);
  server.last.fail();
  await clock.advance(15_000);
  assert.equal(server.exchanges.length, 5);
});

test('what was live is offline only when a new attempt has failed', async t => {
  const {server, clock, statuses} = open(t);
  await settle();
  server.last.begin();
  await settle();
  server.last.fail();
  await settle();
  assert.equal(statuses.at(-1), 'connecting');
  await clock.advance(1_000);
  server.last.fail();
  await settle();
  assert.equal(statuses.at(-1), 'offline');
  await clock.advance(2_000);
  assert.equal(statuses.at(-1), 'offline', 'also while it tries');
  server.last.begin();
  await settle();
  assert.equal(statuses.at(-1), 'live');
});

for (const {name, status, type} of [
  {name: '404', status: 404, type: 'application/problem+json'},
  {name: '500', status: 500, type: 'application/problem+json'},
  {name: '503', status: 503, type: 'application/problem+json'},
  {name: 'a page', status: 200, type: 'text/html'},
  {name: '204', status: 204, type: 'text/event-stream'},
]) {
  test(`${name} is no stream`, async t => {
    const {server, clock, statuses} = open(t);
    await settle();
    server.last.answer(status, '', {'Content-Type': type});
    await settle();
    assert.deepEqual(statuses, ['connecting', 'offline']);
    await clock.advance(1_000);
    assert.equal(server.exchanges.length, 2);
  });
}

test('a server that is too busy says when to come back', async t => {
  const {server, clock} = open(t);
  await settle();
  server.last.answer(429, '', {'Retry-After': '7'});
  await clock.advance(6_900);
  assert.equal(server.exchanges.length, 1);
  await clock.advance(200);
  assert.equal(server.exchanges.length, 2);
});

test('heartbeats keep a quiet stream', async t => {
  const {server, clock} = open(t);
  await settle();
  server.last.begin();
  for (let i = 0; i < 10; i++) {
    await clock.advance(heartbeat);
    server.last.send(':\n\n');
    await settle();
  }
  assert.equal(server.exchanges.length, 1);
});

test('a silent connection is given up', async t => {
  const {server, clock, statuses} = open(t);
  await settle();
  server.last.begin();
  await settle();
  await clock.advance(2.5 * heartbeat - 1);
  assert.equal(statuses.at(-1), 'live');
  await clock.advance(1);
  assert.deepEqual(server.open, []);
  assert.equal(statuses.at(-1), 'connecting');
  await clock.advance(1_000);
  assert.equal(server.exchanges.length, 2);
});

test('a server that never answers is given up', async t => {
  const {server, clock, statuses} = open(t);
  await clock.advance(connectPatience);
  assert.equal(statuses.at(-1), 'offline');
  await clock.advance(1_000);
  assert.equal(server.exchanges.length, 2);
});

test('so is a source of tokens that never answers', async t => {
  const {server, clock, statuses} = open(t, () => new Promise<string>(() => {}));
  await clock.advance(connectPatience);
  assert.equal(statuses.at(-1), 'offline');
  assert.equal(server.exchanges.length, 0);
});

test('a source of tokens that fails means offline', async t => {
  const {statuses} = open(t, () => Promise.reject(new Error('offline')));
  await settle();
  assert.equal(statuses.at(-1), 'offline');
});

test('a refused token is renewed and the new one tried at once', async t => {
  let generation = 1;
  const {server, statuses} = open(t, force => `t${force ? ++generation : generation}`);
  await settle();
  server.last.answer(401);
  await settle();
  assert.equal(server.exchanges.length, 2);
  assert.equal(server.last.headers.get('Authorization'), 'Bearer t2');
  server.last.begin();
  await settle();
  assert.deepEqual(statuses, ['connecting', 'live']);
});

test('a new token that is refused too makes it unauthorised, without a storm', async t => {
  let calls = 0;
  const {server, clock, statuses} = open(t, () => `t${++calls}`);
  await settle();
  server.last.answer(401);
  await settle();
  server.last.answer(401);
  await settle();
  assert.equal(statuses.at(-1), 'unauthorised');
  assert.equal(server.exchanges.length, 2);
  await clock.advance(1_000);
  assert.equal(server.exchanges.length, 3);
  assert.equal(statuses.at(-1), 'unauthorised', 'also while it tries');
  server.last.begin();
  await settle();
  assert.equal(statuses.at(-1), 'live');
});

test('a fixed token that is refused is not tried again at once', async t => {
  const {server, clock, statuses} = open(t);
  await settle();
  server.last.answer(401);
  await settle();
  assert.equal(server.exchanges.length, 1);
  assert.equal(statuses.at(-1), 'unauthorised');
  await clock.advance(1_000);
  assert.equal(server.exchanges.length, 2);
});

test('who is not allowed is unauthorised, and no token is renewed', async t => {
  const forced: boolean[] = [];
  const {server, statuses} = open(t, force => {
    forced.push(force);
    return 'abc';
  });
  await settle();
  server.last.answer(403);
  await settle();
  assert.equal(statuses.at(-1), 'unauthorised');
  assert.deepEqual(forced, [false]);
});

test('hope ends a pause', async t => {
  const {stream, server} = open(t);
  await settle();
  server.last.fail();
  await settle();
  stream.wake();
  await settle();
  assert.equal(server.exchanges.length, 2);
});

test('hope leaves a stream alone that is alive', async t => {
  const {stream, server, clock} = open(t);
  await settle();
  stream.wake();
  server.last.begin();
  await clock.advance(heartbeat);
  stream.wake();
  await settle();
  assert.equal(server.exchanges.length, 1);
});

test('after a sleep of the machine, hope gives up a stream that missed its heartbeat', async t => {
  const {stream, server, clock} = open(t);
  await settle();
  server.last.begin();
  await settle();
  clock.sleep(10 * 60_000);
  stream.wake();
  await settle();
  assert.equal(server.exchanges.length, 2, 'at once');
  assert.equal(server.open.length, 1);
});

test('doubt connects anew at once, and shows when that fails', async t => {
  const {stream, server, statuses} = open(t);
  await settle();
  server.last.begin();
  await settle();
  server.down = true;
  stream.restart();
  await settle();
  assert.deepEqual(statuses, ['connecting', 'live', 'connecting', 'offline']);
  assert.equal(server.exchanges.length, 2);
});

test('doubt without reason costs one connection', async t => {
  const {stream, server, statuses} = open(t);
  await settle();
  server.last.begin();
  await settle();
  stream.restart();
  await settle();
  server.last.begin();
  await settle();
  assert.deepEqual(statuses, ['connecting', 'live', 'connecting', 'live']);
});

test('an event without an end is a failure, not a leak', async t => {
  const {server} = open(t);
  await settle();
  server.last.begin();
  for (let i = 0; i < 10; i++) {
    server.last.send('x'.repeat(10_000));
  }
  await settle();
  assert.deepEqual(server.open, []);
});

for (const {name, act} of [
  {name: 'while the token is fetched', act: async () => {}},
  {name: 'while it connects', act: () => settle()},
  {
    name: 'while it is live',
    act: async (server: FakeBrowser['server']) => {
      await settle();
      server.last.begin();
      await settle();
    },
  },
  {
    name: 'in a pause',
    act: async (server: FakeBrowser['server']) => {
      await settle();
      server.last.fail();
      await settle();
    },
  },
]) {
  test(`closed ${name}, it is silent and leaves nothing`, async t => {
    const {stream, server, clock, statuses, pokes} = open(t);
    await act(server);
    const before = statuses.length;
    const requests = server.exchanges.length;
    await stream.close();
    await stream.close();
    assert.equal(clock.pending, 0);
    assert.deepEqual(server.open, []);
    await clock.advance(10 * 60_000);
    assert.equal(server.exchanges.length, requests);
    assert.equal(statuses.length, before);
    assert.deepEqual(pokes, []);
  });
}

test('what failed before stays so until it works', async t => {
  const {server, statuses} = open(t, 'abc', 'unauthorised');
  await settle();
  assert.deepEqual(statuses, []);
  server.last.begin();
  await settle();
  assert.deepEqual(statuses, ['live']);
});
