import {useMemo, useState} from 'preact/hooks';

/** Something the user is told. */
export interface Notice {
  readonly text: string;
  /** Words that it is about. */
  readonly quote?: string;
  /** What the user can do about it. */
  readonly action?: {readonly label: string; readonly run: () => void};
  /** Whether it goes by itself. */
  readonly brief?: boolean;
}

/** The notices that are shown. */
export interface Notices {
  readonly list: readonly (Notice & {readonly key: number})[];
  readonly add: (notice: Notice) => void;
  readonly remove: (key: number) => void;
}

/** How long a brief notice stays, in milliseconds: enough to reach its button. */
const briefly = 10_000;
/** How many notices fit; the oldest go. */
const most = 4;
const longestQuote = 80;

let keys = 0;

/** A board for notices, empty at first. */
export function useNotices(): Notices {
  const [list, setList] = useState<Notices['list']>([]);
  const actions = useMemo(() => {
    const remove = (key: number) => setList(list => list.filter(notice => notice.key !== key));
    const add = (notice: Notice) => {
      const key = keys++;
      setList(list => [...list, {...notice, key}].slice(-most));
      if (notice.brief) {
        setTimeout(() => remove(key), briefly);
      }
    };
    return {add, remove};
  }, []);
  return {list, ...actions};
}

/** Shows a board's notices. Screen readers say each one. */
export function Notices({board}: {board: Notices}) {
  return (
    <div class="notices" role="alert">
      {board.list.map(({key, text, quote, action}) => (
        <div class="notice" key={key}>
          <p>
            {text}
            {quote !== undefined && <q>{shorten(quote)}</q>}
          </p>
          {action && (
            <button
              type="button"
              onClick={() => {
                action.run();
                board.remove(key);
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="dismiss" onClick={() => board.remove(key)}>
            <span class="hidden">Dismiss</span>
            <span aria-hidden="true">×</span>
          </button>
        </div>
      ))}
    </div>
  );
}

function shorten(text: string): string {
  return text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text;
}
