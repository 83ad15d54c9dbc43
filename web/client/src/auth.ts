import type {Cancel, Clock} from './environment.js';

/** A value or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * Gives a token, or nothing if there is none. It is asked before each pull, each
 * push and each connection of the poke stream, and should answer from memory while
 * its token is good. `forceRefresh` is true after the server has refused the
 * token: then a new one is wanted.
 */
export type TokenFunction = (forceRefresh: boolean) => MaybePromise<string | null | undefined>;

/** A signed-in user of Firebase Authentication, or anything with this method. */
export interface TokenUser {
  getIdToken(forceRefresh?: boolean): Promise<string>;
}

/** Where tokens come from. A string is one that never changes. */
export type AuthSource = string | TokenFunction | TokenUser;

/** The part of a Replicache instance that concerns tokens. */
export interface Authenticated {
  /** The `Authorization` header for a pusher or puller of Replicache's own, or the app's. */
  auth: string;
  /** Called after a 401, up to eight times in a row without a pause. */
  getAuth: (() => MaybePromise<string | null | undefined>) | null | undefined;
}

/**
 * A token that was refused is refreshed by force at most this often, in
 * milliseconds. In between it is taken for what it is: refused.
 */
export const minRefreshInterval = 10_000;

interface Flight {
  readonly force: boolean;
  readonly header: Promise<string>;
}

/**
 * Makes `Authorization` headers of tokens. Requests that want one at the same
 * time share one call of the source, and refreshes by force are rationed:
 * however many requests a server answers with 401, the source is not stormed.
 */
export class Auth {
  readonly #source: TokenFunction;
  readonly #clock: Clock;
  readonly #listeners = new Set<(header: string) => void>();
  #flight: Flight | undefined;
  #calls = 0;
  #forcedAt = -Infinity;
  #known: string;
  /** What Replicache has, as far as it has it from here. */
  #given: string;

  constructor(source: AuthSource | undefined, clock: Clock) {
    this.#source = tokenFunction(source);
    this.#clock = clock;
    this.#known = this.#given = typeof source === 'string' ? bearer(source) : '';
  }

  /** The header that was last made; empty if none was. */
  get known(): string {
    return this.#known;
  }

  /**
   * The header for a request; empty if there is no token.
   *
   * @throws what the source throws.
   */
  header(): Promise<string> {
    return this.#ask(false);
  }

  /**
   * A header other than the refused one; undefined if there is none to be had now.
   *
   * @throws what the source throws.
   */
  async renew(refused: string): Promise<string | undefined> {
    const header = await this.header();
    if (header !== refused) {
      return header || undefined;
    }
    if (!this.#mayForce()) {
      return undefined;
    }
    const forced = await this.#ask(true);
    return forced === refused ? undefined : forced || undefined;
  }

  /**
   * For Replicache's `getAuth`: a header that Replicache has not tried yet, or
   * undefined, which makes it give up until its next attempt. Never throws.
   */
  readonly getAuth = async (): Promise<string | undefined> => {
    try {
      const header = await this.renew(this.#given);
      this.#given = header ?? this.#given;
      return header;
    } catch {
      return undefined; // offline, say; the next attempt asks again
    }
  };

  /** Keeps the tokens of a Replicache instance up to date until it is cancelled. */
  attach(rep: Authenticated): Cancel {
    const give = (header: string) => {
      rep.auth = this.#given = header;
    };
    const before = rep.getAuth;
    rep.getAuth = this.getAuth;
    if (this.#known !== '') {
      give(this.#known);
    }
    this.#listeners.add(give);
    return () => {
      this.#listeners.delete(give);
      if (rep.getAuth === this.getAuth) {
        rep.getAuth = before;
      }
    };
  }

  #mayForce(): boolean {
    return this.#flight?.force || this.#clock.now() - this.#forcedAt >= minRefreshInterval;
  }

  /** A call under way is shared, unless it is not forced and this one is. */
  #ask(force: boolean): Promise<string> {
    if (this.#flight && (this.#flight.force || !force)) {
      return this.#flight.header;
    }
    if (force) {
      this.#forcedAt = this.#clock.now();
    }
    const flight: Flight = {force, header: this.#call(force)};
    const landed = () => {
      if (this.#flight === flight) {
        this.#flight = undefined;
      }
    };
    this.#flight = flight;
    flight.header.then(landed, landed);
    return flight.header;
  }

  async #call(force: boolean): Promise<string> {
    const call = ++this.#calls;
    const header = bearer((await this.#source(force)) ?? '');
    // An older call may end after a newer one; its token is the older one.
    if (call === this.#calls && header !== this.#known) {
      this.#known = header;
      this.#listeners.forEach(listener => listener(header));
    }
    return header;
  }
}

function tokenFunction(source: AuthSource | undefined): TokenFunction {
  if (source === undefined || typeof source === 'string') {
    return () => source;
  }
  return typeof source === 'function' ? source : force => source.getIdToken(force);
}

/** Replicache sends `auth` as it is, without the scheme that servers expect. */
function bearer(token: string): string {
  return token === '' || /^bearer /i.test(token) ? token : `Bearer ${token}`;
}
