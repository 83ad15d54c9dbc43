// A user's session at an OpenID Connect provider: signed in by the authorization
// code flow, as a browser does, and renewed by its refresh token.

import assert from 'node:assert/strict';

// What internal/oidcprovider knows.
export const clientID = 'replifire';
const clientSecret = 'secret of a test';
const redirectURI = 'http://localhost:9999/callback';
const [username, password] = ['test-user2', 'verysecure'];

export class Session {
  #issuer;
  #idToken = '';
  #refreshToken = '';
  /** @type {Promise<string | undefined> | undefined} */
  #renewing;
  #ended = false;
  /** How often a new token was asked for. */
  calls = 0;
  /** How many ID tokens there were, the first one included. */
  tokens = 0;

  /** @param {string} issuer */
  constructor(issuer) {
    this.#issuer = issuer;
  }

  /** @param {string} issuer */
  static async start(issuer) {
    const session = new Session(issuer);
    await session.login();
    return session;
  }

  current = () => `Bearer ${this.#idToken}`;

  /** For Replicache's getAuth. Those who ask at the same time get the same token. */
  renew = () => {
    this.calls++;
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  };

  /** The user signs out: there are no new tokens until the next login. */
  end() {
    this.#ended = true;
  }

  async login() {
    const query = new URLSearchParams({
      client_id: clientID,
      redirect_uri: redirectURI,
      response_type: 'code',
      scope: 'openid offline_access',
      state: 's',
    });
    const form = await redirected(await visit(`${this.#issuer}/auth?${query}`));
    const id = form.searchParams.get('authRequestID') ?? '';
    const login = new URLSearchParams({id, username, password});
    const callback = await redirected(await visit(form, {method: 'POST', body: login}));
    const arrived = await redirected(await visit(callback));
    assert.equal(`${arrived.origin}${arrived.pathname}`, redirectURI);
    await this.#take({
      grant_type: 'authorization_code',
      code: arrived.searchParams.get('code') ?? '',
      redirect_uri: redirectURI,
    });
    this.#ended = false;
  }

  async #renew() {
    if (this.#ended) {
      return undefined;
    }
    await this.#take({grant_type: 'refresh_token', refresh_token: this.#refreshToken});
    return this.current();
  }

  /** @param {Record<string, string>} grant */
  async #take(grant) {
    const basic = Buffer.from(`${clientID}:${encodeURIComponent(clientSecret)}`).toString('base64');
    const answer = await fetch(`${this.#issuer}/oauth/token`, {
      method: 'POST',
      headers: {authorization: `Basic ${basic}`},
      body: new URLSearchParams(grant),
    });
    const body = await answer.json();
    assert.equal(answer.status, 200, `the provider answers ${JSON.stringify(body)}`);
    this.#idToken = body.id_token;
    this.#refreshToken = body.refresh_token;
    this.tokens++;
  }
}

/**
 * @param {string | URL} url
 * @param {RequestInit} [init]
 */
function visit(url, init) {
  return fetch(url, {...init, redirect: 'manual'});
}

/**
 * Where an answer leads to.
 * @param {Response} answer
 */
async function redirected(answer) {
  const location = answer.headers.get('location');
  assert.ok(location, `${answer.url} answers ${answer.status} ${await answer.text()}`);
  return new URL(location, answer.url);
}
