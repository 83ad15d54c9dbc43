// Users of a server that takes the unsigned tokens of the Firebase Auth emulator, which
// does not have to run for that.

import assert from 'node:assert/strict';

const project = 'demo-users';

/** The environment of a server where spaces belong to their members. */
export const membersOnly = {
  REPLIFIRE_AUTH: 'firebase',
  REPLIFIRE_POLICY: 'members',
  REPLIFIRE_FIREBASE_PROJECT: project,
  FIREBASE_AUTH_EMULATOR_HOST: '127.0.0.1:9',
};

/**
 * A user's ID token, good for an hour.
 * @param {string} user
 */
export function tokenOf(user) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: `https://securetoken.google.com/${project}`,
    aud: project,
    sub: user,
    auth_time: now,
    iat: now,
    exp: now + 3600,
  };
  const [header, payload] = [{alg: 'none', typ: 'JWT'}, claims].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${header}.${payload}.`;
}

/**
 * Gives a user a role in a space, or none. Who acts is an owner, or makes a vacant space theirs.
 * @param {{url: string}} server
 * @param {string} space
 * @param {string} actor
 * @param {string} user
 * @param {'reader' | 'writer' | 'owner' | undefined} role
 */
export async function setRole(server, space, actor, user, role) {
  const answer = await fetch(`${server.url}/api/spaces/${space}/members/${user}`, {
    method: role ? 'PUT' : 'DELETE',
    headers: {
      authorization: `Bearer ${tokenOf(actor)}`,
      'content-type': 'application/json',
    },
    ...(role ? {body: JSON.stringify({role})} : {}),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${actor} makes ${user} ${role}: ${answer.status} ${text}`);
}
