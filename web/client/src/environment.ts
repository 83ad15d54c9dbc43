/** Undoes something: a timer, a listener, a subscription. Calling it twice is harmless. */
export type Cancel = () => void;

/** Tells the time and wakes up later. */
export interface Clock {
  /** Milliseconds since some moment. They go on while the machine sleeps. */
  now(): number;
  /** Calls `run` once after `ms` milliseconds, or later if the machine sleeps or the tab is throttled. */
  after(ms: number, run: () => void): Cancel;
}

/** The part of `navigator.locks` that is used. */
export type Locks = Pick<LockManager, 'request'>;

/** The part of `localStorage` that is used. */
export type KeyValueStorage = Pick<Storage, 'getItem' | 'setItem'>;

/** A page's document, as far as it is used. */
export interface VisibleDocument extends EventTarget {
  /** Whether somebody can see the page. */
  readonly visibilityState: DocumentVisibilityState;
}

/**
 * What the package uses of the browser. Whatever is undefined is done without:
 *
 * - without `locks` or `openChannel` each tab keeps a poke stream of its own;
 * - without `storage` a rejection that concerns a closed tab may be told by
 *   several tabs, or again after a reload;
 * - without `window` or `document` a stream resumes after its back-off only.
 */
export interface Environment {
  /** Sends requests; `globalThis.fetch`. */
  readonly fetch: typeof fetch;
  /** The time; `Date.now` and `setTimeout`. */
  readonly clock: Clock;
  /** A number from 0 (included) to 1 (excluded); `Math.random`. */
  readonly random: () => number;
  /** Elects one tab of many; `navigator.locks`, which needs a secure context. */
  readonly locks: Locks | undefined;
  /** Connects the tabs of an origin; makes a `BroadcastChannel`. */
  readonly openChannel: ((name: string) => BroadcastChannel) | undefined;
  /** Where `online`, `offline`, `pagehide` and `pageshow` are heard. */
  readonly window: EventTarget | undefined;
  /** Where `visibilitychange`, `freeze` and `resume` are heard. */
  readonly document: VisibleDocument | undefined;
  /** What all tabs remember; `localStorage`. */
  readonly storage: KeyValueStorage | undefined;
  /** Takes an error that a callback of the app threw; the console. */
  readonly report: (error: unknown) => void;
  /** Takes what the app should know and has no callback for; the console. */
  readonly warn: (message: string) => void;
}

const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** The environment of this page, worker or Node process. */
export function browserEnvironment(): Environment {
  const page = typeof document !== 'undefined';
  return {
    fetch: (input, init) => globalThis.fetch(input, init),
    clock: systemClock,
    random: Math.random,
    locks: typeof navigator === 'undefined' ? undefined : navigator.locks,
    openChannel:
      typeof BroadcastChannel === 'undefined' ? undefined : name => new BroadcastChannel(name),
    window: page ? window : undefined,
    document: page ? document : undefined,
    storage: pageStorage(),
    report: error => console.error('@replifire/client:', error),
    warn: message => console.warn('@replifire/client:', message),
  };
}

/** Merely to look at `localStorage` throws where the user has forbidden it. */
function pageStorage(): KeyValueStorage | undefined {
  try {
    return typeof window === 'undefined' ? undefined : window.localStorage;
  } catch {
    return undefined;
  }
}
