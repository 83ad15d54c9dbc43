// Vite empties its output folder; Go's embedding needs a file there always.

import {writeFileSync} from 'node:fs';

writeFileSync(new URL('../dist/.gitkeep', import.meta.url), '');
