// An app: a real Replicache client, its poke stream, and what a page does around
// them.

import {setMaxListeners} from 'node:events';
import {Replicache} from 'replicache';
import {mutators} from './mutators.js';
import {PokeStream} from './poke.js';
import {routeURL} from './http.js';
import {until} from './wait.js';

/**
 * @typedef {import('./view.js').View} View
 * @typedef {import('replicache').UpdateNeededReason} UpdateNeededReason
 * @typedef {Replicache<typeof mutators>} Rep
 * @typedef {import('../../../web/client/dist/index.js').Sync} Sync
 * @typedef {{id: number, name: string, reason: string}} Rejection
 *
 * What shows who the user is.
 * @typedef {object} Auth
 * @property {() => string} current the Authorization header's value at hand
 * @property {() => Promise<string | undefined>} renew a new one, if there is one to be had
 *
 * @typedef {object} ClientOptions
 * @property {string} name names the local store; equal names are tabs of one browser
 * @property {string} url of the server or of a proxy before it
 * @property {string} space
 * @property {import('./random.js').Random} random
 * @property {string} [schemaVersion]
 * @property {Auth} [auth] nothing is shown without
 * @property {boolean} [pokes] whether it listens to pokes; default true
 * @property {(server: {server: string, space: string}) => Sync} [sync] what the page uses of
 *   the package @replifire/client, which then does for it what this file does otherwise
 */

/**
 * What the client logs when a server breaks the protocol. Each means that an
 * answer was dropped.
 */
const complaint =
  /Invalid puller result|ignoring client view|did not change, but|Inconsistent mutation ID/;

const keptLogLines = 20;

/**
 * A page that reloads does not ask whether its client could be closed well: one that is at
 * work on its store at that moment cannot, and says Closed; so does a pull that is waiting.
 * @param {unknown} err
 */
function ifClosed(err) {
  if (!(err instanceof Error) || err.message !== 'Closed') {
    throw err;
  }
}

// A Replicache instance listens to its own AbortSignal in more places than Node
// takes for normal.
setMaxListeners(50);

export class Client {
  #options;
  /** @type {Rep} */
  #rep;
  /** @type {PokeStream | undefined} */
  #pokes;
  /** @type {Sync | undefined} */
  #sync;
  /** @type {Promise<void>} */
  #reloading = Promise.resolve();
  /** @type {Promise<never> | undefined} */
  #hanging;
  #closing = false;
  /** How often the client asked the page to reload. */
  reloads = 0;
  /** @type {UpdateNeededReason[]} */
  updatesNeeded = [];
  /** @type {Record<string, Rejection[]>} by client id, as the pull answers said */
  rejections = {};
  pulls = 0;
  /** @type {number[]} the statuses that its pushes ended with */
  pushes = [];
  /** @type {string[]} */
  complaints = [];
  /** @type {string[]} the end of the client's log */
  log = [];

  /** @param {ClientOptions} options */
  constructor(options) {
    this.#options = options;
    this.#rep = this.#open();
    if (options.pokes !== false && !options.sync) {
      this.#pokes = this.#listen();
    }
  }

  get name() {
    return this.#options.name;
  }

  get rep() {
    return this.#rep;
  }

  get mutate() {
    return this.#rep.mutate;
  }

  get pokes() {
    return this.#pokes;
  }

  get sync() {
    return this.#sync;
  }

  /** @returns {Promise<View>} all that the app shows */
  view() {
    return this.#rep.query(async tx => Object.fromEntries(await tx.scan().entries().toArray()));
  }

  /** How many mutations the server has not acknowledged, as this tab knows. */
  async pending() {
    return (await this.#rep.experimentalPendingMutations()).length;
  }

  /**
   * Sends the client to another server, as a changed deployment does.
   * @param {string} url
   * @param {ClientOptions['sync']} [sync] from now on; default: as before
   */
  async moveTo(url, sync = this.#options.sync) {
    this.#options = {...this.#options, url, ...(sync ? {sync} : {})};
    this.#rep.pushURL = routeURL(url, 'push', this.#options.space);
    this.#rep.pullURL = routeURL(url, 'pull', this.#options.space);
    if (this.#pokes) {
      await this.#pokes.close();
      this.#pokes = this.#listen();
    }
    await this.#sync?.close();
    this.#join(this.#rep);
  }

  /**
   * Has pushes hang, as in a tunnel, until the function that it returns is called. What hung
   * has failed then.
   */
  hang() {
    let end = () => {};
    const hanging = new Promise((_, reject) => (end = () => reject(new Error('it hung'))));
    hanging.catch(() => {});
    this.#hanging = /** @type {Promise<never>} */ (hanging);
    return () => {
      this.#hanging = undefined;
      end();
    };
  }

  /** Waits until the local store has all that the app shows. */
  async persisted() {
    const pending = await this.pending();
    const twin = new Client({...this.#options, url: 'http://127.0.0.1:9', pokes: false});
    try {
      await until(`${this.name} has persisted its ${pending} pending mutations`, async () => {
        const seen = await twin.pending();
        return seen >= pending || `another tab sees ${seen}`;
      });
    } finally {
      await twin.close();
    }
  }

  async close() {
    this.#closing = true;
    await this.#pokes?.close();
    await this.#reloading;
    await this.#sync?.close();
    await this.#rep.close();
  }

  /** For failure messages. */
  describe() {
    const lines = [
      `${this.name}: client ${this.#rep.clientID}, ${this.pulls} pulls, ${this.reloads} reloads`,
    ];
    if (this.#pokes) {
      const {connects, pokes, lastError} = this.#pokes;
      lines.push(`  stream: connected ${connects} times, ${pokes} pokes, last error ${lastError}`);
    }
    return [...lines, ...this.log.map(line => `  ${line}`)].join('\n');
  }

  /** @returns {Rep} */
  #open() {
    const {name, url, space, schemaVersion, auth} = this.#options;
    const rep = new Replicache({
      name,
      mutators,
      kvStore: 'mem',
      pushURL: routeURL(url, 'push', space),
      pullURL: routeURL(url, 'pull', space),
      pullInterval: null,
      requestOptions: {minDelayMs: 30, maxDelayMs: 1000},
      ...(schemaVersion === undefined ? {} : {schemaVersion}),
      ...(auth ? {auth: auth.current()} : {}),
      logSinks: [{log: (level, _, ...args) => this.#noteLog(level, args)}],
    });
    rep.onClientStateNotFound = () => this.#reload(rep);
    rep.onUpdateNeeded = reason => this.updatesNeeded.push(reason);
    if (auth) {
      rep.getAuth = () => auth.renew();
    }
    rep.puller = this.#watchPulls(rep.puller);
    rep.pusher = this.#watchPushes(rep.pusher);
    this.#join(rep);
    return rep;
  }

  /**
   * Has the package do its work, if it is used.
   * @param {Rep} rep
   */
  #join(rep) {
    const {url, space} = this.#options;
    const sync = this.#options.sync?.({server: url, space});
    if (sync) {
      rep.puller = this.#watchPulls(sync.options.puller);
      rep.pusher = this.#watchPushes(sync.options.pusher);
    }
    if (this.#options.pokes !== false) {
      sync?.connect(rep);
    }
    this.#sync = sync;
  }

  #listen() {
    const {url, space, random, auth} = this.#options;
    const onPoke = () => {
      this.#rep.pull().catch(err => this.#noteLog('pull', [err]));
    };
    return new PokeStream(routeURL(url, 'poke', space), onPoke, random, auth);
  }

  /** Pulls without delay. A reload of the page meanwhile ends the pull, and pulls again. */
  async pull() {
    await this.#rep.pull({now: true}).catch(ifClosed);
  }

  /**
   * What the client's default, location.reload(), comes to: once for a page, however many
   * of its pulls and pushes are answered that way.
   * @param {Rep} rep
   */
  #reload(rep) {
    this.#reloading = this.#reloading.then(async () => {
      if (rep !== this.#rep || this.#closing) {
        return;
      }
      this.reloads++;
      await this.#sync?.close();
      await rep.close().catch(ifClosed);
      this.#rep = this.#open();
    });
  }

  /**
   * The client's own puller, looked at: it drops fields that it does not know.
   * @param {import('replicache').Puller} puller
   * @returns {import('replicache').Puller}
   */
  #watchPulls(puller) {
    return async (request, requestID) => {
      const result = await puller(request, requestID);
      this.pulls++;
      const response = /** @type {{rejections?: Record<string, Rejection[]>} | undefined} */ (
        result.response
      );
      for (const [clientID, list] of Object.entries(response?.rejections ?? {})) {
        (this.rejections[clientID] ??= []).push(...list);
      }
      return result;
    };
  }

  /**
   * @param {import('replicache').Pusher} pusher
   * @returns {import('replicache').Pusher}
   */
  #watchPushes(pusher) {
    return async (request, requestID) => {
      await this.#hanging;
      const result = await pusher(request, requestID);
      this.pushes.push(result.httpRequestInfo.httpStatusCode);
      return result;
    };
  }

  /**
   * @param {string} level
   * @param {unknown[]} args
   */
  #noteLog(level, args) {
    const text = args.map(arg => (arg instanceof Error ? arg.message : JSON.stringify(arg)));
    const line = `${level}: ${text.join(' ')}`.slice(0, 300);
    this.log = [...this.log, line].slice(-keptLogLines);
    if (complaint.test(line)) {
      this.complaints.push(line);
    }
  }
}
