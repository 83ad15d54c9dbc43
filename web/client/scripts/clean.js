// Removes folders that are built, so that nothing stale is packed or tested.

import {rmSync} from 'node:fs';

for (const folder of process.argv.slice(2)) {
  rmSync(new URL(`../${folder}`, import.meta.url), {recursive: true, force: true});
}
