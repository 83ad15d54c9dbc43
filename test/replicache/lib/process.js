// Child processes: started, watched, and ended by their own id.

import {spawn} from 'node:child_process';
import {createServer} from 'node:net';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {within} from './wait.js';

const keptOutput = 40_000; // characters; the tail says why it died
const alarm = /panic|DATA RACE|level=ERROR|"severity":"ERROR"/;

/** What would change the program under test, were it inherited. */
const ours = /^(REPLIFIRE_|FIRESTORE_|FIREBASE_|GOOGLE_CLOUD_|K_SERVICE$|PORT$)/;

/** @type {NodeJS.ProcessEnv} */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !ours.test(name)),
);

/** A child process and the end of what it printed. */
export class Child {
  #child;
  #exit;
  output = '';
  /** @type {string[]} lines that no test should see */
  alarms = [];

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {Record<string, string>} [env] beside what it inherits
   */
  constructor(command, args, env = {}) {
    this.#child = spawn(command, args, {
      env: {...inherited, ...env},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface(stream).on('line', line => this.#note(line));
    }
    this.#exit = this.#watch();
  }

  /** @param {string} line */
  #note(line) {
    this.output = `${this.output}${line}\n`.slice(-keptOutput);
    if (alarm.test(line)) {
      this.alarms.push(line);
    }
  }

  /** @returns {Promise<{code: number | null, signal: string | null}>} */
  async #watch() {
    try {
      const [code, signal] = await once(this.#child, 'close');
      return {code, signal};
    } catch (err) {
      this.output += String(err);
      return {code: null, signal: 'not started'};
    }
  }

  get running() {
    const {exitCode, signalCode, pid} = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /**
   * Sends a signal, if the process still runs, and waits for its end.
   * @param {NodeJS.Signals} signal
   */
  async end(signal) {
    if (this.running) {
      this.#child.kill(signal);
    }
    try {
      return await within(`the process ended after ${signal}`, this.#exit);
    } catch (err) {
      this.#child.kill('SIGKILL');
      throw err;
    }
  }

  /** Waits until the process ends by itself. */
  exit() {
    return this.#exit;
  }
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}
