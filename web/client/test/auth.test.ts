import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Auth, type AuthSource, minRefreshInterval} from '../src/auth.js';
import {FakeClock, FakeRep, settle} from './fakes.js';

/** A Firebase user: a token is good until it is refreshed by force. */
class User {
  calls: boolean[] = [];
  generation = 1;

  async getIdToken(force = false): Promise<string> {
    this.calls.push(force);
    await settle();
    if (force) {
      this.generation++;
    }
    return `t${this.generation}`;
  }

  get forced(): number {
    return this.calls.filter(force => force).length;
  }
}

const make = (source?: AuthSource) => {
  const clock = new FakeClock();
  return {clock, auth: new Auth(source, clock)};
};

for (const {name, source, want} of [
  {name: 'a token', source: 'abc', want: 'Bearer abc'},
  {name: 'a token that has its scheme', source: 'bearer abc', want: 'bearer abc'},
  {name: 'no token', source: undefined, want: ''},
  {name: 'an empty token', source: '', want: ''},
  {name: 'a function', source: () => 'abc', want: 'Bearer abc'},
  {name: 'an async function', source: async () => 'abc', want: 'Bearer abc'},
  {name: 'a function without a token now', source: () => null, want: ''},
  {name: 'a user', source: new User(), want: 'Bearer t1'},
]) {
  test(`makes the header of ${name}`, async () => {
    assert.equal(await make(source).auth.header(), want);
  });
}

test('a fixed token is known at once, others are not', () => {
  assert.equal(make('abc').auth.known, 'Bearer abc');
  assert.equal(make(() => 'abc').auth.known, '');
});

test('requests at the same time share one call of the source', async () => {
  const user = new User();
  const {auth} = make(user);
  await Promise.all([auth.header(), auth.header(), auth.header()]);
  assert.deepEqual(user.calls, [false]);
  await auth.header();
  assert.deepEqual(user.calls, [false, false], 'a later request asks again');
});

test('a refused token is renewed by force, once for all who were refused', async () => {
  const user = new User();
  const {auth} = make(user);
  const refused = await auth.header();
  const renewed = await Promise.all([auth.renew(refused), auth.renew(refused), auth.renew(refused)]);
  assert.deepEqual(renewed, ['Bearer t2', 'Bearer t2', 'Bearer t2']);
  assert.equal(user.forced, 1);
});

test('a token that has been renewed meanwhile is not renewed by force', async () => {
  const user = new User();
  const {auth} = make(user);
  const refused = await auth.header();
  user.generation = 5;
  assert.equal(await auth.renew(refused), 'Bearer t5');
  assert.equal(user.forced, 0);
});

test('force is rationed', async () => {
  const user = new User();
  const {auth, clock} = make(user);
  assert.equal(await auth.renew('Bearer t1'), 'Bearer t2');
  assert.equal(await auth.renew('Bearer t2'), undefined, 'too early');
  await clock.advance(minRefreshInterval);
  assert.equal(await auth.renew('Bearer t2'), 'Bearer t3');
  assert.equal(user.forced, 2);
});

test('a source that knows no other token has none', async () => {
  const {auth} = make('abc');
  assert.equal(await auth.renew('Bearer abc'), undefined);
});

test('a signed-out user has no token to renew with', async () => {
  const {auth} = make(() => null);
  assert.equal(await auth.renew('Bearer abc'), undefined);
  assert.equal(await auth.renew(''), undefined);
});

test('a request joins a renewal that is under way', async () => {
  const answers: ((token: string) => void)[] = [];
  const {auth} = make(() => new Promise(resolve => answers.push(resolve)));
  const renewed = auth.renew('Bearer old');
  answers[0]?.('old');
  await settle();
  const joined = auth.header();
  assert.equal(answers.length, 2);
  answers[1]?.('new');
  assert.deepEqual(await Promise.all([renewed, joined]), ['Bearer new', 'Bearer new']);
});

test('an older call that ends after a newer one does not bring back its token', async () => {
  const answers: ((token: string) => void)[] = [];
  const {auth} = make(() => new Promise(resolve => answers.push(resolve)));
  // The second request begins just before the renewal does.
  const second = auth.header().then(() => auth.header());
  const renewed = auth.renew('Bearer old');
  answers[0]?.('old');
  await settle();
  assert.equal(answers.length, 3);
  answers[2]?.('new');
  assert.equal(await renewed, 'Bearer new');
  answers[1]?.('old');
  await second;
  assert.equal(auth.known, 'Bearer new');
});

test('what the source throws reaches the request, and the next one asks again', async () => {
  let calls = 0;
  const {auth} = make(() => {
    calls++;
    if (calls === 1) {
      throw new Error('offline');
    }
    return 'abc';
  });
  await assert.rejects(auth.header(), /offline/);
  assert.equal(await auth.header(), 'Bearer abc');
});

/** What Replicache does when everything is answered with 401, see protocol.md §1.4. */
async function round(rep: FakeRep, refuses: (auth: string) => boolean): Promise<number> {
  let requests = 0;
  for (let tries = 0; tries < 8; tries++) {
    requests++;
    if (!refuses(rep.auth)) {
      break;
    }
    const header = await rep.getAuth?.();
    if (header === null || header === undefined) {
      break;
    }
    rep.auth = header;
  }
  return requests;
}

test('Replicache gets a token that it has not tried, and goes on', async () => {
  const user = new User();
  const {auth} = make(user);
  const rep = new FakeRep('c');
  auth.attach(rep);
  assert.equal(await round(rep, header => header !== 'Bearer t2'), 3, 'nothing, t1, t2');
  assert.equal(rep.auth, 'Bearer t2');
});

test('a server that refuses everything makes no storm', async () => {
  const user = new User();
  const {auth, clock} = make(user);
  const rep = new FakeRep('c');
  auth.attach(rep);
  let requests = 0;
  for (let i = 0; i < 20; i++) {
    requests += await round(rep, () => true);
  }
  assert.equal(user.forced, 1);
  assert.ok(requests <= 20 + 2, `${requests} requests in 20 rounds`);
  await clock.advance(minRefreshInterval);
  await round(rep, () => true);
  assert.equal(user.forced, 2);
});

test('a fixed token that is refused is given up at once', async () => {
  const {auth} = make('abc');
  const rep = new FakeRep('c');
  auth.attach(rep);
  assert.equal(rep.auth, 'Bearer abc');
  assert.equal(await round(rep, () => true), 1);
});

test('an instance that is not attached gets the token that others know already', async () => {
  const {auth} = make(() => 'abc');
  await auth.header();
  const rep = new FakeRep('c');
  rep.getAuth = auth.getAuth;
  assert.equal(await round(rep, header => header !== 'Bearer abc'), 2);
});

test('getAuth never throws', async () => {
  const {auth} = make(() => Promise.reject(new Error('offline')));
  assert.equal(await auth.getAuth(), undefined);
});

test('an attached instance follows the token until it is detached', async () => {
  const user = new User();
  const {auth} = make(user);
  const rep = new FakeRep('c');
  const before = async () => 'mine';
  rep.getAuth = before;
  const detach = auth.attach(rep);
  await auth.header();
  assert.equal(rep.auth, 'Bearer t1');
  user.generation = 2;
  await auth.header();
  assert.equal(rep.auth, 'Bearer t2');
  detach();
  user.generation = 3;
  await auth.header();
  assert.equal(rep.auth, 'Bearer t2');
  assert.equal(rep.getAuth, before);
});
