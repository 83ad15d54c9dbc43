import {replifire, type Rejection, type Status, type Sync} from '@replifire/client';
import {Replicache, type Puller, type Pusher} from 'replicache';
import {listMessages, newID, nextOrder, type ChatMessage} from './messages.js';
import {chatMutators, prefix, Refusal, type ChatMutators} from './mutators.js';
import {rescue, takeRescued} from './rescue.js';
import type {Session} from './session.js';
import type {OfflineSwitch} from './switch.js';

/** What the page shows of a room. */
export interface RoomState {
  /** In order; undefined until the local store has been read. */
  readonly messages: readonly ChatMessage[] | undefined;
  /** The ids of messages with changes that the server has not acknowledged. */
  readonly unsent: ReadonlySet<string>;
  /** How many mutations the server has not acknowledged. */
  readonly pending: number;
  /** The version of the space that is shown; undefined if it has never been pulled. */
  readonly version: number | undefined;
  /** How it stands with the connection. */
  readonly status: Status;
}

/** A change that was refused, and the text that was lost by it. */
export interface Refused {
  readonly reason: string;
  readonly mutator: string;
  /** What the user had written; '' if that is not known any more. */
  readonly content: string;
}

/** A mutation that the server has not acknowledged. */
interface Pending {
  readonly id: number;
  readonly clientID: string;
  readonly name: string;
  readonly args: unknown;
}

/** How many written texts are kept for the case that they are refused. */
const maxWritten = 100;

const startState: RoomState = {
  messages: undefined,
  unsent: new Set(),
  pending: 0,
  version: undefined,
  status: 'connecting',
};

/** A room as one user sees it: the local store, and its connection to the server. */
export class Room {
  readonly session: Session;
  readonly #switch: OfflineSwitch;
  readonly #onRefused: (refused: Refused) => void;
  readonly #listeners = new Set<() => void>();
  readonly #rep: Replicache<ChatMutators>;
  readonly #stopSwitch: () => void;
  #sync: Sync | undefined;
  #state = startState;
  #known: ReadonlyMap<string, ChatMessage> = new Map();
  /** What was written of late, by mutation: it may be refused yet. */
  readonly #written = new Map<string, string>();
  #counting = false;
  #countAgain = false;

  constructor(session: Session, offline: OfflineSwitch, onRefused: (refused: Refused) => void) {
    this.session = session;
    this.#switch = offline;
    this.#onRefused = onRefused;
    this.#rep = new Replicache({
      // A room has its own store for each user: what is pending is theirs.
      name: `chat:${session.space}:${session.name}`,
      mutators: chatMutators(),
      puller: (...request) => this.#pull(...request),
      pusher: (...request) => this.#push(...request),
      logLevel: 'error',
    });
    this.#rep.onClientStateNotFound = () => void this.#startOver();
    this.#rep.onSync = () => void this.#count();
    this.#rep.subscribe(tx => tx.scan({prefix}).entries().toArray(), {
      onData: entries => this.#show(entries),
    });
    this.#stopSwitch = offline.subscribe(() => this.#turn());
    this.#turn();
  }

  /** What there is to show now. Another object after each change. */
  get state(): RoomState {
    return this.#state;
  }

  /** Calls the listener after each change of the state, until it is cancelled. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Writes a message, after all others. */
  async send(content: string): Promise<void> {
    const order = nextOrder(this.#state.messages ?? []);
    const message = {id: newID(), from: this.session.name, content, order};
    await this.#try('createMessage', content, () => this.#rep.mutate.createMessage(message));
  }

  /** Gives a message another text. */
  async edit(id: string, content: string): Promise<void> {
    await this.#try('updateMessage', content, () => this.#rep.mutate.updateMessage({id, content}));
  }

  /** Deletes a message. */
  async delete(id: string): Promise<void> {
    await this.#try('deleteMessage', '', () => this.#rep.mutate.deleteMessage({id}));
  }

  /** Brings back a message that was deleted. */
  async restore(message: ChatMessage): Promise<void> {
    const {content} = message;
    await this.#try('createMessage', content, () => this.#rep.mutate.createMessage(message));
  }

  /** Ends it. What is pending stays in the local store. */
  async close(): Promise<void> {
    this.#listeners.clear();
    this.#stopSwitch();
    await this.#sync?.close();
    await this.#rep.close();
  }

  /** The twin on this side may refuse already what the server would. */
  async #try(mutator: string, content: string, mutate: () => Promise<void>): Promise<void> {
    try {
      await mutate();
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      this.#onRefused({mutator, reason: error.message, content});
    }
    void this.#count();
  }

  /** Follows the switch: a connection that is given up leaves no traffic behind. */
  #turn(): void {
    if (this.#switch.on) {
      void this.#sync?.close();
      this.#sync = undefined;
      this.#set({status: 'offline'});
      return;
    }
    const {space} = this.session;
    const sync = replifire({
      space,
      onRejected: (clientID, rejection) => this.#tell(clientID, rejection),
      onMutationsLost: () => {}, // they are made anew: see #startOver
    });
    this.#sync = sync;
    sync.subscribe(() => this.#sync === sync && this.#set({status: sync.status}));
    this.#set({status: sync.status});
    sync.connect(this.#rep);
    // No need to wait for the end of Replicache's back-off.
    void this.#rep.push({now: true});
    void this.#rep.pull({now: true});
  }

  readonly #pull: Puller = async (request, requestID) => {
    this.#noteVersion(request);
    if (!this.#sync) {
      throw new Error('offline by the switch');
    }
    const result = await this.#sync.options.puller(request, requestID);
    this.#noteVersion(result.response);
    return result;
  };

  readonly #push: Pusher = async (request, requestID) => {
    if (!this.#sync) {
      throw new Error('offline by the switch');
    }
    return this.#sync.options.pusher(request, requestID);
  };

  /** A cookie of replifire's names the version that its holder has. */
  #noteVersion(holder: unknown): void {
    const {cookie} = (holder ?? {}) as {cookie?: {version?: unknown} | null};
    if (typeof cookie?.version === 'number') {
      this.#set({version: cookie.version});
    }
  }

  #show(entries: readonly (readonly [string, unknown])[]): void {
    const first = !this.#state.messages;
    const messages = listMessages(entries, this.#known);
    this.#known = new Map(messages.map(message => [message.id, message]));
    this.#set({messages});
    void this.#count();
    if (first) {
      void this.#makeAnew();
    }
  }

  /** The server has lost this client: a new one takes over, with what is pending. */
  async #startOver(): Promise<void> {
    const pending = await this.#rep.experimentalPendingMutations();
    rescue(this.session, await this.#rep.clientGroupID, pending);
    location.reload();
  }

  /** Makes what the last client had pending once more. */
  async #makeAnew(): Promise<void> {
    const mutate = this.#rep.mutate as unknown as Record<string, (args: unknown) => Promise<void>>;
    for (const {name, args} of takeRescued(this.session)) {
      await this.#try(name, contentOf(args), async () => mutate[name]?.(args));
    }
  }

  /**
   * Asks what is pending. Questions that come meanwhile are asked once more. Before
   * the local store has been read there is no answer.
   */
  async #count(): Promise<void> {
    this.#countAgain = true;
    if (this.#counting || !this.#state.messages) {
      return;
    }
    this.#counting = true;
    try {
      while (this.#countAgain && !this.#rep.closed) {
        this.#countAgain = false;
        this.#notePending(await this.#rep.experimentalPendingMutations());
      }
    } catch (error) {
      if (!this.#rep.closed) {
        throw error;
      }
    } finally {
      this.#counting = false;
    }
  }

  #notePending(list: readonly Pending[]): void {
    list.forEach(pending => this.#keep(pending));
    const ids = list.map(({args}) => (args as {id?: unknown} | null)?.id);
    const unsent = new Set(ids.filter(id => typeof id === 'string'));
    const same =
      unsent.size === this.#state.unsent.size &&
      [...unsent].every(id => this.#state.unsent.has(id));
    this.#set({pending: list.length, unsent: same ? this.#state.unsent : unsent});
  }

  #keep({clientID, id, args}: Pending): void {
    const content = contentOf(args);
    if (content !== '') {
      this.#written.set(`${clientID} ${id}`, content);
    }
    for (const key of [...this.#written.keys()].slice(0, -maxWritten)) {
      this.#written.delete(key);
    }
  }

  #tell(clientID: string, {id, name, reason}: Rejection): void {
    const content = this.#written.get(`${clientID} ${id}`) ?? '';
    this.#onRefused({mutator: name, reason, content});
  }

  #set(change: Partial<RoomState>): void {
    const keys = Object.keys(change) as (keyof RoomState)[];
    if (keys.some(key => change[key] !== this.#state[key])) {
      this.#state = {...this.#state, ...change};
      this.#listeners.forEach(listener => listener());
    }
  }
}

/** The text that a mutation carries, '' if it carries none. */
function contentOf(args: unknown): string {
  const {content} = (args ?? {}) as {content?: unknown};
  return typeof content === 'string' ? content : '';
}
