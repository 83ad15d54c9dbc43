import type {Status} from '@replifire/client';
import {useEffect, useState} from 'preact/hooks';
import type {RoomState} from '../room.js';
import type {Session} from '../session.js';
import type {OfflineSwitch} from '../switch.js';

interface Props {
  readonly session: Session;
  readonly state: RoomState;
  readonly offline: OfflineSwitch;
  readonly onLeave: () => void;
}

/** Which room this is, and how it stands with it. */
export function Header({session, state, offline, onLeave}: Props) {
  const {messages, pending, version, status} = state;
  return (
    <header>
      <div class="place">
        <h1>{session.space}</h1>
        <span class="who">
          as {session.name}{' '}
          <button type="button" class="quiet" onClick={onLeave}>
            Leave
          </button>
        </span>
      </div>
      <div class="sync">
        <StatusPill status={status} />
        <dl>
          <div class="amount total">
            <dt>messages</dt>
            <dd data-fact="messages">{messages?.length.toLocaleString('en') ?? '–'}</dd>
          </div>
          <div class={pending > 0 ? 'amount waiting' : 'amount'}>
            <dt>pending</dt>
            <dd data-fact="pending">{pending}</dd>
          </div>
          <div>
            <dt>version</dt>
            <dd data-fact="version">{version ?? '–'}</dd>
          </div>
        </dl>
        <Switch offline={offline} />
      </div>
    </header>
  );
}

const words: Readonly<Record<Status, string>> = {
  connecting: 'Connecting',
  live: 'Live',
  offline: 'Offline',
  unauthorised: 'Not allowed',
};

function StatusPill({status}: {status: Status}) {
  return (
    <span class={`status ${status}`} role="status" aria-label="Connection">
      {words[status]}
    </span>
  );
}

function Switch({offline}: {offline: OfflineSwitch}) {
  const [on, setOn] = useState(offline.on);
  useEffect(() => offline.subscribe(() => setOn(offline.on)), [offline]);
  return (
    <button
      type="button"
      class="switch"
      role="switch"
      aria-checked={on}
      onClick={() => offline.set(!on)}
    >
      <span class="track" aria-hidden="true" />
      Go offline
    </button>
  );
}
