// Views: what a client shows, as a plain object from key to value.

/** @typedef {Record<string, unknown>} View */

/**
 * Says in a few lines how two views differ; empty if they do not.
 * @param {View} got
 * @param {View} want
 */
export function viewDiff(got, want) {
  const lines = [];
  for (const key of Object.keys(want)) {
    if (!(key in got)) {
      lines.push(`- ${key}: missing, want ${JSON.stringify(want[key])}`);
    } else if (canonical(got[key]) !== canonical(want[key])) {
      lines.push(`~ ${key}: ${JSON.stringify(got[key])}, want ${JSON.stringify(want[key])}`);
    }
  }
  for (const key of Object.keys(got)) {
    if (!(key in want)) {
      lines.push(`+ ${key}: ${JSON.stringify(got[key])}, want nothing`);
    }
  }
  const shown = lines.slice(0, 8);
  if (lines.length > shown.length) {
    shown.push(`… and ${lines.length - shown.length} more`);
  }
  return shown.join('\n');
}

/**
 * JSON with sorted names: the order of names says nothing.
 * @param {unknown} value
 * @returns {string}
 */
function canonical(value) {
  return JSON.stringify(value, (_, v) =>
    v && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}

/**
 * The view that an answer to a pull with a null cookie describes.
 * @param {{op: string, key: string, value: unknown}[]} patch
 * @returns {View}
 */
export function applyPatch(patch) {
  /** @type {Map<string, unknown>} */
  const view = new Map();
  for (const {op, key, value} of patch) {
    switch (op) {
      case 'clear':
        view.clear();
        break;
      case 'put':
        view.set(key, value);
        break;
      case 'del':
        view.delete(key);
        break;
      default:
        throw new Error(`the patch has the operation ${op}, which older clients refuse`);
    }
  }
  return Object.fromEntries(view);
}
