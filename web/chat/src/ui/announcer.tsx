import {useEffect, useRef, useState} from 'preact/hooks';
import type {ChatMessage} from '../messages.js';

interface Props {
  readonly messages: readonly ChatMessage[] | undefined;
  readonly name: string;
}

/** Beyond this many at once, their number is said only. */
const most = 3;

/**
 * Says new messages of others to users of screen readers. The list itself is not
 * a live region: it changes for other reasons too, such as older messages that
 * are shown.
 */
export function Announcer({messages, name}: Props) {
  const known = useRef<ReadonlySet<string>>(undefined);
  const [text, setText] = useState('');
  useEffect(() => {
    if (!messages) {
      return;
    }
    const before = known.current;
    known.current = new Set(messages.map(({id}) => id));
    const fresh = before ? messages.filter(({id, from}) => from !== name && !before.has(id)) : [];
    if (fresh.length > 0) {
      setText(say(fresh));
    }
  }, [messages]);
  return (
    <div class="hidden" aria-live="polite" data-testid="announcer">
      {text}
    </div>
  );
}

function say(fresh: readonly ChatMessage[]): string {
  return fresh.length > most
    ? `${fresh.length} new messages`
    : fresh.map(({from, content}) => `${from}: ${content}`).join('. ');
}
