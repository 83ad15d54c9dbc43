// The package as its users get it: packed, installed into a project of its own,
// and the README's code compiled there.

import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

function run(cwd: string, command: string, ...args: string[]): string {
  const done = spawnSync(command, args, {cwd, encoding: 'utf8', timeout: 600_000});
  assert.equal(done.status, 0, `${command} ${args.join(' ')}:\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** What the README's code uses of the Firebase Web SDK, with the overloads it has there. */
const firebase = `
declare module 'firebase/auth' {
  interface User { getIdToken(forceRefresh?: boolean): Promise<string>; readonly uid: string }
  function getAuth(): {currentUser: User | null};
}
declare module 'firebase/firestore' {
  interface Firestore { readonly type: string }
  interface DocumentReference<T = unknown> { readonly path: string; readonly converter: T | null }
  interface DocumentSnapshot<T = unknown> {
    exists(): this is DocumentSnapshot<T>;
    get(field: string | {isEqual(): boolean}, options?: {serverTimestamps?: string}): any;
  }
  type Observer<S> = {next?: (s: S) => void; error?: (e: Error) => void; complete?: () => void};
  function getFirestore(): Firestore;
  function doc(db: Firestore, path: string, ...segments: string[]): DocumentReference;
  function onSnapshot<T>(d: DocumentReference<T>, o: Observer<DocumentSnapshot<T>>): () => void;
  function onSnapshot<T>(
    d: DocumentReference<T>, next: (s: DocumentSnapshot<T>) => void,
    error?: (e: Error & {code: string}) => void, complete?: () => void): () => void;
  function onSnapshot<T>(
    q: {readonly query: T}, next: (s: {size: number}) => void,
    error?: (e: Error) => void, complete?: () => void): () => void;
}
`;

/** A project with the packed package; npm takes what it needs from its cache if it can. */
function install(folder: string): void {
  const out = run(root, 'npm', 'pack', '--json', '--silent', '--pack-destination', folder);
  const [pack] = JSON.parse(out) as {filename: string; files: {path: string}[]}[];
  assert.ok(pack);
  const files = pack.files.map(file => file.path);
  for (const path of ['dist/index.js', 'dist/index.d.ts', 'README.md', 'LICENSE']) {
    assert.ok(files.includes(path), `${path} is not in the package`);
  }
  const strange = files.filter(path => !/^(dist|src)\/|^(package\.json|README\.md|LICENSE)$/.test(path));
  assert.deepEqual(strange, [], 'packed, but not to be published');

  const scratch = {name: 'scratch', private: true, type: 'module'};
  writeFileSync(join(folder, 'package.json'), JSON.stringify(scratch));
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--save=false'];
  const tarball = `./${pack.filename}`;
  run(folder, 'npm', 'install', ...flags, tarball, 'replicache@15.3.0');
}

/** The README's TypeScript, each block a module. */
function readmeBlocks(): string[] {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  return [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code);
}

test('the packed package works in a project of its own', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'replifire-client-'));
  t.after(() => rmSync(folder, {recursive: true, force: true}));
  install(folder);

  await t.test('Node imports it', () => {
    const code = `
      import * as client from '@replifire/client';
      import {Replicache} from 'replicache';
      const sync = client.replifire({server: 'http://127.0.0.1:9', space: 'a'});
      const rep = new Replicache({name: 'n', kvStore: 'mem', logSinks: [], ...sync.options});
      sync.connect(rep);
      await sync.close();
      console.log(Object.keys(client).sort().join(), rep.pullURL);
      process.exit(); // Replicache has timers that last for minutes`;
    const out = run(folder, process.execPath, '--input-type=module', '-e', code);
    assert.equal(
      out.trim(),
      'pokeFromFirestore,replifire http://127.0.0.1:9/api/replicache/pull?space=a',
    );
  });

  for (const resolution of ['Bundler', 'NodeNext'] as const) {
    await t.test(`the README's code compiles, with ${resolution}`, () => {
      const blocks = readmeBlocks();
      assert.ok(blocks.length >= 4, `${blocks.length} blocks`);
      mkdirSync(join(folder, 'src'), {recursive: true});
      blocks.forEach((code, i) => writeFileSync(join(folder, 'src', `block${i}.ts`), code));
      writeFileSync(join(folder, 'src', 'firebase.d.ts'), firebase);
      const options = {
        exactOptionalPropertyTypes: true,
        lib: ['ES2022', 'DOM', 'DOM.Iterable'],
        module: resolution === 'Bundler' ? 'ESNext' : 'NodeNext',
        moduleResolution: resolution,
        noEmit: true,
        skipLibCheck: true,
        strict: true,
        target: 'ES2022',
        types: [],
        verbatimModuleSyntax: true,
      };
      const config = JSON.stringify({compilerOptions: options, include: ['src']});
      writeFileSync(join(folder, 'tsconfig.json'), config);
      run(folder, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '--project', '.');
    });
  }

  await t.test('20 lines are 20 lines', () => {
    const lines = (readmeBlocks()[0] ?? '').split('\n').filter(line => line.trim() !== '');
    assert.ok(lines.length <= 20, `${lines.length} lines of code`);
  });
});
