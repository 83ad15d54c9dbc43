import {local, remember, remembered} from './storage.js';

const key = 'replifire-chat:offline';

/**
 * The switch "go offline" of this browser: shared by its tabs, since one tab would
 * send what another one has pending, and kept over a reload.
 */
export class OfflineSwitch {
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #on = remembered(local, key) === 'yes';

  constructor() {
    const listen = (event: StorageEvent) => {
      if (event.key === key) {
        this.#take(event.newValue === 'yes');
      }
    };
    window.addEventListener('storage', listen, {signal: this.#stop.signal});
  }

  /** Whether nothing may be sent. */
  get on(): boolean {
    return this.#on;
  }

  /** Turns it, in all tabs. */
  set(on: boolean): void {
    remember(local, key, on ? 'yes' : '');
    this.#take(on);
  }

  /** Calls the listener at each turn, until it is cancelled. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hears of no other tab any more. */
  close(): void {
    this.#stop.abort();
    this.#listeners.clear();
  }

  #take(on: boolean): void {
    if (on !== this.#on) {
      this.#on = on;
      this.#listeners.forEach(listener => listener());
    }
  }
}
