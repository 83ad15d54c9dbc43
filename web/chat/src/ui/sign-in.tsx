import {useState} from 'preact/hooks';
import type {Session} from '../session.js';

/** Names are shown beside every message: they stay short. */
const maxName = 40;
/** A room's name travels in addresses. */
const maxSpace = 100;

/** Asks who is here, and for which room. */
export function SignIn({space, onEnter}: {space: string; onEnter: (session: Session) => void}) {
  const [name, setName] = useState('');
  const [room, setRoom] = useState(space);
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim() !== '') {
      onEnter({name: name.trim(), space: room.trim() || space});
    }
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <Logo />
        <h1>replifire chat</h1>
        <p>Write with others, online or not. What you write offline is sent when you are back.</p>
        <label>
          Your name
          <input
            name="name"
            required
            maxLength={maxName}
            autoComplete="nickname"
            autoFocus
            value={name}
            onInput={event => setName(event.currentTarget.value)}
          />
        </label>
        <label>
          Room
          <input
            name="room"
            required
            maxLength={maxSpace}
            autoComplete="off"
            autoCapitalize="none"
            spellcheck={false}
            value={room}
            onInput={event => setRoom(event.currentTarget.value)}
          />
        </label>
        <button class="primary" type="submit">
          Enter
        </button>
        <p class="hint">This is a development sign-in: any name will do, and nobody checks it.</p>
      </form>
    </main>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path
        class="logo-bubble"
        d="M6 4h20a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H15l-7 6v-6H6a4 4 0 0 1-4-4V8a4 4 0 0 1 4-4z"
      />
      <path
        fill="#fff"
        d="M16 7c1 4 5 5 5 9a5 5 0 0 1-10 0c0-2 1-3 2-4 0 2 1 3 2 3 0-3-1-5 1-8z"
      />
    </svg>
  );
}
