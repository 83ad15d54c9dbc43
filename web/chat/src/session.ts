import {local, remember, remembered} from './storage.js';

/** Who is here, and in which room. */
export interface Session {
  readonly name: string;
  readonly space: string;
}

const key = 'replifire-chat:name';
const defaultSpace = 'default';

/** The name this browser's user gave last, '' if none is signed in. */
export function savedName(): string {
  return remembered(local, key) ?? '';
}

/** Keeps the name for the next visit; '' forgets it. */
export function saveName(name: string): void {
  remember(local, key, name);
}

/** The room of the page's address. */
export function spaceOfPage(): string {
  return new URLSearchParams(location.search).get('space') || defaultSpace;
}

/** Makes the room the page's address, as a new entry of the history. */
export function goToSpace(space: string): void {
  if (space !== spaceOfPage()) {
    history.pushState(null, '', `?space=${encodeURIComponent(space)}`);
  }
}
