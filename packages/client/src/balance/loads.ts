import type { Load } from './node.js';

/** How slowly a peak is forgotten. */
const DECAY_MS = 10_000;
const TYPICAL_AT_FIRST_MS = 30;

/**
 * What a round trip of the service takes, all instances together: the stand-in for one that has not been measured. A plain moving
 * average of the last some 20; 30 ms before the first.
 */
export class TypicalLatency {
  #ms: number | null = null;

  get ms(): number {
    return this.#ms ?? TYPICAL_AT_FIRST_MS;
  }

  observe(ms: number): void {
    this.#ms = this.#ms === null ? ms : this.#ms + (ms - this.#ms) / 20;
  }
}

/**
 * Peak EWMA: the moving average of the round trips that jumps up at once and comes down slowly (τ = 10 s), times the calls in
 * flight. An idle instance's average decays towards 0, so that it is tried again. From Finagle (`PeakEwma.scala`) and
 * Linkerd (`tower/src/load/peak_ewma.rs`); there an unmeasured instance costs a fixed guess, here half of what is typical of the
 * service, so that it is tried soon and does not draw everybody.
 */
export class PeakEwma implements Load {
  readonly #typical: TypicalLatency;
  #ewmaMs = 0;
  #at = 0;
  #isMeasured = false;

  constructor(typical: TypicalLatency) {
    this.#typical = typical;
  }

  cost(now: number, inFlight: number): number {
    const ms = this.#isMeasured ? this.#ewmaMs * Math.exp((this.#at - now) / DECAY_MS) : this.#typical.ms / 2;
    return ms * (inFlight + 1);
  }

  observe(ms: number, now: number): void {
    const weight = Math.exp((this.#at - now) / DECAY_MS);
    const decayed = this.#ewmaMs * weight;
    this.#ewmaMs = !this.#isMeasured || ms > decayed ? ms : decayed + ms * (1 - weight);
    this.#at = now;
    this.#isMeasured = true;
  }

  forget(): void {
    this.#isMeasured = false;
  }
}

/** The calls in flight and nothing else: for round robin, which looks at no load, and whoever knows its latencies to be equal. */
export class InFlight implements Load {
  cost(_now: number, inFlight: number): number {
    return inFlight;
  }

  observe(): void {}

  forget(): void {}
}
