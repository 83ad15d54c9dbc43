// The package @replifire/client, as `npm run build` in web/client has left it.

import {existsSync} from 'node:fs';

const built = new URL('../../../web/client/dist/index.js', import.meta.url);

if (!existsSync(built)) {
  throw new Error('@replifire/client is not built: run npm ci && npm run build in web/client');
}

/** @type {typeof import('../../../web/client/dist/index.js')} */
export const {replifire} = await import(built.href);
