import type {Puller, Pusher} from 'replicache';
import {Auth} from './auth.js';
import {Connection, type Syncable} from './connection.js';
import {browserEnvironment, type Cancel, type Environment} from './environment.js';
import {RejectionLedger} from './ledger.js';
import {LossTeller} from './loss.js';
import {defaultHeartbeat, type ReplifireOptions, type SpaceURLs, spaceURLs} from './options.js';
import {createPuller} from './puller.js';
import {createPusher} from './pusher.js';
import {type Status, StatusBoard, type StatusListener} from './status.js';

/** The options that {@link Sync} has for `new Replicache({...})`. */
export interface SyncOptions {
  readonly pushURL: string;
  readonly pullURL: string;
  /** The `Authorization` header as far as it is known: only if the token is a fixed one. */
  readonly auth: string;
  /**
   * What to set as the instance's `getAuth`, where Replicache wants it: it is not
   * an option there. {@link Sync.connect} sets it; set it yourself if you do not
   * connect.
   */
  readonly getAuth: () => Promise<string | undefined>;
  readonly puller: Puller;
  readonly pusher: Pusher;
}

/** One Replicache instance's connection to one space. Its functions need no `this`. */
export interface Sync {
  /** To be spread into the options of `new Replicache({...})`. */
  readonly options: SyncOptions;
  /** How it stands with the poke stream. */
  readonly status: Status;
  /** The latest version of the space that was heard of; undefined before the first poke. */
  readonly version: number | undefined;
  /** Calls the listener whenever status or version change, until it is cancelled. */
  readonly subscribe: (listener: StatusListener) => Cancel;
  /**
   * Gives the instance its tokens, and makes it pull when the space changes.
   *
   * @throws Error if it is connected already, or closed.
   */
  readonly connect: (rep: Syncable) => void;
  /**
   * Ends everything. No timer, request, lock, channel or listener is left when
   * the promise is kept. The Replicache instance is not closed. Calling it twice
   * is harmless.
   */
  readonly close: () => Promise<void>;
}

/**
 * Connects a Replicache instance to a space of a replifire server.
 *
 * ```ts
 * const sync = replifire({server: 'https://…', space: 'garden', auth: user});
 * const rep = new Replicache({name: user.uid, mutators, ...sync.options});
 * sync.connect(rep);
 * ```
 *
 * @throws TypeError if the server's address has a query or a fragment.
 */
export function replifire(options: ReplifireOptions): Sync {
  return new SpaceSync(options);
}

class SpaceSync implements Sync {
  readonly options: SyncOptions;
  readonly #urls: SpaceURLs;
  readonly #heartbeat: number;
  readonly #environment: Environment;
  readonly #auth: Auth;
  readonly #board: StatusBoard;
  readonly #ledger: RejectionLedger | undefined;
  readonly #losses: LossTeller;
  readonly #closing = new AbortController();
  #rep: Syncable | undefined;
  #connection: Connection | undefined;

  constructor(options: ReplifireOptions) {
    this.#urls = spaceURLs(options);
    this.#heartbeat = options.heartbeat ?? defaultHeartbeat;
    const environment = {...browserEnvironment(), ...options.environment};
    this.#environment = environment;
    this.#auth = new Auth(options.auth, environment.clock);
    this.#board = new StatusBoard(environment.report);
    this.#losses = new LossTeller(options.onMutationsLost, environment);
    if (options.onRejected) {
      this.#ledger = new RejectionLedger(this.#urls.name, options.onRejected, environment);
    }
    this.options = {
      pushURL: this.#urls.push,
      pullURL: this.#urls.pull,
      auth: this.#auth.known,
      getAuth: this.#auth.getAuth,
      puller: this.#createPuller(),
      pusher: this.#createPusher(),
    };
  }

  get status(): Status {
    return this.#board.status;
  }

  get version(): number | undefined {
    return this.#board.version;
  }

  readonly subscribe = (listener: StatusListener): Cancel => this.#board.subscribe(listener);

  readonly connect = (rep: Syncable): void => {
    if (this.#rep || this.#closing.signal.aborted) {
      throw new Error('connect: each replifire() is for one Replicache instance, once');
    }
    this.#rep = rep;
    this.#losses.attach(rep);
    this.#connection = new Connection(rep, {
      pokeURL: this.#urls.poke,
      name: this.#urls.name,
      heartbeat: this.#heartbeat,
      auth: this.#auth,
      board: this.#board,
      environment: this.#environment,
    });
  };

  readonly close = async (): Promise<void> => {
    this.#closing.abort();
    this.#ledger?.close();
    await this.#connection?.close();
    this.#board.clear();
  };

  #createPuller(): Puller {
    return createPuller({
      url: this.#urls.pull,
      auth: this.#auth,
      environment: this.#environment,
      onOutcome: ok => this.#connection?.noteOutcome(ok),
      // A request's id begins with the id of the client that sent it.
      onRejections: (rejections, requestID) =>
        this.#ledger?.add(rejections, clientID => requestID.startsWith(`${clientID}-`)),
      onError: (request, error) => this.#losses.pullFailed(request, error),
    });
  }

  #createPusher(): Pusher {
    return createPusher({
      url: this.#urls.push,
      auth: this.#auth,
      environment: this.#environment,
      isClosed: () => this.#rep?.closed ?? false,
      closing: this.#closing.signal,
      onError: (request, error) => this.#losses.pushFailed(request, error),
    });
  }
}
