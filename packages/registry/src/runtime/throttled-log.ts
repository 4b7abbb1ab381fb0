import type { Log, Time } from '@rollcall/core';

const INTERVAL_MS = 60_000;

/**
 * Logs a frequent event at most once a minute, with the number of suppressed lines, so that a flood of events does not
 * flood the log.
 */
export class ThrottledLog {
  readonly #ports: { readonly log: Pick<Log, 'warn'>; readonly time: Time };
  #loggedAt = -Infinity;
  #suppressed = 0;

  constructor(ports: { readonly log: Pick<Log, 'warn'>; readonly time: Time }) {
    this.#ports = ports;
  }

  warn(text: string): void {
    const { log, time } = this.#ports;
    const now = time.now();
    if (now - this.#loggedAt < INTERVAL_MS) {
      this.#suppressed += 1;
      return;
    }
    log.warn(this.#suppressed === 0 ? text : `${text} (${this.#suppressed} times more since it was last logged.)`);
    this.#loggedAt = now;
    this.#suppressed = 0;
  }
}
