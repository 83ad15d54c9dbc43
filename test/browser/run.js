// Runs the tests in a browser: finds Chromium or installs it, then hands over to
// the runner of the tests with the Replicache client, which builds replifire and
// starts a Firestore emulator unless the environment names them.
//
//   node run.js [suite/file.test.js …]

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readdirSync} from 'node:fs';
import {delimiter, dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const names = ['chromium', 'chromium-browser', 'google-chrome'];
const howTo =
  'install it with "apt-get install chromium", or name one with REPLIFIRE_CHROMIUM=/path/to/it';

function findChromium() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = names.flatMap(name => folders.map(folder => join(folder, name)));
  return process.env.REPLIFIRE_CHROMIUM || paths.find(path => existsSync(path));
}

/** Only root can, and only where the system is Debian's or like it. */
function installChromium() {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    return undefined;
  }
  console.log('There is no Chromium: installing it with apt-get.');
  spawnSync('apt-get', ['update', '-q'], {stdio: 'ignore'});
  spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'chromium'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {...process.env, DEBIAN_FRONTEND: 'noninteractive'},
  });
  return findChromium();
}

/** A test that is not run is no failure on a laptop, and one in CI. */
function skip(/** @type {string} */ why) {
  console.log(`The tests in a browser were SKIPPED: ${why}.`);
  return process.env.CI === 'true' ? 1 : 0;
}

async function main() {
  const chromium = findChromium() ?? installChromium();
  if (!chromium) {
    return skip(`there is no Chromium; ${howTo}`);
  }
  const named = process.argv.slice(2).map(file => resolve(file));
  const all = readdirSync(join(here, 'suite'))
    .filter(file => file.endsWith('.test.js'))
    .map(file => join(here, 'suite', file));
  const runner = join(here, '../replicache/run.js');
  const node = spawn(process.execPath, [runner, ...(named.length > 0 ? named : all)], {
    env: {...process.env, REPLIFIRE_CHROMIUM: chromium},
    stdio: 'inherit',
  });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.on(signal, () => node.kill(signal));
  }
  const [code] = await once(node, 'exit');
  return code ?? 1;
}

process.exitCode = await main();
