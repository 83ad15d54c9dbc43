import type {Cancel, Environment} from './environment.js';

/** What happens to a page. */
export interface PageListener {
  /** The network is back, or somebody looks at the page again. */
  readonly hope: () => void;
  /** The browser says that there is no network. */
  readonly doubt: () => void;
  /** The page is being closed, put into the back/forward cache or frozen. */
  readonly rest: () => void;
  /** The page is in use again after a rest. */
  readonly resume: () => void;
}

/** Listens to what happens to the page, if there is one, until it is cancelled. */
export function watchPage(environment: Environment, listener: PageListener): Cancel {
  const {window, document} = environment;
  const stop = new AbortController();
  const on = (target: EventTarget | undefined, type: string, run: () => void) =>
    target?.addEventListener(type, run, {signal: stop.signal});

  on(window, 'online', listener.hope);
  on(window, 'offline', listener.doubt);
  on(window, 'pagehide', listener.rest);
  on(window, 'pageshow', listener.resume);
  on(document, 'freeze', listener.rest);
  on(document, 'resume', listener.resume);
  on(document, 'visibilitychange', () => {
    if (document?.visibilityState === 'visible') {
      listener.hope();
    }
  });
  return () => stop.abort();
}
