import type { Log, Time } from '@rollcall/core';

const QUIET_MS = 60_000;

/** Tells the log of what happens often at most once a minute, and how often it did: a flood does not become one of the log. */
export class ThrottledLog {
  readonly #ports: { readonly log: Log; readonly time: Time };
  #toldAt = -Infinity;
  #untold = 0;

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#ports = ports;
  }

  warn(text: string): void {
    const { log, time } = this.#ports;
    const now = time.now();
    if (now - this.#toldAt < QUIET_MS) {
      this.#untold += 1;
      return;
    }
    log.warn(this.#untold === 0 ? text : `${text} (${this.#untold} times more since it was last said.)`);
    this.#toldAt = now;
    this.#untold = 0;
  }
}
