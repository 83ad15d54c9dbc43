import {useEffect, useState} from 'preact/hooks';
import {goToSpace, saveName, savedName, spaceOfPage, type Session} from '../session.js';
import {RoomPage} from './room-page.js';
import {SignIn} from './sign-in.js';

/** The page: the sign-in, or the room that the address names. */
export function App() {
  const [name, setName] = useState(savedName);
  const [space, setSpace] = useState(spaceOfPage);
  useEffect(() => {
    const follow = () => setSpace(spaceOfPage());
    window.addEventListener('popstate', follow);
    return () => window.removeEventListener('popstate', follow);
  }, []);

  const enter = (session: Session) => {
    saveName(session.name);
    goToSpace(session.space);
    setName(session.name);
    setSpace(session.space);
  };
  const leave = () => {
    saveName('');
    setName('');
  };
  if (name === '') {
    return <SignIn space={space} onEnter={enter} />;
  }
  // The key: another room is another page, with nothing left of this one.
  return <RoomPage key={`${space} ${name}`} session={{name, space}} onLeave={leave} />;
}
