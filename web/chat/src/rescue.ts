import type {Session} from './session.js';
import {local, remember, remembered} from './storage.js';

/** A mutation that the server has not acknowledged, to be made anew. */
export interface Rescued {
  readonly name: string;
  readonly args: unknown;
}

/** What is kept: a client group is rescued once, whichever tab does it. */
interface Kept {
  readonly group: string;
  readonly list: readonly Rescued[];
}

/**
 * Keeps what a client group had pending when the server said that it does not know
 * it: Replicache will never send that, and the page is loaded anew with another
 * group.
 */
export function rescue(session: Session, group: string, list: readonly Rescued[]): void {
  if (keptFor(session)?.group !== group) {
    keep(session, {group, list: list.map(({name, args}) => ({name, args}))});
  }
}

/** Takes out what was kept, so that one tab makes it anew. */
export function takeRescued(session: Session): readonly Rescued[] {
  const kept = keptFor(session);
  if (!kept || kept.list.length === 0) {
    return [];
  }
  keep(session, {...kept, list: []});
  return kept.list;
}

function keyOf({space, name}: Session): string {
  return `replifire-chat:rescued:${space}:${name}`;
}

function keptFor(session: Session): Kept | undefined {
  const text = remembered(local, keyOf(session));
  return text === undefined ? undefined : (JSON.parse(text) as Kept);
}

function keep(session: Session, kept: Kept): void {
  remember(local, keyOf(session), JSON.stringify(kept));
}
