// Real clients at servers that somebody else has started and breaks: test/robustness.
//
//     node visitors.js SPACE CLIENTS MUTATIONS URL...
//
// Each client writes so many random mutations. Then all must converge, to what the journal
// of the mutations says. Prints a line of JSON, or what went wrong and exits with 1.

import assert from 'node:assert/strict';
import {Client} from './lib/client.js';
import {pull} from './lib/http.js';
import {Random, processSeed} from './lib/random.js';
import {applyPatch, viewDiff} from './lib/view.js';
import {until} from './lib/wait.js';
import {Journal} from './lib/workload.js';

/** How long the servers may go on being broken after the last mutation. */
const patience = 240_000;

/**
 * How long a request may stay without an answer. The service answers sooner, a killed one
 * never; where the end of its connection is lost, Node's fetch waits for five minutes, and a
 * real network's end of it comes sooner than that.
 */
const unanswered = 60_000;

const realFetch = globalThis.fetch;
/** @type {typeof fetch} */
const boundedFetch = async (input, init = {}) => {
  const late = new AbortController();
  const began = new Date().toISOString();
  const timer = setTimeout(() => {
    console.error(`no answer from ${String(input)} since ${began}`);
    late.abort(new Error(`no answer in ${unanswered} ms`));
  }, unanswered);
  const signals = init.signal ? [init.signal, late.signal] : [late.signal];
  try {
    return await realFetch(input, {...init, signal: AbortSignal.any(signals)});
  } finally {
    clearTimeout(timer);
  }
};
globalThis.fetch = boundedFetch;

const [space = 'room', count = '1', mutations = '1', ...urls] = process.argv.slice(2);
const random = new Random(processSeed);
const clients = Array.from({length: Number(count)}, (_, i) => {
  const url = urls[i % urls.length] ?? '';
  return new Client({name: `visitor-${i}`, url, space, random: random.fork()});
});

/** Says which client is behind the server, or returns true. */
async function converged() {
  const {patch} = await pull(urls[0] ?? '', space);
  const want = applyPatch(patch);
  for (const client of clients) {
    const pending = await client.pending();
    const diff = pending > 0 ? `${pending} are pending` : viewDiff(await client.view(), want);
    if (diff) {
      return `${client.name}: ${diff}`;
    }
  }
  return true;
}

const journal = new Journal();
try {
  await Promise.all(clients.map(c => journal.write(c, Number(mutations), random.fork())));
  await until('all clients show what the server has', converged, patience);
  const [first] = clients;
  assert.ok(first);
  await journal.check(await first.view(), {url: urls[0] ?? ''}, space, clients);
  for (const client of clients) {
    assert.deepEqual(client.complaints, [], `the protocol errors that ${client.name} logged`);
    assert.equal(client.reloads, 0, `how often ${client.name} lost its state`);
  }
  const pulls = clients.reduce((sum, client) => sum + client.pulls, 0);
  console.log(JSON.stringify({clients: clients.length, mutations: journal.count(), pulls}));
} catch (err) {
  console.error(err, ...clients.map(client => client.describe()), `SEED=${processSeed}`);
  process.exitCode = 1;
}
await Promise.all(clients.map(client => client.close()));
