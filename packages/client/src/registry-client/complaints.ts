import type { Time } from '@rollcall/core';

/** The same trouble, gone and back, is not told sooner. */
const AGAIN_MS = 60_000;

/**
 * What people have been told of: a lasting trouble is told once, and one that comes and goes at most once a minute. Troubles are told
 * apart by their codes, of which there are few: other words for the same are no news, for they may be of the registry's making.
 */
export class ThrottledLog {
  readonly #time: Time;
  readonly #toldAt = new Map<string, number>();
  /** The trouble that lasts. */
  #current: string | null = null;
  #isTold = false;

  constructor(time: Time) {
    this.#time = time;
  }

  /** Is it another trouble than before? `tell` is called at once, or not. */
  add(code: string, tell: () => void): boolean {
    const isNews = code !== this.#current;
    if (isNews) this.#isTold = false;
    this.#current = code;
    const now = this.#time.now();
    if (this.#isTold || now - (this.#toldAt.get(code) ?? -Infinity) < AGAIN_MS) return isNews;
    this.#isTold = true;
    this.#toldAt.set(code, now);
    tell();
    return isNews;
  }

  /** All is well. */
  over(): void {
    this.#current = null;
  }
}
