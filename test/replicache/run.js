// Runs the tests: builds replifire and starts a Firestore emulator unless the
// environment names them, then hands over to Node's test runner.
//
//   node run.js [suite/file.test.js …]

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {startEmulator} from './lib/emulator.js';

const here = dirname(fileURLToPath(import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'replifire-test-'));

/** @returns {string} the path of the program under test */
function build() {
  const out = join(scratch, 'replifire');
  const done = spawnSync('go', ['build', '-o', out, './cmd/replifire'], {
    cwd: resolve(here, '../..'),
    stdio: 'inherit',
  });
  if (done.status !== 0) {
    throw new Error('go build ./cmd/replifire failed');
  }
  return out;
}

/**
 * A missing emulator is a failure in CI; elsewhere the tests that need it are
 * skipped with the reason.
 */
async function emulator() {
  if (process.env.REPLIFIRE_TEST_EMULATOR) {
    return {host: process.env.REPLIFIRE_TEST_EMULATOR, why: '', stop: async () => {}};
  }
  try {
    return {...(await startEmulator()), why: ''};
  } catch (err) {
    if (process.env.CI === 'true') {
      throw err;
    }
    const why = err instanceof Error ? err.message : String(err);
    return {host: '', why, stop: async () => {}};
  }
}

/** @param {NodeJS.ProcessEnv} env */
async function runTests(env) {
  const named = process.argv.slice(2);
  const files = named.length
    ? named
    : readdirSync(join(here, 'suite'))
        .filter(file => file.endsWith('.test.js'))
        .map(file => join(here, 'suite', file));
  const node = spawn(
    process.execPath,
    ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files],
    {env, stdio: 'inherit'},
  );
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.on(signal, () => node.kill(signal));
  }
  const [code] = await once(node, 'exit');
  return code ?? 1;
}

async function main() {
  const binary = process.env.REPLIFIRE_BIN || build();
  const {host, why, stop} = await emulator();
  try {
    return await runTests({
      ...process.env,
      REPLIFIRE_BIN: resolve(binary),
      REPLIFIRE_TEST_EMULATOR: host,
      REPLIFIRE_TEST_NO_EMULATOR: why,
    });
  } finally {
    await stop();
  }
}

try {
  process.exitCode = await main();
} catch (err) {
  console.error(err instanceof Error ? err.message : err);
  process.exitCode = 1;
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
