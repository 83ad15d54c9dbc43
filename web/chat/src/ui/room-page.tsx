import {useCallback, useEffect, useRef, useState} from 'preact/hooks';
import type {ChatMessage} from '../messages.js';
import {Room, type Refused} from '../room.js';
import type {Session} from '../session.js';
import {OfflineSwitch} from '../switch.js';
import {Announcer} from './announcer.js';
import {Composer, type ComposerHandle} from './composer.js';
import {Header} from './header.js';
import {useSource} from './hooks.js';
import {MessageList} from './message-list.js';
import {Notices, useNotices, type Notices as NoticeBoard} from './notices.js';

interface Props {
  readonly session: Session;
  readonly onLeave: () => void;
}

/** A room with all there is to it. It is opened when it is shown, and closed after. */
export function RoomPage({session, onLeave}: Props) {
  const composer = useRef<ComposerHandle>(null);
  const notices = useNotices();
  const opened = useRoom(session, refused => tell(notices, composer.current, refused));
  useEffect(() => {
    document.title = `${session.space} · replifire chat`;
  }, [session.space]);
  if (!opened) {
    return null;
  }
  return (
    <OpenRoom {...opened} composer={composer} notices={notices} onLeave={onLeave} />
  );
}

interface Opened {
  readonly room: Room;
  readonly offline: OfflineSwitch;
}

interface OpenProps extends Opened {
  readonly composer: {current: ComposerHandle | null};
  readonly notices: NoticeBoard;
  readonly onLeave: () => void;
}

function OpenRoom({room, offline, composer, notices, onLeave}: OpenProps) {
  const state = useSource(room);
  const {name, space} = room.session;
  const remove = useCallback(
    (message: ChatMessage) => {
      void room.delete(message.id);
      notices.add({
        text: 'Message deleted.',
        brief: true,
        action: {label: 'Undo', run: () => void room.restore(message)},
      });
      composer.current?.focus();
    },
    [room],
  );
  const edit = useCallback((id: string, content: string) => void room.edit(id, content), [room]);
  return (
    <div class="room">
      <a class="skip" href="#composer">
        Skip to the message field
      </a>
      <Header session={room.session} state={state} offline={offline} onLeave={onLeave} />
      <Notices board={notices} />
      <main>
        <MessageList
          messages={state.messages}
          unsent={state.unsent}
          name={name}
          onEdit={edit}
          onDelete={remove}
        />
        <Composer ref={composer} space={space} onSend={content => void room.send(content)} />
      </main>
      <Announcer messages={state.messages} name={name} />
    </div>
  );
}

/** Opens a room after the first drawing, and closes it at the end. */
function useRoom(session: Session, onRefused: (refused: Refused) => void): Opened | undefined {
  const [opened, setOpened] = useState<Opened>();
  useEffect(() => {
    const offline = new OfflineSwitch();
    const room = new Room(session, offline, onRefused);
    setOpened({room, offline});
    return () => {
      offline.close();
      void room.close();
    };
  }, []);
  return opened;
}

const what: Readonly<Record<string, string>> = {
  createMessage: 'Your message was refused',
  updateMessage: 'Your change was refused',
  deleteMessage: 'Your deletion was refused',
};

/** A refusal takes the user's words away: the notice offers them again. */
function tell(notices: NoticeBoard, composer: ComposerHandle | null, refused: Refused): void {
  const {mutator, reason, content} = refused;
  const text = `${what[mutator] ?? `${mutator} was refused`}: ${reason}.`;
  const action = {label: 'Take the text back', run: () => composer?.write(content)};
  notices.add(content === '' ? {text} : {text, quote: content, action});
}
