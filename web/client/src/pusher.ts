import type {Pusher, PusherResult, PushRequest} from 'replicache';
import {type ErrorAnswer, errorOf} from './answer.js';
import type {Auth} from './auth.js';
import type {Environment} from './environment.js';

/** Each part of a backlog is smaller than this, the most that a server takes by default. */
export const maxPartBytes = 8 * 2 ** 20;

/**
 * Each part of a backlog has at most so many mutations. The server would take
 * more, but has to be done with all of them within its time for one push.
 */
export const maxPartMutations = 10_000;

/** The longest pause that a server can ask for, in milliseconds. */
export const maxPause = 60_000;

/** What a pusher works with. */
export interface PusherConfig {
  /** Where to push to, with the space in its query. */
  readonly url: string;
  readonly auth: Auth;
  readonly environment: Pick<Environment, 'clock' | 'fetch'>;
  /** Learns of an error answer before Replicache does. */
  readonly onError: (request: PushRequest, error: ErrorAnswer) => Promise<void>;
  /** Whether the Replicache instance is closed. Then no further part is sent. */
  readonly isClosed: () => boolean;
  /** Ends a pause. */
  readonly closing: AbortSignal;
}

/**
 * Makes a pusher that does what Replicache's own does, and three things more:
 *
 * - its token is never an old one;
 * - a large backlog is sent in parts, one after another. The first answer that is
 *   not plain success is the result of all. Replicache then tries again with
 *   everything that no pull has confirmed until then;
 * - after a 429 it pauses for as long as `Retry-After` says, since Replicache does
 *   not read that and would begin with pauses of milliseconds.
 *
 * It throws what the token's source or `fetch` throws. Replicache then takes the
 * client for offline and tries again.
 */
export function createPusher(config: PusherConfig): Pusher {
  return async (request, requestID) => {
    let result = done();
    for (const part of partsOf(request)) {
      result = await push(config, JSON.stringify(part), requestID);
      if (!isDone(result) || config.isClosed()) {
        break;
      }
    }
    if (result.response) {
      await config.onError(request, result.response);
    }
    return result;
  };
}

/**
 * Cuts a request into requests that are small enough, as few as can be. A single
 * mutation that is too large goes alone, and the server says what it thinks of it.
 */
function* partsOf(request: PushRequest): Generator<PushRequest> {
  const empty = bytesOf({...request, mutations: []});
  let mutations: typeof request.mutations[number][] = [];
  let bytes = empty;
  for (const mutation of request.mutations) {
    const more = bytesOf(mutation) + 1; // and a comma
    const full = bytes + more > maxPartBytes || mutations.length === maxPartMutations;
    if (full && mutations.length > 0) {
      yield {...request, mutations} as PushRequest;
      mutations = [];
      bytes = empty;
    }
    mutations.push(mutation);
    bytes += more;
  }
  yield {...request, mutations} as PushRequest;
}

const encoder = new TextEncoder();

function bytesOf(value: unknown): number {
  return encoder.encode(JSON.stringify(value)).length;
}

async function push(config: PusherConfig, body: string, requestID: string): Promise<PusherResult> {
  const headers = {
    'Content-type': 'application/json',
    // Replicache sends an empty one, too, if there is no token.
    Authorization: await config.auth.header(),
    'X-Replicache-RequestID': requestID,
  };
  const answer = await config.environment.fetch(config.url, {method: 'POST', headers, body});
  // Success is 200 exactly; the body of another status is for the log only.
  if (answer.status !== 200) {
    const errorMessage = await answer.text();
    if (answer.status === 429) {
      await pause(config, secondsOf(answer.headers.get('Retry-After')) * 1_000);
    }
    return {httpRequestInfo: {httpStatusCode: answer.status, errorMessage}};
  }
  const response = errorOf(await answer.json().catch(() => undefined));
  return response ? {...done(), response} : done();
}

function done(): PusherResult {
  return {httpRequestInfo: {httpStatusCode: 200, errorMessage: ''}};
}

function isDone({httpRequestInfo, response}: PusherResult): boolean {
  return httpRequestInfo.httpStatusCode === 200 && !response;
}

/** A date instead of seconds counts as nothing: clocks differ. */
function secondsOf(header: string | null): number {
  return /^\d+$/.test(header ?? '') ? Number(header) : 0;
}

function pause({environment, closing}: PusherConfig, ms: number): Promise<void> {
  return new Promise(resolve => {
    if (ms === 0 || closing.aborted) {
      return resolve();
    }
    const end = () => {
      cancel();
      closing.removeEventListener('abort', end);
      resolve();
    };
    const cancel = environment.clock.after(Math.min(ms, maxPause), end);
    closing.addEventListener('abort', end);
  });
}
