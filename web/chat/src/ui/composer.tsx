import {forwardRef} from 'preact/compat';
import {useEffect, useImperativeHandle, useLayoutEffect, useRef, useState} from 'preact/hooks';
import {remember, remembered, session} from '../storage.js';

interface Props {
  readonly space: string;
  readonly onSend: (content: string) => void;
}

/** What others may do to the composer. */
export interface ComposerHandle {
  /** Puts the cursor into it. */
  focus(): void;
  /** Puts a text into it, after what is there. */
  write(text: string): void;
}

/** Where a message is written. The draft survives a reload, of which Replicache may have need. */
export const Composer = forwardRef<ComposerHandle, Props>(({space, onSend}, ref) => {
  const field = useRef<HTMLTextAreaElement>(null);
  const key = `replifire-chat:draft:${space}`;
  const [text, setText] = useState(() => remembered(session, key) ?? '');
  useEffect(() => remember(session, key, text), [text]);
  useEffect(() => field.current?.focus(), []);
  useLayoutEffect(() => fit(field.current), [text]);
  useImperativeHandle(ref, () => ({
    focus: () => field.current?.focus(),
    write: more => {
      setText(before => [before, more].filter(part => part !== '').join('\n'));
      field.current?.focus();
    },
  }));
  const send = (event: Event) => {
    event.preventDefault();
    const content = text.trim();
    if (content !== '') {
      onSend(content);
      setText('');
    }
    field.current?.focus();
  };
  return (
    <form class="composer" onSubmit={send}>
      <label class="hidden" for="composer">
        Message
      </label>
      <textarea
        id="composer"
        ref={field}
        rows={1}
        placeholder={`Write to ${space}`}
        aria-describedby="composer-keys"
        value={text}
        onInput={event => setText(event.currentTarget.value)}
        onKeyDown={event => sendsMessage(event) && send(event)}
      />
      <span class="hidden" id="composer-keys">
        Enter sends, Shift and Enter begins a new line
      </span>
      <button class="primary" type="submit">
        Send
      </button>
    </form>
  );
});

/** Enter within a word that an input method composes ends the word only. */
function sendsMessage(event: KeyboardEvent): boolean {
  return event.key === 'Enter' && !event.shiftKey && !event.isComposing;
}

/** Makes a field as high as its text; the style sheet limits it. */
export function fit(field: HTMLTextAreaElement | null): void {
  if (field) {
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + 2}px`; // and its border
  }
}
