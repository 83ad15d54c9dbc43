// The Firestore emulator: found, started, wiped.

import {existsSync, realpathSync} from 'node:fs';
import {delimiter, dirname, join} from 'node:path';
import {homedir} from 'node:os';
import {Child, freePort} from './process.js';
import {until} from './wait.js';

const jar = 'platform/cloud-firestore-emulator/cloud-firestore-emulator.jar';
const mainClass = 'com.google.cloud.datastore.emulator.firestore.CloudFirestore';

/**
 * Starts an emulator on a free port and waits until it answers. Java is started
 * directly: gcloud would leave it running behind itself.
 * @returns {Promise<{host: string, stop: () => Promise<void>}>}
 */
export async function startEmulator() {
  const path = findJar();
  const java = findProgram('java');
  if (!path || !java) {
    throw new Error(
      'no Firestore emulator: set REPLIFIRE_TEST_EMULATOR=HOST:PORT to a running one, or ' +
        'install Java and `gcloud components install cloud-firestore-emulator`',
    );
  }
  const port = await freePort();
  const child = new Child(java, [
    '-Xmx1g', // else it takes a quarter of the machine
    ...['-cp', path, mainClass, 'start'],
    ...['--host', '127.0.0.1', '--port', String(port), '--database-mode=firestore-native'],
  ]);
  const host = `127.0.0.1:${port}`;
  await until(`the emulator answers on ${host}`, async () => {
    if (!child.running) {
      return `it ended: ${child.output}`;
    }
    return (await fetch(`http://${host}/`)).ok;
  });
  return {
    host,
    async stop() {
      await child.end('SIGTERM');
    },
  };
}

/**
 * Deletes every document of a project, as a developer who restarts the emulator
 * does.
 * @param {string} host
 * @param {string} project
 */
export async function wipe(host, project) {
  const url = `http://${host}/emulator/v1/projects/${project}/databases/(default)/documents`;
  const answer = await fetch(url, {method: 'DELETE'});
  if (!answer.ok) {
    throw new Error(`wiping the emulator: ${answer.status} ${await answer.text()}`);
  }
}

function findJar() {
  const gcloud = findProgram('gcloud');
  const roots = [
    process.env.CLOUDSDK_ROOT_DIR ?? '',
    gcloud ? dirname(dirname(realpathSync(gcloud))) : '',
    join(homedir(), 'google-cloud-sdk'),
    '/usr/lib/google-cloud-sdk',
    '/opt/google-cloud-sdk',
    '/google-cloud-sdk',
  ];
  return roots
    .filter(root => root !== '')
    .map(root => join(root, jar))
    .find(path => existsSync(path));
}

/** @param {string} name */
function findProgram(name) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (name === 'java' && process.env.JAVA_HOME) {
    folders.unshift(join(process.env.JAVA_HOME, 'bin'));
  }
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}
