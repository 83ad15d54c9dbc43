import type {ReadTransaction, WriteTransaction} from 'replicache';

/** What an entry of the chat holds. Messages are sorted by `order`, which need not be unique. */
export type Message = {
  readonly from: string;
  readonly content: string;
  readonly order: number;
};

/** The argument of `createMessage`. */
export type NewMessage = Message & {readonly id: string};

/** The argument of `updateMessage`. */
export type NewContent = {readonly id: string; readonly content: string};

/** The argument of `deleteMessage`. */
export type WhichMessage = {readonly id: string};

/** The keys of all messages begin with it. */
export const prefix = 'message/';

/** Why a mutation is refused: the server's own words. */
export class Refusal extends Error {
  override name = 'Refusal';
}

/**
 * The twins of the mutators in Go's package chat: what they do and what they
 * refuse is the same, and chat/testdata/mutators.jsonl says so for both. `user`
 * is who the server takes this client for, '' where nobody signs in with it.
 */
export function chatMutators(user = '') {
  return {
    createMessage: refusing(async (tx, args: NewMessage) => {
      const {id, ...message} = newMessage(args);
      if (await tx.has(prefix + id)) {
        throw new Refusal('a message with this id exists');
      }
      await tx.set(prefix + id, {...message, from: user || message.from});
    }),

    updateMessage: refusing(async (tx, args: NewContent) => {
      const {id, content} = newContent(args);
      const message = await getMessage(tx, id);
      if (!message) {
        throw new Refusal('no such message');
      }
      checkAuthor(message, user);
      await tx.set(prefix + id, {...message, content});
    }),

    deleteMessage: refusing(async (tx, args: WhichMessage) => {
      const {id} = whichMessage(args);
      const message = await getMessage(tx, id);
      if (message) {
        checkAuthor(message, user);
        await tx.del(prefix + id);
      }
    }),
  };
}

/** The mutators' type, for Replicache's. */
export type ChatMutators = ReturnType<typeof chatMutators>;

/**
 * A mutator that refuses throws, so that its caller learns of it. Not while a
 * pending mutation is run again upon a new state: Replicache would drop the whole
 * pull. It then changes nothing, and the server's refusal follows.
 */
function refusing<A>(mutator: (tx: WriteTransaction, args: A) => Promise<void>) {
  return async (tx: WriteTransaction, args: A): Promise<void> => {
    try {
      await mutator(tx, args);
    } catch (error) {
      if (!(error instanceof Refusal) || tx.reason !== 'rebase') {
        throw error;
      }
    }
  };
}

async function getMessage(tx: ReadTransaction, id: string): Promise<Message | undefined> {
  return (await tx.get(prefix + id)) as Message | undefined;
}

/** Without signed-in users, everybody may change everything. */
function checkAuthor({from}: Message, user: string): void {
  if (user !== '' && user !== from) {
    throw new Refusal("the message is somebody else's");
  }
}

function newMessage(args: unknown): NewMessage {
  const fields = fieldsOf(args);
  const [id, from, content] = [text(fields, 'id'), text(fields, 'from'), text(fields, 'content')];
  const order = number(fields, 'order');
  if (id === undefined || from === undefined || content === undefined || order === undefined) {
    throw badArguments('id, from, content and order are needed');
  }
  return {id, from, content, order};
}

function newContent(args: unknown): NewContent {
  const fields = fieldsOf(args);
  const [id, content] = [text(fields, 'id'), text(fields, 'content')];
  if (id === undefined || content === undefined) {
    throw badArguments('id and content are needed');
  }
  return {id, content};
}

function whichMessage(args: unknown): WhichMessage {
  const id = text(fieldsOf(args), 'id');
  if (id === undefined) {
    throw badArguments('id is needed');
  }
  return {id};
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(args: unknown): Fields {
  if (args === null || args === undefined) {
    return {};
  }
  if (typeof args !== 'object' || Array.isArray(args)) {
    throw badArguments(`JSON ${kindOf(args)} does not fit`);
  }
  return args as Fields;
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === 'string') {
    return value;
  }
  throw badArguments(`${name}: JSON ${kindOf(value)} does not fit`);
}

/** What JSON cannot write as a number, or no double can hold, does not fit either. */
function number(fields: Fields, name: string): number | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) {
    return value;
  }
  throw badArguments(`${name}: JSON ${kindOf(value)} does not fit`);
}

/** The name of a value's kind as the server says it. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) {
    return 'array';
  }
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function badArguments(why: string): Refusal {
  return new Refusal(`bad arguments: ${why}`);
}
