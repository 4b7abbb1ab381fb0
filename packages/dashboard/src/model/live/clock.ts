import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';

/** The `Date` header has whole seconds: smaller differences are ignored. */
const TOLERANCE_MS = 2_000;
const TICK_MS = 1_000;

/** The registry's wall clock as estimated by this browser, advanced once a second; countdowns read it. */
export class Clock {
  readonly #now = signal(Date.now());
  #offsetMs = 0;

  get now(): ReadonlySignal<number> {
    return this.#now;
  }

  /** The registry's wall clock when this browser's was at `wall`. */
  at(wall: number): number {
    return wall + this.#offsetMs;
  }

  /** Reads the `Date` header of an answer; an unreadable one is ignored. */
  adjust(date: string | null): void {
    const at = date === null ? Number.NaN : Date.parse(date);
    if (Number.isNaN(at)) return;
    const differsBy = at + 500 - Date.now();
    this.#offsetMs = Math.abs(differsBy) < TOLERANCE_MS ? 0 : differsBy;
  }

  start(): void {
    window.setInterval(() => (this.#now.value = this.at(Date.now())), TICK_MS);
  }
}
