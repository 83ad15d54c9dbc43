import type {Clock} from './environment.js';
import {Watchdog} from './watchdog.js';

/** How long the tab with the stream may take to answer another, in milliseconds. */
export const answerPatience = 5_000;

/** It speaks at each heartbeat. So much silence is strange. */
const missedHeartbeats = 2.5;

/** What a {@link HolderWatch} does. */
export interface HolderWatchActions {
  /** Asks the holder for an answer. */
  readonly ask: () => void;
  /** The holder gave none. */
  readonly giveUp: () => void;
}

/**
 * Watches, for a tab without the poke stream, whether the tab that holds it is
 * alive. Browsers that suspend a page may leave it its lock, and with it a stream
 * that nobody reads.
 */
export class HolderWatch {
  readonly #clock: Clock;
  readonly #actions: HolderWatchActions;
  readonly #watchdog: Watchdog;
  #askedAt = -Infinity;

  /** `heartbeat` is in milliseconds. */
  constructor(clock: Clock, heartbeat: number, actions: HolderWatchActions) {
    this.#clock = clock;
    this.#actions = actions;
    this.#watchdog = new Watchdog(clock, heartbeat * missedHeartbeats, () => this.#bark());
  }

  /** Begins to watch; or the holder has just spoken. */
  heard(): void {
    this.#askedAt = -Infinity;
    this.#watchdog.heard();
  }

  /** Asks the holder, who has to answer soon. */
  ask(): void {
    this.#askedAt = this.#clock.now();
    this.#actions.ask();
    this.#watchdog.allow(answerPatience);
  }

  /** Watches no more. */
  stop(): void {
    this.#watchdog.stop();
  }

  /**
   * A timer that is much too late tells of this tab's sleep, not of the holder's:
   * an answer may be waiting to be read.
   */
  #bark(): void {
    const waited = this.#clock.now() - this.#askedAt;
    if (waited >= answerPatience && waited < 2 * answerPatience) {
      this.#actions.giveUp();
    } else {
      this.ask();
    }
  }
}
