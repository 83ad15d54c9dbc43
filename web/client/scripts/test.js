// Runs the compiled tests with Node's test runner. Node 20 takes no glob, so the
// files are listed here.
//
//   npm test                        all of them
//   npm test -- stream connection   those with these names

import {spawnSync} from 'node:child_process';
import {readdirSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const folder = new URL('../build/test/', import.meta.url);
const named = process.argv.slice(2);
const files = readdirSync(folder)
  .filter(file => file.endsWith('.test.js'))
  .filter(file => named.length === 0 || named.includes(file.replace('.test.js', '')))
  .map(file => fileURLToPath(new URL(file, folder)));

const done = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', '--test-concurrency=2', '--test-reporter=spec', ...files],
  {stdio: 'inherit', cwd: fileURLToPath(new URL('..', import.meta.url))},
);
process.exitCode = done.status ?? 1;
