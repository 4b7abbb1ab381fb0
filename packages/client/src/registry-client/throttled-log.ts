import type { Time } from '@rollcall/core';

/** A recurring problem is logged again after this time at the earliest. */
const LOG_INTERVAL_MS = 60_000;

/**
 * Throttles log lines about problems: a lasting problem is logged once, a recurring one at most once a minute. Problems are distinguished
 * by their codes, of which there are few; other texts of the same code are not logged again, since the registry may vary them.
 */
export class ThrottledLog {
  readonly #time: Time;
  readonly #loggedAt = new Map<string, number>();
  /** The current problem. */
  #current: string | null = null;
  #isLogged = false;

  constructor(time: Time) {
    this.#time = time;
  }

  /** Reports a problem; calls `log` at once or not. Returns true if the problem differs from the current one. */
  add(code: string, log: () => void): boolean {
    const isNew = code !== this.#current;
    if (isNew) this.#isLogged = false;
    this.#current = code;
    const now = this.#time.now();
    if (this.#isLogged || now - (this.#loggedAt.get(code) ?? -Infinity) < LOG_INTERVAL_MS) return isNew;
    this.#isLogged = true;
    this.#loggedAt.set(code, now);
    log();
    return isNew;
  }

  /** Reports that the problem is over. */
  over(): void {
    this.#current = null;
  }
}
