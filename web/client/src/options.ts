import type {AuthSource} from './auth.js';
import type {Environment} from './environment.js';
import type {RejectionListener} from './ledger.js';
import type {LossListener} from './loss.js';

/** The server's heartbeat unless it is told otherwise, in milliseconds. */
export const defaultHeartbeat = 20_000;

/** The space of a client that names none. */
export const defaultSpace = 'default';

/** What {@link replifire} is called with. */
export interface ReplifireOptions {
  /**
   * The address of the server, such as `https://chat-abc-ew.a.run.app`, with the
   * path before `/api` if there is one. Default: the origin of the page.
   */
  readonly server?: string | undefined;
  /** The space to sync. Default: `default`. */
  readonly space?: string | undefined;
  /** Where tokens come from: a Firebase user, a function, or a fixed token. Default: no token. */
  readonly auth?: AuthSource | undefined;
  /**
   * Told once of each mutation that the server refused for good, in one tab: the
   * one that made the mutation, or some other if that one is gone.
   */
  readonly onRejected?: RejectionListener | undefined;
  /**
   * Told how many mutations are given up because the server does not know their
   * client group any more, as after a restore. It is told in each tab of the group,
   * before Replicache disables the group and calls `onClientStateNotFound`, which
   * reloads the page; if it returns a promise, that waits. It is also told of
   * mutations that an earlier visit has left and that the server refuses to know.
   * Default: a warning in the console.
   */
  readonly onMutationsLost?: LossListener | undefined;
  /** The server's heartbeat in milliseconds, if it was changed there. Default: 20,000. */
  readonly heartbeat?: number | undefined;
  /** Replaces parts of the browser, for tests and other places than browsers. */
  readonly environment?: Partial<Environment> | undefined;
}

/** The addresses of a space. */
export interface SpaceURLs {
  readonly push: string;
  readonly pull: string;
  readonly poke: string;
  /** Names the space among all spaces of all servers, for what tabs share. */
  readonly name: string;
}

/**
 * Works out the addresses of a space.
 *
 * @throws TypeError if the server's address has a query or a fragment.
 */
export function spaceURLs({server = '', space = defaultSpace}: ReplifireOptions): SpaceURLs {
  if (/[?#]/.test(server)) {
    throw new TypeError(`server must be an address without query or fragment: ${server}`);
  }
  const base = server.replace(/\/+$/, '');
  const url = (route: string) =>
    `${base}/api/replicache/${route}?space=${encodeURIComponent(space)}`;
  return {
    push: url('push'),
    pull: url('pull'),
    poke: url('poke'),
    name: `replifire:${base}:${space}`,
  };
}
