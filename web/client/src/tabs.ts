import {type Status, statuses} from './status.js';

/** What the tabs of a space tell each other. Nothing of the space's content is in it. */
export type TabMessage =
  /** By the tab that holds the stream: how it stands. At each change, poke and heartbeat. */
  | {readonly kind: 'state'; readonly status: Status; readonly version: number | undefined}
  /** By a tab that wants to know how it stands. */
  | {readonly kind: 'hello'}
  /** By a tab that has reason to hope, or to doubt: the stream should try now, and its tab answer. */
  | {readonly kind: 'wake'};

/** The tabs of an origin that share a name, connected by a `BroadcastChannel`. */
export class Tabs {
  readonly #channel: BroadcastChannel;

  constructor(channel: BroadcastChannel, onMessage: (message: TabMessage) => void) {
    this.#channel = channel;
    channel.onmessage = ({data}: MessageEvent<unknown>) => {
      const message = messageOf(data);
      if (message) {
        onMessage(message);
      }
    };
  }

  /** Tells all other tabs. */
  post(message: TabMessage): void {
    this.#channel.postMessage(message);
  }

  /** Hears and tells nothing any more. Must be the last call. */
  close(): void {
    this.#channel.onmessage = null;
    this.#channel.close();
  }
}

/** Another tab may run another release of this package. */
function messageOf(data: unknown): TabMessage | undefined {
  if (typeof data !== 'object' || data === null || !('kind' in data)) {
    return undefined;
  }
  if (data.kind === 'hello' || data.kind === 'wake') {
    return {kind: data.kind};
  }
  if (data.kind !== 'state' || !('status' in data)) {
    return undefined;
  }
  const status = statuses.find(s => s === data.status);
  const version = 'version' in data && typeof data.version === 'number' ? data.version : undefined;
  return status && {kind: 'state', status, version};
}
