// Checks the licences of production dependencies of npm packages:
//
//   node licences.mjs RULES LOCKFILE…
//
// RULES has the identifiers that are allowed, and exceptions by a package's name,
// each with its reason. The lockfile has what each package says of itself. An
// exception that no lockfile needs is a failure too.

import {readFileSync} from 'node:fs';

const [rulesFile, ...lockfiles] = process.argv.slice(2);
const rules = JSON.parse(readFileSync(rulesFile, 'utf8'));
const allowed = new Set(rules.allowlist);
const unused = new Set(Object.keys(rules.exceptions));
let problems = 0;

/**
 * Whether an SPDX expression offers a licence that is allowed. Of what is joined by
 * AND or WITH, and of anything nested, nothing is: a person has to look at it.
 * @param {unknown} licence
 */
function isAllowed(licence) {
  return (
    typeof licence === 'string' &&
    licence
      .replace(/^\((.*)\)$/, '$1')
      .split(' OR ')
      .some(one => allowed.has(one))
  );
}

/** @param {string} text */
function problem(text) {
  console.error(text);
  problems++;
}

for (const lockfile of lockfiles) {
  const {lockfileVersion, packages} = JSON.parse(readFileSync(lockfile, 'utf8'));
  if (lockfileVersion < 3) {
    problem(`${lockfile}: version ${lockfileVersion} has no licences`);
    continue;
  }
  // A peer dependency is marked as one for development, and yet comes to everybody
  // who installs the package.
  const shipped = Object.entries(packages ?? {}).filter(
    ([path, p]) => path !== '' && !p.link && (!p.dev || isPeer(packages, path)),
  );
  for (const [path, {version, license}] of shipped) {
    const name = path.replace(/^.*node_modules\//, '');
    if (isAllowed(license)) {
      console.log(`${license} ${name} ${version}`);
    } else if (rules.exceptions[name]) {
      unused.delete(name);
      console.log(`${license} ${name} ${version}: an exception, ${rules.exceptions[name]}`);
    } else {
      problem(`${lockfile}: ${name} ${version} has the licence ${license}, which is not allowed`);
    }
  }
  console.log(`${lockfile}: ${shipped.length} packages.`);
}
for (const name of unused) {
  problem(`${rulesFile}: the exception ${name} is not needed`);
}
process.exitCode = problems > 0 ? 1 : 0;

/**
 * @param {Record<string, any>} packages
 * @param {string} path
 */
function isPeer(packages, path) {
  return Object.keys(packages['']?.peerDependencies ?? {}).some(name => path === `node_modules/${name}`);
}
