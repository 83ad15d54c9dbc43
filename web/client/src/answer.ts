import type {ClientStateNotFoundResponse, VersionNotSupportedResponse} from 'replicache';

/** An answer with status 200 that is no success. */
export type ErrorAnswer = ClientStateNotFoundResponse | VersionNotSupportedResponse;

const versionTypes: readonly unknown[] = [undefined, 'pull', 'push', 'schema'];

/** The error in the body of an answer, if it is one that Replicache acts on. */
export function errorOf(body: unknown): ErrorAnswer | undefined {
  const {error, versionType} = (body ?? {}) as {error?: unknown; versionType?: unknown};
  const known =
    error === 'ClientStateNotFound' ||
    (error === 'VersionNotSupported' && versionTypes.includes(versionType));
  return known ? (body as ErrorAnswer) : undefined;
}
