import type {Cancel} from './environment.js';

/**
 * How it stands with the poke stream, for the app's user interface:
 *
 * - `connecting`: the stream is being opened and nothing has gone wrong yet, or
 *   the server ended it in good order and it is about to be opened again;
 * - `live`: changes of others arrive at once;
 * - `offline`: the server cannot be reached, or does not do its work. The app goes
 *   on with what it has; attempts go on too;
 * - `unauthorised`: the server wants another token than `auth` gives, or does not
 *   let this user into the space. Attempts go on, since that may change.
 */
export type Status = 'connecting' | 'live' | 'offline' | 'unauthorised';

/** Every {@link Status}. */
export const statuses: readonly Status[] = ['connecting', 'live', 'offline', 'unauthorised'];

/** Called with the new status and version, after one of them has changed. */
export type StatusListener = (status: Status, version: number | undefined) => void;

/** A status and a version that tell their listeners when they change. */
export class StatusBoard {
  readonly #listeners = new Set<{listener: StatusListener}>();
  readonly #report: (error: unknown) => void;
  #status: Status = 'connecting';
  #version: number | undefined;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  /** The status now. */
  get status(): Status {
    return this.#status;
  }

  /** The latest version that was heard of, if any. */
  get version(): number | undefined {
    return this.#version;
  }

  /** Sets both, and tells the listeners if that changes anything. */
  set(status: Status, version: number | undefined): void {
    if (status === this.#status && version === this.#version) {
      return;
    }
    this.#status = status;
    this.#version = version;
    for (const entry of [...this.#listeners]) {
      this.#tell(entry.listener);
    }
  }

  /** Calls the listener at each change from now on. The same one may be added twice. */
  subscribe(listener: StatusListener): Cancel {
    const entry = {listener};
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Forgets all listeners. */
  clear(): void {
    this.#listeners.clear();
  }

  /** What one listener throws must not keep the others from hearing. */
  #tell(listener: StatusListener): void {
    try {
      listener(this.#status, this.#version);
    } catch (error) {
      this.#report(error);
    }
  }
}
