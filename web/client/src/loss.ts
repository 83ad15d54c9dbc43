import type {PullRequest, PushRequest} from 'replicache';
import type {ErrorAnswer} from './answer.js';
import type {MaybePromise} from './auth.js';
import type {Environment} from './environment.js';

/** Mutations that the server does not have, and that Replicache will not send any more. */
export interface LostMutations {
  /** How many they are. */
  readonly mutations: number;
}

/** Told of mutations that are given up. Replicache waits for the promise, if there is one. */
export type LossListener = (lost: LostMutations) => MaybePromise<void>;

/** The part of a Replicache instance that knows what is pending. */
export interface PendingHolder {
  /** Names the client group: the tabs that share what they have pending. */
  readonly clientGroupID: Promise<string>;
  /** The mutations that no pull has confirmed. */
  experimentalPendingMutations(): Promise<readonly unknown[]>;
}

/**
 * Tells the app how many mutations Replicache gives up, before it does so. There
 * are two cases:
 *
 * - the server does not know the instance's client group (any more). Replicache
 *   then disables the group and reloads the page;
 * - Replicache sends what an earlier visit has left, and the server knows that
 *   group no more, or its version. Replicache then disables that group and says
 *   nothing.
 */
export class LossTeller {
  readonly #listener: LossListener;
  readonly #environment: Pick<Environment, 'report'>;
  /** What was told, by client group: a push and a pull may learn of it at once. */
  readonly #told = new Map<string, Promise<void>>();
  #rep: PendingHolder | undefined;

  constructor(
    listener: LossListener | undefined,
    environment: Pick<Environment, 'report' | 'warn'>,
  ) {
    this.#listener = listener ?? (lost => environment.warn(textOf(lost)));
    this.#environment = environment;
  }

  /** Asks this instance for what is pending. Without one, only pushes say how much is lost. */
  attach(rep: PendingHolder): void {
    this.#rep = rep;
  }

  /** Takes the error that answered a push. Returns when the app has been told, if it has to be. */
  async pushFailed(request: PushRequest, {error}: ErrorAnswer): Promise<void> {
    const group = groupOf(request);
    const own = await this.#isOwn(group);
    if (own && error === 'VersionNotSupported') {
      return; // the next version of the app may send them
    }
    const sent = request.mutations.length;
    await this.#tellOnce(group, () => (own && this.#rep ? pendingOf(this.#rep) : sent));
  }

  /** The same for a pull. What an earlier visit has left was applied by the push before it. */
  async pullFailed(request: PullRequest, {error}: ErrorAnswer): Promise<void> {
    const group = groupOf(request);
    const rep = this.#rep;
    if (rep && error === 'ClientStateNotFound' && (await this.#isOwn(group))) {
      await this.#tellOnce(group, () => pendingOf(rep));
    }
  }

  /** Without an instance nothing is known of what earlier visits have left. */
  async #isOwn(group: string): Promise<boolean> {
    return !this.#rep || group === (await this.#rep.clientGroupID);
  }

  #tellOnce(group: string, count: () => MaybePromise<number>): Promise<void> {
    const told = this.#told.get(group) ?? this.#tell(count);
    this.#told.set(group, told);
    return told;
  }

  /** What the app throws must not keep Replicache from its work. */
  async #tell(count: () => MaybePromise<number>): Promise<void> {
    try {
      const mutations = await count();
      if (mutations > 0) {
        await this.#listener({mutations});
      }
    } catch (error) {
      this.#environment.report(error);
    }
  }
}

/** Of an instance that was closed meanwhile nothing is lost: the next one sends it. */
async function pendingOf(rep: PendingHolder): Promise<number> {
  return (await rep.experimentalPendingMutations().catch(() => [])).length;
}

/** Before version 13 of Replicache each client was a group of its own. */
function groupOf(request: PullRequest | PushRequest): string {
  return 'clientGroupID' in request ? request.clientGroupID : request.clientID;
}

function textOf({mutations}: LostMutations): string {
  return (
    'the server does not know the client group, ' +
    `so Replicache gives up its unsent mutations: ${mutations}`
  );
}
