// The chat page as its user sees it.

import assert from 'node:assert/strict';
import {until} from '../../replicache/lib/wait.js';

/** @typedef {import('playwright-core').Page} Page */

export class Chat {
  page;
  #space;

  /**
   * @param {Page} page
   * @param {string} space
   */
  constructor(page, space) {
    this.page = page;
    this.#space = space;
  }

  get composer() {
    return this.page.getByRole('textbox', {name: 'Message', exact: true});
  }

  get notices() {
    return this.page.getByRole('alert');
  }

  /** The switch "go offline". */
  get switch() {
    return this.page.getByRole('switch', {name: 'Go offline'});
  }

  async open() {
    await this.page.goto(`/?space=${encodeURIComponent(this.#space)}`);
  }

  /** @param {string} name */
  async signIn(name) {
    await this.page.getByRole('textbox', {name: 'Your name'}).fill(name);
    await this.page.getByRole('button', {name: 'Enter'}).click();
    await this.composer.waitFor();
  }

  /** @param {string} text */
  async send(text) {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** @param {string} text */
  message(text) {
    const bubble = this.page.getByText(text, {exact: true});
    return this.page.locator('li.message').filter({has: bubble});
  }

  /** The texts of the messages that are drawn, in order. */
  texts() {
    return this.page.locator('li.message .bubble').allInnerTexts();
  }

  /** @param {'messages' | 'pending' | 'version'} name */
  async fact(name) {
    const text = await this.page.locator(`[data-fact=${name}]`).innerText();
    return Number(text.replaceAll(',', ''));
  }

  status() {
    return this.page.getByRole('status', {name: 'Connection'}).innerText();
  }

  /** @param {string} want */
  async waitStatus(want) {
    await until(`the page says ${want}`, async () => {
      const got = await this.status();
      return got === want || `it says ${got}`;
    });
  }

  /** @param {string[]} want */
  async waitTexts(want) {
    await until('the page shows these messages', async () => {
      const got = await this.texts();
      return JSON.stringify(got) === JSON.stringify(want) || `it shows ${JSON.stringify(got)}`;
    });
  }

  /** Waits until the server has acknowledged all. */
  async settled() {
    await until('nothing is pending', async () => {
      const [pending, marks] = [await this.fact('pending'), await this.page.locator('.mark').count()];
      return (pending === 0 && marks === 0) || `${pending} are pending, ${marks} are marked`;
    });
  }
}

/**
 * Waits until all pages show the same messages and have nothing pending.
 * @param {Chat[]} chats
 */
export async function agreed(...chats) {
  for (const chat of chats) {
    await chat.settled();
  }
  const [first, ...others] = chats;
  assert.ok(first);
  await until('all pages show the same', async () => {
    const want = JSON.stringify(await first.texts());
    for (const chat of others) {
      const got = JSON.stringify(await chat.texts());
      if (got !== want) {
        return `one shows ${want}, another ${got}`;
      }
    }
    return true;
  });
  return first.texts();
}
