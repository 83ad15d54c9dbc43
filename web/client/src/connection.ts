import type {Auth, Authenticated} from './auth.js';
import {Backoff, defaultBackoff} from './backoff.js';
import {Election} from './election.js';
import type {Cancel, Environment} from './environment.js';
import {HolderWatch} from './holder.js';
import type {PendingHolder} from './loss.js';
import {watchPage} from './page.js';
import type {Status, StatusBoard} from './status.js';
import {PokeStream} from './stream.js';
import {type TabMessage, Tabs} from './tabs.js';

/** The part of a Replicache instance that is used. Every `Replicache` has it. */
export interface Syncable extends Authenticated, PendingHolder {
  /** Names the local database; tabs with the same one are one user's. */
  readonly name: string;
  /** Names this instance among all clients. */
  readonly clientID: string;
  /** Whether it has been closed. */
  readonly closed: boolean;
  /** Asks for what is new; with `now` at once, whatever pause is on. */
  pull(options?: {now?: boolean | undefined}): Promise<void>;
  /** Sends what is pending, if anything is; with `now` at once, whatever pause is on. */
  push(options?: {now?: boolean | undefined}): Promise<void>;
}

/** What a connection works with. */
export interface ConnectionConfig {
  /** The address of the poke stream, with the space in its query. */
  readonly pokeURL: string;
  /** Names the space among all spaces of all servers. */
  readonly name: string;
  /** How often the server says at least something, in milliseconds. */
  readonly heartbeat: number;
  readonly auth: Auth;
  readonly board: StatusBoard;
  readonly environment: Environment;
}

/**
 * Makes a Replicache instance pull when its space changes. Of all the tabs of a
 * user that show the same space, one holds the poke stream and tells the others;
 * where tabs cannot agree, each has its own. It begins at once and goes on until
 * {@link close}.
 */
export class Connection {
  readonly #rep: Syncable;
  readonly #config: ConnectionConfig;
  readonly #backoff: Backoff;
  readonly #cancels: Cancel[];
  readonly #tabs: Tabs | undefined;
  readonly #election: Election | undefined;
  /** Is on while another tab holds the stream. */
  readonly #holder: HolderWatch;
  #stream: PokeStream | undefined;
  #standingAside: Cancel | undefined;
  #resting = false;
  #closed = false;
  /** The version that the last pull was for; undefined after a failed one. */
  #seen: number | undefined;
  #pullFailed = false;

  constructor(rep: Syncable, config: ConnectionConfig) {
    const {environment, auth, heartbeat} = config;
    this.#rep = rep;
    this.#config = config;
    this.#backoff = new Backoff(defaultBackoff, environment.random);
    this.#holder = new HolderWatch(environment.clock, heartbeat, {
      ask: () => this.#tabs?.post({kind: 'wake'}),
      giveUp: () => this.#election?.overthrow(),
    });
    [this.#tabs, this.#election] = this.#meetOthers();
    this.#cancels = [
      auth.attach(rep),
      watchPage(environment, {
        hope: () => this.#hope(),
        doubt: () => this.#stream?.restart(),
        rest: () => void this.#rest(),
        resume: () => this.#resume(),
      }),
    ];
    this.#begin();
    // For what the app sends with `rep.auth`. The stream says what is wrong with the token.
    auth.header().catch(() => {});
  }

  /** To be told of the outcome of each pull, see {@link PullerConfig.onOutcome}. */
  noteOutcome(ok: boolean): void {
    this.#pullFailed = !ok;
    if (!ok) {
      this.#seen = undefined; // whatever comes next is news
    }
  }

  /**
   * Ends it: no timer, request, lock, channel or listener is left when the
   * promise is kept. Calling it twice is harmless.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancels.forEach(cancel => cancel());
    await this.#rest();
    this.#tabs?.close();
    this.#config.board.set('offline', this.#config.board.version);
  }

  /** Only tabs that can both agree on one of them and hear from it share a stream. */
  #meetOthers(): [Tabs?, Election?] {
    const {locks, openChannel} = this.#config.environment;
    if (!locks || !openChannel) {
      return [];
    }
    // Equal names are one user's tabs, so that nobody depends on another's token.
    const name = `${this.#config.name}:${this.#rep.name}`;
    const tabs = new Tabs(openChannel(name), message => this.#hear(message));
    const candidate = {elected: () => this.#open(), dismissed: () => this.#shut()};
    return [tabs, new Election(locks, name, candidate)];
  }

  #begin(): void {
    this.#stand();
    this.#tabs?.post({kind: 'hello'});
  }

  #stand(): void {
    if (this.#election) {
      if (!this.#stream) {
        this.#holder.heard();
      }
      this.#election.join();
    } else {
      this.#open();
    }
  }

  #open(): void {
    const {pokeURL, auth, environment, heartbeat} = this.#config;
    this.#holder.stop();
    this.#standingAside?.();
    this.#standingAside = undefined;
    this.#stream = new PokeStream({
      url: pokeURL,
      auth,
      backoff: this.#backoff,
      environment,
      heartbeat,
      status: this.#config.board.status,
      onPoke: version => this.#announce(this.#config.board.status, version),
      onStatus: status => this.#announce(status, this.#config.board.version),
    });
  }

  async #shut(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.close();
    if (!this.#closed && !this.#resting) {
      this.#holder.heard();
    }
  }

  /** How it stands with this tab's stream: for itself and for all other tabs. */
  #announce(status: Status, version: number | undefined): void {
    this.#tabs?.post({kind: 'state', status, version});
    this.#take(status, version);
    if (status === 'unauthorised' && this.#election && this.#stream) {
      this.#standAside(this.#election);
    }
  }

  /** Another tab may have a better token than this one. */
  #standAside(election: Election): void {
    void this.#shut();
    void election.leave();
    this.#standingAside = this.#config.environment.clock.after(this.#backoff.next(), () =>
      this.#standAgain(),
    );
  }

  #standAgain(): void {
    this.#standingAside?.();
    this.#standingAside = undefined;
    this.#stand();
  }

  #hear(message: TabMessage): void {
    if (this.#closed || this.#resting) {
      return;
    }
    if (message.kind !== 'state') {
      this.#answer(message.kind === 'wake');
    } else if (!this.#stream) {
      this.#holder.heard();
      this.#take(message.status, message.version);
    }
  }

  /** Only the tab that holds the stream has an answer. */
  #answer(wake: boolean): void {
    if (this.#stream) {
      const {status, version} = this.#config.board;
      this.#tabs?.post({kind: 'state', status, version});
    }
    if (wake) {
      this.#stream?.wake();
    }
  }

  /** Takes over what is known of the stream, and acts on what is news. */
  #take(status: Status, version: number | undefined): void {
    if (this.#rep.closed) {
      void this.close();
      return;
    }
    const {board} = this.#config;
    const before = board.status;
    const changed = version !== board.version;
    board.set(status, version ?? board.version);
    if (status !== 'live') {
      return;
    }
    if (before === 'offline' || before === 'unauthorised') {
      // No need to wait for the end of Replicache's own back-off. Without
      // anything pending this sends nothing.
      this.#quietly(this.#rep.push({now: true}));
    }
    if (changed || before !== 'live') {
      this.#pullNews(version);
    }
  }

  /** Another version is news, a lower one too: the server may have been wiped. */
  #pullNews(version: number | undefined): void {
    if (version !== undefined && version !== this.#seen) {
      this.#seen = version;
      this.#quietly(this.#rep.pull({now: this.#pullFailed}));
    }
  }

  /** Replicache logs what goes wrong and tries again by itself. */
  #quietly(request: Promise<void>): void {
    request.catch(() => {});
  }

  #hope(): void {
    if (this.#resting) {
      return;
    }
    if (this.#standingAside) {
      this.#standAgain();
    }
    if (this.#stream) {
      this.#stream.wake();
    } else if (this.#election) {
      this.#holder.ask();
    }
  }

  async #rest(): Promise<void> {
    this.#resting = true;
    this.#standingAside?.();
    this.#standingAside = undefined;
    this.#holder.stop();
    await Promise.all([this.#election?.leave(), this.#shut()]);
  }

  #resume(): void {
    if (this.#resting && !this.#closed) {
      this.#resting = false;
      this.#begin();
    }
  }
}
