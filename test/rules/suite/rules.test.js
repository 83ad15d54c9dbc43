// What firestore.rules lets a browser do: a member of a space may read the space's
// own document, and nobody may do anything else. The service itself works under them.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {after, before, test} from 'node:test';
import {
  assertFails,
  assertSucceeds,
  initializeTestEnvironment,
} from '@firebase/rules-unit-testing';
import {
  collection,
  collectionGroup,
  deleteDoc,
  doc,
  getDoc,
  getDocs,
  limit,
  onSnapshot,
  query,
  runTransaction,
  setDoc,
  setLogLevel,
  updateDoc,
  writeBatch,
} from 'firebase/firestore';
import {pull, push} from '../../replicache/lib/http.js';
import {Server} from '../../replicache/lib/server.js';
import {within} from '../../replicache/lib/wait.js';

const emulator = process.env.REPLIFIRE_TEST_EMULATOR;
const skip = emulator ? false : 'there is no Firestore emulator';
const rules = readFileSync(new URL('../../../firestore.rules', import.meta.url), 'utf8');
const projectId = `rules-${process.pid}-${Date.now()}`;
const odd = 'user.with+odd@chars~1';

/** @type {import('@firebase/rules-unit-testing').RulesTestEnvironment} */
let environment;

/**
 * Runs as the service does: rules do not hold it up.
 * @param {(db: any) => Promise<unknown>} work
 */
const asService = work =>
  environment.withSecurityRulesDisabled(async context => void (await work(context.firestore())));

/**
 * One document of each collection there is, and of two that there are not.
 * @type {Record<string, {path: string, data: Record<string, unknown>}>}
 */
const documents = {
  space: {path: 'spaces/garden', data: {version: 1, epoch: 'e'}},
  'another space': {path: 'spaces/cellar', data: {version: 1, epoch: 'e'}},
  entry: {path: 'spaces/garden/entries/message%2F1', data: {version: 1, value: 'secret'}},
  client: {path: 'spaces/garden/clients/c1', data: {version: 1, lastMutationID: 7}},
  member: {path: 'spaces/garden/members/ann', data: {role: 'reader'}},
  'client group': {path: 'clientGroups/g1', data: {userID: 'ann', space: 'garden'}},
  'document of another application': {path: 'orders/o1', data: {total: 1}},
  'document deep in a space': {path: 'spaces/garden/entries/e/versions/v', data: {version: 1}},
};

/** Members beside the one above, and one who is none any more. */
const otherMembers = {
  [`spaces/garden/members/${odd}`]: {role: 'writer'},
  'spaces/garden/members/gil': {role: 'owner'},
  'spaces/cellar/members/bob': {role: 'owner'},
};

before(async () => {
  if (skip) {
    return;
  }
  setLogLevel('silent'); // refusals are what is tested
  const {hostname, port} = new URL(`http://${emulator}`);
  environment = await initializeTestEnvironment({
    projectId,
    firestore: {host: hostname, port: Number(port), rules},
  });
  await asService(async db => {
    for (const {path, data} of Object.values(documents)) {
      await setDoc(doc(db, path), data);
    }
    for (const [path, data] of Object.entries(otherMembers)) {
      await setDoc(doc(db, path), data);
    }
    await setDoc(doc(db, 'spaces/garden/members/fay'), {role: 'owner'});
    await deleteDoc(doc(db, 'spaces/garden/members/fay'));
  });
});

after(async () => environment?.cleanup());

/** @type {Record<string, () => any>} */
const people = {
  anonymous: () => environment.unauthenticatedContext().firestore(),
  'a signed-in stranger': () => environment.authenticatedContext('eve').firestore(),
  'who says to be an owner': () =>
    environment.authenticatedContext('eve', {role: 'owner', admin: true}).firestore(),
  'a former member': () => environment.authenticatedContext('fay').firestore(),
  'the owner of another space': () => environment.authenticatedContext('bob').firestore(),
  'a member': () => environment.authenticatedContext('ann').firestore(),
  'a member with an odd id': () => environment.authenticatedContext(odd).firestore(),
  'an owner': () => environment.authenticatedContext('gil').firestore(),
};

/** Who may get which document; everything else is refused to everybody. */
/** @type {Record<string, string[]>} */
const mayGet = {
  space: ['a member', 'a member with an odd id', 'an owner'],
  'another space': ['the owner of another space'],
};

/**
 * What can be tried on a document and on the collection that it is in.
 * @type {Record<string, (db: any, path: string) => Promise<unknown>>}
 */
const attempts = {
  get: (db, path) => getDoc(doc(db, path)),
  list: (db, path) => getDocs(collection(db, parent(path))),
  'list one of': (db, path) => getDocs(query(collection(db, parent(path)), limit(1))),
  'list everywhere': (db, path) => getDocs(collectionGroup(db, name(path))),
  create: (db, path) => setDoc(doc(db, `${parent(path)}/new`), {role: 'owner', version: 2}),
  replace: (db, path) => setDoc(doc(db, path), {userID: 'eve', role: 'owner'}),
  'write into': (db, path) => setDoc(doc(db, path), {version: 99}, {merge: true}),
  update: (db, path) => updateDoc(doc(db, path), {version: 99}),
  delete: (db, path) => deleteDoc(doc(db, path)),
  'update in a batch': (db, path) => writeBatch(db).update(doc(db, path), {version: 99}).commit(),
  'update in a transaction': (db, path) =>
    runTransaction(db, async tx => void tx.update(doc(db, path), {version: 99})),
};

/** @param {string} path of a document */
const parent = path => path.slice(0, path.lastIndexOf('/'));

/** @param {string} path of a document */
const name = path => parent(path).split('/').at(-1) ?? '';

for (const [who, database] of Object.entries(people)) {
  for (const [what, {path}] of Object.entries(documents)) {
    for (const [how, attempt] of Object.entries(attempts)) {
      const may = how === 'get' && Boolean(mayGet[what]?.includes(who));
      test(`${who} ${may ? 'may' : 'may not'} ${how}: ${what}`, {skip}, async () => {
        await (may ? assertSucceeds : assertFails)(attempt(database(), path));
      });
    }
  }
  test(`${who} may not get a space that is not there`, {skip}, async () => {
    await assertFails(getDoc(doc(database(), 'spaces/attic')));
  });
}

test('nobody makes oneself a member', {skip}, async () => {
  for (const space of ['garden', 'attic']) {
    const eve = people['a signed-in stranger']();
    await assertFails(setDoc(doc(eve, `spaces/${space}/members/eve`), {role: 'owner'}));
  }
});

test('after all these attempts everything is as it was', {skip}, async () => {
  await asService(async db => {
    for (const {path, data} of Object.values(documents)) {
      assert.deepEqual((await getDoc(doc(db, path))).data(), data, path);
      const made = await getDoc(doc(db, `${parent(path)}/new`));
      assert.equal(made.exists(), false, made.ref.path);
    }
    const members = await getDocs(collection(db, 'spaces/garden/members'));
    assert.deepEqual(members.docs.map(member => member.id).sort(), ['ann', 'gil', odd].sort());
  });
});

test('a stranger who listens to a space is refused', {skip}, async () => {
  const refused = new Promise(resolve => {
    onSnapshot(doc(people['a signed-in stranger'](), 'spaces/garden'), {
      next: () => resolve('a snapshot'),
      error: error => resolve(error.code),
    });
  });
  assert.equal(await within('the listener is answered', refused), 'permission-denied');
});

test('the service works, and only members hear of it', {skip}, async () => {
  const server = await Server.start({
    GOOGLE_CLOUD_PROJECT: projectId,
    FIRESTORE_EMULATOR_HOST: emulator ?? '',
    REPLIFIRE_STORE: 'firestore',
  });
  try {
    const from = {clientGroupID: 'rules-group', clientID: 'rules-client'};
    const create = (/** @type {number} */ id) =>
      push(server.url, 'shed', from, [
        {id, name: 'createMessage', args: {id: `m${id}`, from: 'ann', content: 'hi', order: id}},
      ]);
    assert.equal((await create(1)).status, 200);
    const answer = await pull(server.url, 'shed', {clientGroupID: from.clientGroupID});
    assert.equal(answer.lastMutationIDChanges[from.clientID], 1);

    const ann = people['a member']();
    await assertFails(getDoc(doc(ann, 'spaces/shed')));
    await asService(db => setDoc(doc(db, 'spaces/shed/members/ann'), {role: 'reader'}));
    const before = (await getDoc(doc(ann, 'spaces/shed'))).get('version');
    assert.ok(Number.isInteger(before), `the version is ${before}`);

    const heard = new Promise((resolve, reject) => {
      onSnapshot(
        doc(ann, 'spaces/shed'),
        space => space.get('version') > before && resolve(space.data()),
        reject,
      );
    });
    assert.equal((await create(2)).status, 200);
    const space = await within('the member hears of the push', heard);
    assert.doesNotMatch(JSON.stringify(space), /"hi"|createMessage/, 'content in the space document');
    await assertFails(getDocs(collection(ann, 'spaces/shed/entries')));
    await assertFails(getDocs(collection(ann, 'spaces/shed/clients')));
    await assertFails(getDoc(doc(ann, `clientGroups/${from.clientGroupID}`)));
  } finally {
    await server.stop();
  }
});
