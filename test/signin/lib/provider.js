// The OpenID Connect provider, as a child process.

import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {Child} from '../../replicache/lib/process.js';
import {until} from '../../replicache/lib/wait.js';

/** Builds the provider. @returns {{start: typeof start, remove: () => void}} */
export function build() {
  const folder = mkdtempSync(join(tmpdir(), 'replifire-provider-'));
  const binary = join(folder, 'provider');
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const done = spawnSync('go', ['build', '-o', binary, './test/signin/provider'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (done.status !== 0) {
    throw new Error('go build ./test/signin/provider failed');
  }
  return {
    start: lifetime => start(lifetime, binary),
    remove: () => rmSync(folder, {recursive: true}),
  };
}

/**
 * Starts a provider whose ID tokens end so long after they were made.
 * @param {string} lifetime such as "1h" or "-55s"
 * @param {string} [binary]
 * @returns {Promise<{issuer: string, stop: () => Promise<void>}>}
 */
async function start(lifetime, binary = '') {
  const child = new Child(binary, [`-lifetime=${lifetime}`]);
  const [issuer = ''] = await until('the provider says its address', () => {
    if (!child.running) {
      throw new Error(`it ended: ${child.output}`);
    }
    return /^http:\S+$/m.exec(child.output) ?? undefined;
  });
  return {
    issuer,
    async stop() {
      await child.end('SIGTERM');
    },
  };
}
