// The Firebase Auth emulator of firebase-tools, as a child process, and users of it
// who sign in by the Firebase SDK, as an application does.

import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {deleteApp, initializeApp} from 'firebase/app';
import {connectAuthEmulator, createUserWithEmailAndPassword, getAuth} from 'firebase/auth';
import {Child, freePort} from '../../replicache/lib/process.js';
import {until} from '../../replicache/lib/wait.js';

/** One that begins with demo- has firebase-tools call nobody outside the machine. */
export const project = 'demo-replifire';

const program = fileURLToPath(
  new URL('../node_modules/firebase-tools/lib/bin/firebase.js', import.meta.url),
);

/** @returns {Promise<{host: string, stop: () => Promise<void>}>} */
export async function startAuthEmulator() {
  const folder = mkdtempSync(join(tmpdir(), 'replifire-auth-'));
  const emulators = {
    auth: await place(),
    hub: await place(),
    logging: await place(),
    ui: {enabled: false},
  };
  const config = join(folder, 'firebase.json');
  writeFileSync(config, JSON.stringify({emulators}));
  const args = [program, 'emulators:start', '--only=auth', `--project=${project}`, `--config=${config}`];
  // What it writes to the home folder goes with the rest, and it knows no account.
  const child = new Child(process.execPath, args, {CI: 'true', HOME: folder, XDG_CONFIG_HOME: folder});
  const host = `127.0.0.1:${emulators.auth.port}`;
  await until(`the Auth emulator answers on ${host}`, async () => {
    if (!child.running) {
      throw new Error(`it ended: ${child.output}`);
    }
    return (await fetch(`http://${host}/`)).ok;
  });
  return {
    host,
    async stop() {
      await child.end('SIGTERM');
      rmSync(folder, {recursive: true, force: true});
    },
  };
}

async function place() {
  return {host: '127.0.0.1', port: await freePort()};
}

/** A user who has an account, and has signed in. */
export class Account {
  #app;
  #user;
  #token;
  /** How often a new token was asked for. */
  calls = 0;

  /**
   * @param {import('firebase/app').FirebaseApp} app
   * @param {import('firebase/auth').User} user
   * @param {string} token
   */
  constructor(app, user, token) {
    this.#app = app;
    this.#user = user;
    this.#token = token;
  }

  /**
   * @param {string} host of the emulator
   * @param {string} name
   */
  static async create(host, name) {
    const app = initializeApp({apiKey: 'any', projectId: project}, `${name}-${Date.now()}`);
    const auth = getAuth(app);
    connectAuthEmulator(auth, `http://${host}`, {disableWarnings: true});
    const {user} = await createUserWithEmailAndPassword(auth, `${name}@example.com`, 'a password');
    return new Account(app, user, await user.getIdToken());
  }

  get id() {
    return this.#user.uid;
  }

  /** What a page has that slept for a day: the true token, but for its times. */
  growOld() {
    const [header = '', payload = ''] = this.#token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    for (const time of ['iat', 'auth_time', 'exp']) {
      claims[time] -= 24 * 3600;
    }
    this.#token = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;
  }

  current = () => this.#token;

  /** For Replicache's getAuth: a new token and not the one that was refused. */
  renew = async () => {
    this.calls++;
    this.#token = await this.#user.getIdToken(true);
    return this.#token;
  };

  async close() {
    await deleteApp(this.#app);
  }
}
