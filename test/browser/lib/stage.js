// One test's stage: a world with servers, and browsers in it.

import assert from 'node:assert/strict';
import {chromium} from 'playwright-core';
import {promise} from '../../replicache/lib/world.js';
import {Chat} from './chat.js';

/**
 * @typedef {import('playwright-core').Browser} Browser
 * @typedef {import('playwright-core').BrowserContext} BrowserContext
 * @typedef {import('playwright-core').BrowserContextOptions} BrowserContextOptions
 * @typedef {import('playwright-core').ConsoleMessage} ConsoleMessage
 * @typedef {import('../../replicache/lib/server.js').Server} Server
 * @typedef {import('../../replicache/lib/world.js').World} World
 */

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What the browser itself says of a request that failed, as many here must. */
const expected = /Failed to load resource|net::ERR_/;

/**
 * Declares a test with browsers. Afterwards no page may have had an error or have
 * broken its content security policy, and all that promise() checks must hold.
 * @param {string} name
 * @param {(stage: Stage) => Promise<void>} body
 */
export function scene(name, body) {
  promise(name, async world => {
    const stage = await Stage.open(world);
    try {
      await body(stage);
    } finally {
      await stage.close();
    }
    assert.deepEqual(stage.complaints, [], 'the errors that the pages reported');
  });
}

export class Stage {
  #browser;
  /** @type {RegExp[]} */
  #expected = [expected];
  /** @type {string[]} */
  complaints = [];
  world;
  server;

  /**
   * @param {World} world
   * @param {Browser} browser
   * @param {Server} server
   */
  constructor(world, browser, server) {
    this.world = world;
    this.#browser = browser;
    this.server = server;
  }

  /** @param {World} world */
  static async open(world) {
    const server = await world.server();
    const answer = await fetch(`${server.url}/`);
    const type = answer.headers.get('content-type') ?? '';
    assert.match(type, /^text\/html/, 'GET / is the chat page; if not, run "make page" first');
    const browser = await chromium.launch({
      executablePath: process.env.REPLIFIRE_CHROMIUM ?? '/usr/bin/chromium',
      chromiumSandbox: false,
      args: flags,
    });
    return new Stage(world, browser, server);
  }

  /**
   * A browser of somebody's own: nothing in it is shared with the others.
   * @param {BrowserContextOptions} [options]
   */
  async browser(options = {}) {
    const context = await this.#browser.newContext({
      baseURL: this.server.url,
      viewport: {width: 900, height: 700},
      ...options,
    });
    context.setDefaultTimeout(120_000);
    context.on('console', message => this.#note(message));
    context.on('weberror', error => this.complaints.push(String(error.error())));
    return context;
  }

  /**
   * Opens the room in a new tab.
   * @param {BrowserContext} browser
   */
  async tab(browser) {
    const chat = new Chat(await browser.newPage(), this.world.space);
    await chat.open();
    return chat;
  }

  /**
   * Somebody with a browser, in the room.
   * @param {string} name
   * @param {BrowserContextOptions} [options]
   */
  async enter(name, options) {
    const chat = await this.tab(await this.browser(options));
    await chat.signIn(name);
    return chat;
  }

  /**
   * Says that pages may report such errors.
   * @param {RegExp} error
   */
  expect(error) {
    this.#expected.push(error);
  }

  async close() {
    await this.#browser.close();
  }

  /** @param {ConsoleMessage} message */
  #note(message) {
    const text = message.text();
    if (message.type() === 'error' && !this.#expected.some(e => e.test(text))) {
      this.complaints.push(text);
    }
  }
}
