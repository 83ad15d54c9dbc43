import {useEffect, useState} from 'preact/hooks';

/** Something with a value that changes, and tells when. */
interface Source<T> {
  readonly state: T;
  readonly subscribe: (listener: () => void) => () => void;
}

/** The state of a source, drawn again at each change. */
export function useSource<T>(source: Source<T>): T {
  const [state, setState] = useState(source.state);
  useEffect(() => {
    setState(source.state); // what changed before the effect ran
    return source.subscribe(() => setState(source.state));
  }, [source]);
  return state;
}
