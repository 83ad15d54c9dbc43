import {Backoff, type BackoffLimits} from './backoff.js';
import {browserEnvironment, type Cancel, type Environment} from './environment.js';

/** The part of Firestore's `DocumentSnapshot` that is used. */
export interface SpaceSnapshot {
  exists(): boolean;
  get(field: string): unknown;
}

/**
 * The part of Firestore's `onSnapshot` that is used. Pass the function of the
 * Firebase Web SDK; this package does not depend on it.
 */
export type OnSnapshot<Doc> = (
  doc: Doc,
  onNext: (snapshot: SpaceSnapshot) => void,
  onError: (error: Error) => void,
) => () => void;

/** What {@link pokeFromFirestore} works with. */
export interface FirestorePokeOptions<Doc> {
  /** `onSnapshot` of `firebase/firestore`. */
  readonly onSnapshot: OnSnapshot<Doc>;
  /**
   * Called when the listener broke, with Firestore's error: `permission-denied`
   * if the rules do not let the user read the document. It is begun again after a
   * pause in any case.
   */
  readonly onError?: ((error: Error) => void) | undefined;
  /** Replaces parts of the browser, for tests. */
  readonly environment?: Partial<Environment> | undefined;
}

/** Firestore connects again by itself; what ends a listener is rarely over in a second. */
const limits: BackoffLimits = {first: 2_000, longest: 60_000};

/**
 * Makes a Replicache instance pull when its space changes, by a Firestore
 * listener on the space document instead of the server's poke stream. The
 * project's `firestore.rules` must let the user read exactly that document.
 *
 * ```ts
 * rep.getAuth = sync.options.getAuth; // instead of sync.connect(rep)
 * const stop = pokeFromFirestore(rep, doc(getFirestore(), 'spaces', space), {onSnapshot});
 * ```
 *
 * @returns a function that ends it and leaves nothing behind.
 */
export function pokeFromFirestore<Doc>(
  rep: {readonly closed: boolean; pull(): Promise<void>},
  doc: Doc,
  // Of an overloaded function TypeScript infers from the last overload only.
  options: FirestorePokeOptions<NoInfer<Doc>>,
): Cancel {
  const listener = new SpaceListener(rep, doc, options);
  return () => listener.stop();
}

class SpaceListener<Doc> {
  readonly #rep: {readonly closed: boolean; pull(): Promise<void>};
  readonly #doc: Doc;
  readonly #options: FirestorePokeOptions<Doc>;
  readonly #environment: Environment;
  readonly #backoff: Backoff;
  #unlisten: Cancel = () => {};
  #endPause: Cancel = () => {};
  #stopped = false;
  #seen: number | undefined;

  constructor(
    rep: {readonly closed: boolean; pull(): Promise<void>},
    doc: Doc,
    options: FirestorePokeOptions<Doc>,
  ) {
    this.#rep = rep;
    this.#doc = doc;
    this.#options = options;
    this.#environment = {...browserEnvironment(), ...options.environment};
    this.#backoff = new Backoff(limits, this.#environment.random);
    this.#listen();
  }

  stop(): void {
    this.#stopped = true;
    this.#unlisten();
    this.#endPause();
  }

  #listen(): void {
    this.#unlisten = this.#options.onSnapshot(
      this.#doc,
      snapshot => this.#take(snapshot),
      error => this.#broken(error),
    );
  }

  #take(snapshot: SpaceSnapshot): void {
    if (this.#stopped) {
      return;
    }
    if (this.#rep.closed) {
      // Some listeners speak before they can be cancelled.
      queueMicrotask(() => this.stop());
      return;
    }
    this.#backoff.reset();
    // A space without a document is one that nobody has written to.
    const version: unknown = snapshot.exists() ? snapshot.get('version') : 0;
    if (typeof version === 'number' && version !== this.#seen) {
      this.#seen = version;
      this.#rep.pull().catch(() => {}); // Replicache logs it and tries again
    }
  }

  /** An error ends a listener of Firestore. */
  #broken(error: Error): void {
    if (this.#stopped) {
      return;
    }
    try {
      this.#options.onError?.(error);
    } catch (thrown) {
      this.#environment.report(thrown);
    }
    const pause = this.#backoff.next();
    this.#endPause = this.#environment.clock.after(pause, () => this.#listen());
  }
}
