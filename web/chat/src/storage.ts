/** What a storage of the browser remembers, or undefined if it must not. */
export function remembered(storage: () => Storage, key: string): string | undefined {
  try {
    return storage().getItem(key) ?? undefined;
  } catch {
    return undefined; // the user has forbidden it
  }
}

/** Remembers a value, or forgets an empty one, as far as the browser allows it. */
export function remember(storage: () => Storage, key: string, value: string): void {
  try {
    if (value === '') {
      storage().removeItem(key);
    } else {
      storage().setItem(key, value);
    }
  } catch {
    // Forbidden or full: the page works without.
  }
}

/** What all tabs share and what outlives them. */
export const local = () => window.localStorage;

/** What a tab keeps over a reload. */
export const session = () => window.sessionStorage;
