// The Firestore emulator: found, started, wiped.

import {existsSync, realpathSync} from 'node:fs';
import {basename, delimiter, dirname, join} from 'node:path';
import {homedir} from 'node:os';
import {Child, freePort} from './process.js';
import {until} from './wait.js';

const jar = 'platform/cloud-firestore-emulator/cloud-firestore-emulator.jar';
const mainClass = 'com.google.cloud.datastore.emulator.firestore.CloudFirestore';

/**
 * An emulator that runs.
 * @typedef {{host: string, port: number, stop: () => Promise<void>}} Emulator
 */

/**
 * Starts an emulator and waits until it answers. Java is started directly: gcloud would leave
 * it running behind itself.
 * @param {string} [metadata] of an export to begin with
 * @param {number} [port] a free one, if it is not given
 * @returns {Promise<Emulator>}
 */
export async function startEmulator(metadata, port) {
  const path = findJar();
  const java = findProgram('java');
  if (!path || !java) {
    throw new Error(
      'no Firestore emulator: set REPLIFIRE_TEST_EMULATOR=HOST:PORT to a running one, or ' +
        'install Java and `gcloud components install cloud-firestore-emulator`',
    );
  }
  port ??= await freePort();
  const child = new Child(java, [
    '-Xmx1g', // else it takes a quarter of the machine
    ...['-cp', path, mainClass, 'start'],
    ...['--host', '127.0.0.1', '--port', String(port), '--database-mode=firestore-native'],
    ...(metadata ? [`--import-data=${metadata}`] : []),
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
    port,
    async stop() {
      await child.end('SIGTERM');
    },
  };
}

/**
 * Writes all documents of a project, as `gcloud firestore export` does.
 * @param {string} host
 * @param {string} project
 * @param {string} folder that does not exist yet
 * @returns {Promise<string>} the path of the metadata
 */
export async function exportTo(host, project, folder) {
  const answer = await fetch(`http://${host}/emulator/v1/projects/${project}:export`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({
      database: `projects/${project}/databases/(default)`,
      export_directory: dirname(folder),
      export_name: basename(folder),
    }),
  });
  if (!answer.ok) {
    throw new Error(`exporting from the emulator: ${answer.status} ${await answer.text()}`);
  }
  return join(folder, `${basename(folder)}.overall_export_metadata`);
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
