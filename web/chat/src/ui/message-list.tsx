import {useEffect, useLayoutEffect, useRef, useState} from 'preact/hooks';
import {groupMessages, type ChatMessage, type Group} from '../messages.js';
import {MessageItem} from './message.js';

interface Props {
  /** All messages, in order; undefined until they are known. */
  readonly messages: readonly ChatMessage[] | undefined;
  readonly unsent: ReadonlySet<string>;
  readonly name: string;
  readonly onEdit: (id: string, content: string) => void;
  readonly onDelete: (message: ChatMessage) => void;
}

/** How many messages are drawn at first. */
const page = 100;
/** Going back draws as many again as there are, but no more than this at a time. */
const mostAtOnce = 500;
/** Nearer to the end than this, in pixels, the user reads the newest messages. */
const nearEnd = 80;
/** Nearer to the beginning than this, in pixels, older messages are drawn. */
const nearStart = 400;

/**
 * The messages. Of a long history the newest are drawn, and older ones as the
 * user goes back. It stays at the end while the user is there.
 */
export function MessageList(props: Props) {
  const {messages} = props;
  if (!messages) {
    return <div class="messages" aria-busy="true" />;
  }
  return <Scroller {...props} messages={messages} />;
}

function Scroller({messages, unsent, name, onEdit, onDelete}: Props & {messages: readonly ChatMessage[]}) {
  const [start, setStart] = useState(() => Math.max(0, messages.length - page));
  const [atEnd, setAtEnd] = useState(true);
  const {box, follow} = useScroll(messages, start, atEnd, name);
  const first = windowStart(messages.length, start, atEnd);
  useEffect(() => setStart(first), [first]);

  const earlier = () => {
    setAtEnd(false);
    const more = Math.min(Math.max(page, messages.length - first), mostAtOnce);
    setStart(Math.max(0, first - more));
  };
  const look = () => {
    const {scrollTop, scrollHeight, clientHeight} = box.current!;
    setAtEnd(scrollHeight - scrollTop - clientHeight < nearEnd);
    if (first > 0 && scrollTop < nearStart) {
      earlier();
    }
  };
  return (
    <div
      class="messages"
      ref={box}
      onScroll={look}
      tabIndex={0}
      role="region"
      aria-label="Messages"
    >
      {first > 0 && (
        <button type="button" class="earlier" onClick={earlier}>
          Show earlier messages ({first.toLocaleString('en')} more)
        </button>
      )}
      {messages.length === 0 && <p class="empty">No messages yet. Write the first one.</p>}
      <ol class="groups">
        {groupMessages(messages.slice(first)).map(group => (
          <GroupItem key={group.messages[0]!.id} {...{group, unsent, name, onEdit, onDelete}} />
        ))}
      </ol>
      {!atEnd && (
        <button type="button" class="newest" onClick={follow}>
          Newest messages
        </button>
      )}
    </div>
  );
}

/** While the user is at the end, what is far above goes again. */
function windowStart(length: number, start: number, atEnd: boolean): number {
  if (length <= start) {
    return Math.max(0, length - page); // the space was emptied
  }
  return atEnd && length - start > 3 * page ? length - page : start;
}

/** Keeps the end in view, or what the user looks at. */
function useScroll(
  messages: readonly ChatMessage[],
  start: number,
  atEnd: boolean,
  name: string,
) {
  const box = useRef<HTMLDivElement>(null);
  const before = useRef({start, height: 0, last: ''});
  const follow = () => box.current?.scrollTo({top: box.current.scrollHeight});
  useLayoutEffect(() => {
    const {current} = box;
    const last = messages.at(-1);
    if (current) {
      const wrote = last?.from === name && last.id !== before.current.last;
      if (atEnd || wrote) {
        follow();
      } else if (start < before.current.start) {
        current.scrollTop += current.scrollHeight - before.current.height;
      }
      before.current = {start, height: current.scrollHeight, last: last?.id ?? ''};
    }
  }, [messages, start]);
  useEffect(() => {
    const watch = new ResizeObserver(() => atEnd && follow());
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, [atEnd]);
  return {box, follow};
}

interface GroupProps extends Omit<Props, 'messages'> {
  readonly group: Group;
}

function GroupItem({group, unsent, name, onEdit, onDelete}: GroupProps) {
  const own = group.from === name;
  return (
    <li class={own ? 'group own' : 'group'}>
      <span class="avatar" style={{'--hue': String(hue(group.from))}} aria-hidden="true">
        {[...group.from][0]?.toUpperCase()}
      </span>
      <h2>{own ? 'You' : group.from}</h2>
      <ol>
        {group.messages.map(message => (
          <MessageItem
            key={message.id}
            {...{message, own, onEdit, onDelete}}
            unsent={unsent.has(message.id)}
          />
        ))}
      </ol>
    </li>
  );
}

/** A colour for a name, the same everywhere. */
function hue(name: string): number {
  let sum = 0;
  for (const letter of name) {
    sum = (sum * 31 + letter.codePointAt(0)!) % 360;
  }
  return sum;
}
