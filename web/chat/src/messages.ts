import {prefix, type Message} from './mutators.js';

/** A message with the id that its key holds. */
export interface ChatMessage extends Message {
  readonly id: string;
}

/** Messages of one author that follow one another. */
export interface Group {
  readonly from: string;
  readonly messages: readonly ChatMessage[];
}

/**
 * Makes a sorted list of a space's entries: by `order`, and by id where that is
 * equal, so that all clients show the same. A message that has not changed since
 * `before` is the same object, so that it need not be drawn again.
 */
export function listMessages(
  entries: readonly (readonly [string, unknown])[],
  before: ReadonlyMap<string, ChatMessage>,
): ChatMessage[] {
  return entries
    .map(([key, value]) => messageOf(key.slice(prefix.length), value))
    .filter(message => message !== undefined)
    .map(message => unchanged(message, before.get(message.id)) ?? message)
    .sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1));
}

/** Puts messages of one author together if they follow one another. */
export function groupMessages(messages: readonly ChatMessage[]): Group[] {
  const groups: {from: string; messages: ChatMessage[]}[] = [];
  for (const message of messages) {
    const last = groups.at(-1);
    if (last?.from === message.from) {
      last.messages.push(message);
    } else {
      groups.push({from: message.from, messages: [message]});
    }
  }
  return groups;
}

/** The order of a message after all others. */
export function nextOrder(messages: readonly ChatMessage[]): number {
  return (messages.at(-1)?.order ?? 0) + 1;
}

/** An id that nobody else makes. */
export function newID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(15));
  return Array.from(bytes, byte => byte.toString(36).padStart(2, '0')).join('');
}

/** Other programs may write to the space too: what is no message is left out. */
function messageOf(id: string, value: unknown): ChatMessage | undefined {
  const {from, content, order} = (value ?? {}) as Record<keyof Message, unknown>;
  if (typeof from !== 'string' || typeof content !== 'string' || typeof order !== 'number') {
    return undefined;
  }
  return {id, from, content, order};
}

function unchanged(message: ChatMessage, before?: ChatMessage): ChatMessage | undefined {
  const {from, content, order} = message;
  return before?.from === from && before.content === content && before.order === order
    ? before
    : undefined;
}
