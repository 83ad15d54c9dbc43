// The protocol by hand, for what the client does not say or does not show.

import assert from 'node:assert/strict';

export const paths = {
  push: '/api/replicache/push',
  pull: '/api/replicache/pull',
  poke: '/api/replicache/poke',
  'poke-ticket': '/api/replicache/poke-ticket',
  init: '/api/init',
};

/**
 * @param {string} base the server's URL
 * @param {keyof typeof paths} route
 * @param {string} space
 */
export function routeURL(base, route, space) {
  return `${base}${paths[route]}?space=${encodeURIComponent(space)}`;
}

/**
 * Posts JSON and returns what came back, whatever the status.
 * @param {string} url
 * @param {unknown} body
 * @param {string} [authorization] the header's value
 * @returns {Promise<{status: number, text: string, json: any}>}
 */
export async function post(url, body, authorization) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {'content-type': 'application/json', ...(authorization ? {authorization} : {})},
    body: JSON.stringify(body),
    redirect: 'error',
  });
  const text = await answer.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return {status: answer.status, text, json};
}

/**
 * Pulls and expects success.
 * @param {string} base
 * @param {string} space
 * @param {{clientGroupID?: string, cookie?: unknown, authorization?: string}} [request]
 */
export async function pull(base, space, request = {}) {
  const body = {
    pullVersion: 1,
    profileID: 'p-by-hand',
    clientGroupID: request.clientGroupID ?? 'group-by-hand',
    cookie: request.cookie ?? null,
    schemaVersion: '',
  };
  const url = routeURL(base, 'pull', space);
  const {status, text, json} = await post(url, body, request.authorization);
  assert.equal(status, 200, `the pull's answer is ${text}`);
  return json;
}

/**
 * Pushes mutations of one client.
 * @param {string} base
 * @param {string} space
 * @param {{clientGroupID: string, clientID: string}} from
 * @param {{id: number, name: string, args: unknown}[]} mutations
 */
export function push(base, space, {clientGroupID, clientID}, mutations) {
  return post(routeURL(base, 'push', space), {
    pushVersion: 1,
    profileID: 'p-by-hand',
    clientGroupID,
    schemaVersion: '',
    mutations: mutations.map(mutation => ({clientID, timestamp: 1.5, ...mutation})),
  });
}

/**
 * Empties a space.
 * @param {string} base
 * @param {string} space
 */
export async function init(base, space) {
  const answer = await fetch(routeURL(base, 'init', space), {method: 'POST'});
  assert.equal(answer.status, 200, 'the status of /api/init');
  assert.equal(await answer.text(), 'ok', 'the answer of /api/init');
}
