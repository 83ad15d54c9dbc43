import type {Puller, PullerResult, PullRequest} from 'replicache';
import {type ErrorAnswer, errorOf} from './answer.js';
import type {Auth} from './auth.js';
import type {Environment} from './environment.js';
import {type ClientRejection, rejectionsOf} from './rejection.js';

/** What a puller works with. */
export interface PullerConfig {
  /** Where to pull from, with the space in its query. */
  readonly url: string;
  readonly auth: Auth;
  readonly environment: Pick<Environment, 'fetch'>;
  /** Gets the rejections of each answer that has some, and the id of the request. */
  readonly onRejections: (rejections: ClientRejection[], requestID: string) => void;
  /** Learns of each pull whether the server answered it with 200. */
  readonly onOutcome: (ok: boolean) => void;
  /** Learns of an error answer before Replicache does. */
  readonly onError: (request: PullRequest, error: ErrorAnswer) => Promise<void>;
}

/**
 * Makes a puller that does what Replicache's own does, and some things more: its
 * token is never an old one, the rejections of an answer are handed on, and the
 * outcome is noted. Replicache itself takes care of 401, errors and retries.
 *
 * It throws what the token's source, `fetch` or the parser of JSON throws.
 * Replicache then takes the client for offline and tries again.
 */
export function createPuller(config: PullerConfig): Puller {
  return async (request, requestID) => {
    const result = await notedPull(config, request, requestID);
    const error = errorOf(result.response);
    if (error) {
      await config.onError(request, error);
    }
    return result;
  };
}

async function notedPull(
  config: PullerConfig,
  request: PullRequest,
  requestID: string,
): Promise<PullerResult> {
  let ok = false;
  try {
    const result = await pull(config, JSON.stringify(request), requestID);
    ok = result.httpRequestInfo.httpStatusCode === 200;
    return result;
  } finally {
    config.onOutcome(ok);
  }
}

async function pull(config: PullerConfig, body: string, requestID: string): Promise<PullerResult> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'X-Replicache-RequestID': requestID,
  };
  const authorization = await config.auth.header();
  if (authorization !== '') {
    headers['Authorization'] = authorization;
  }
  const answer = await config.environment.fetch(config.url, {method: 'POST', headers, body});
  // Success is 200 exactly; the body of another status is for the log only.
  if (answer.status !== 200) {
    const errorMessage = await answer.text();
    return {httpRequestInfo: {httpStatusCode: answer.status, errorMessage}};
  }
  const response = (await answer.json()) as NonNullable<PullerResult['response']>;
  const rejections = rejectionsOf(response);
  if (rejections.length > 0) {
    config.onRejections(rejections, requestID);
  }
  return {
    response,
    httpRequestInfo: {httpStatusCode: 200, errorMessage: ''},
  } as PullerResult;
}
