import {memo} from 'preact/compat';
import {useEffect, useLayoutEffect, useRef, useState} from 'preact/hooks';
import type {ChatMessage} from '../messages.js';
import {fit} from './composer.js';

interface Props {
  readonly message: ChatMessage;
  readonly own: boolean;
  readonly unsent: boolean;
  readonly onEdit: (id: string, content: string) => void;
  readonly onDelete: (message: ChatMessage) => void;
}

/** One message, and what its author can do with it. */
export const MessageItem = memo(({message, own, unsent, onEdit, onDelete}: Props) => {
  const [editing, setEditing] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);
  useEffect(() => {
    if (wasEditing.current && !editing) {
      button.current?.focus(); // where the user came from
    }
    wasEditing.current = editing;
  }, [editing]);
  if (editing) {
    return (
      <li class="message">
        <Editor
          content={message.content}
          onSave={content => {
            setEditing(false);
            if (content !== message.content) {
              onEdit(message.id, content);
            }
          }}
          onCancel={() => setEditing(false)}
        />
      </li>
    );
  }
  return (
    <li class={unsent ? 'message unsent' : 'message'} data-id={message.id}>
      <p class="bubble">{message.content}</p>
      {unsent && <span class="mark">not sent yet</span>}
      {own && (
        <span class="actions">
          <button
            type="button"
            ref={button}
            aria-label={`Edit: ${excerpt(message)}`}
            onClick={() => setEditing(true)}
          >
            Edit
          </button>
          <button
            type="button"
            aria-label={`Delete: ${excerpt(message)}`}
            onClick={() => onDelete(message)}
          >
            Delete
          </button>
        </span>
      )}
    </li>
  );
});

interface EditorProps {
  readonly content: string;
  readonly onSave: (content: string) => void;
  readonly onCancel: () => void;
}

function Editor({content, onSave, onCancel}: EditorProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(content);
  useLayoutEffect(() => fit(field.current), [text]);
  // Before the browser paints: later, it could move the cursor of one who types already.
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(content.length, content.length);
  }, []);
  const save = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== '') {
      onSave(text.trim());
    }
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      onCancel();
    } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      save(event);
    }
  };
  return (
    <form class="editor" onSubmit={save}>
      <textarea
        ref={field}
        rows={1}
        aria-label="Edit the message"
        value={text}
        onInput={event => setText(event.currentTarget.value)}
        onKeyDown={key}
      />
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
      <button class="primary" type="submit">
        Save
      </button>
    </form>
  );
}

const longestExcerpt = 40;

/** Enough of a message to tell its buttons from the others'. */
function excerpt({content}: ChatMessage): string {
  return content.length > longestExcerpt ? `${content.slice(0, longestExcerpt)}…` : content;
}
