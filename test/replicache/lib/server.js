// `replifire serve` as a child process that can be killed, stopped and started
// again on the same port.

import assert from 'node:assert/strict';
import {Child, freePort} from './process.js';
import {until} from './wait.js';

/** Where the program is, and what the suite's runner says about the emulator. */
export const setup = {
  binary: process.env.REPLIFIRE_BIN ?? '',
  emulator: process.env.REPLIFIRE_TEST_EMULATOR ?? '',
  noEmulator: process.env.REPLIFIRE_TEST_NO_EMULATOR ?? '',
};

export class Server {
  /** @type {Child | undefined} */
  #child;
  #env;
  port;

  /**
   * @param {number} port
   * @param {Record<string, string>} env
   */
  constructor(port, env) {
    this.port = port;
    this.#env = {...env, PORT: String(port), REPLIFIRE_HOST: '127.0.0.1'};
  }

  /**
   * Starts a server on a free port and waits until it is ready.
   * @param {Record<string, string>} env
   */
  static async start(env) {
    const server = new Server(await freePort(), env);
    await server.start();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get output() {
    return this.#child?.output ?? '';
  }

  async start() {
    const child = new Child(setup.binary, ['serve'], this.#env);
    this.#child = child;
    await until('the server is ready', async () => {
      if (!child.running) {
        throw new Error(`it ended: ${child.output}`);
      }
      const answer = await fetch(`${this.url}/ready`);
      return answer.status === 200 || `GET /ready: ${answer.status} ${await answer.text()}`;
    });
  }

  /** As the machine does when it fails: no time to finish anything. */
  async kill() {
    await this.#child?.end('SIGKILL');
    this.#checkOutput();
  }

  /** As Cloud Run does: what is under way is finished, and the exit code is 0. */
  async stop() {
    const ended = await this.#child?.end('SIGTERM');
    this.#checkOutput();
    if (ended) {
      assert.deepEqual(
        ended,
        {code: 0, signal: null},
        `the server's end after SIGTERM; it said:\n${this.output.slice(-2000)}`,
      );
    }
    this.#child = undefined;
  }

  /** Ends it without asking anything of it, if it still runs. */
  async abandon() {
    await this.#child?.end('SIGKILL');
  }

  #checkOutput() {
    assert.deepEqual(this.#child?.alarms ?? [], [], 'errors in the output of the server');
  }
}

/**
 * Runs one of replifire's commands and fails unless it succeeds.
 * @param {string[]} args
 * @param {Record<string, string>} env
 */
export async function command(args, env) {
  const {code, output} = await run(args, env);
  assert.equal(code, 0, `replifire ${args.join(' ')} said:\n${output}`);
  return output;
}

/**
 * Checks what is stored of a space, if there is one: a test may have wiped the store, or
 * pushed nothing.
 * @param {string} space
 * @param {Record<string, string>} env
 */
export async function fsck(space, env) {
  const {code, output} = await run(['fsck', space], env);
  assert.ok(code === 0 || output.includes('does not exist'), `replifire fsck said:\n${output}`);
}

/**
 * @param {string[]} args
 * @param {Record<string, string>} env
 */
async function run(args, env) {
  const child = new Child(setup.binary, args, env);
  const {code} = await child.exit();
  return {code, output: child.output};
}
