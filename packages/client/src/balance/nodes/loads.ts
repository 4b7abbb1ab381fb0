/**
 * Measures how busy instances are; it can be combined with any `Picker`. Each balancer has its own. An instance is identified by its slot,
 * a small integer, which another instance may get later (after `forget`).
 */
export interface Load {
  /** Returns the load; greater is worse. `inFlight` is the number of calls in flight, relative to the weight. It changes no state. */
  cost(slot: number, now: number, inFlight: number): number;
  /** Records the duration of one call; a failure counts as a long one. `isAnswer` is true if the instance answered. */
  observe(slot: number, ms: number, now: number, isAnswer: boolean): void;
  /**
   * Resets a slot whose measurements are outdated or belong to another instance. Called before any other use of the
   * slot.
   */
  forget(slot: number): void;
}

/** The decay time while answers arrive, and after a failure. */
const DECAY_MS = 10_000;
/** After this time without an answer, because no call was sent, the average decays faster. */
const IDLE_AFTER_MS = 500;
const IDLE_DECAY_MS = 1_000;
const INITIAL_TYPICAL_MS = 30;

/**
 * The typical round trip of the service, over all instances: the initial value for an instance without measurements. An exponential moving
 * average of about the last 20 samples; 30 ms before the first.
 */
export class TypicalLatency {
  #ms: number | null = null;

  get ms(): number {
    return this.#ms ?? INITIAL_TYPICAL_MS;
  }

  observe(ms: number): void {
    this.#ms = this.#ms === null ? ms : this.#ms + (ms - this.#ms) / 20;
  }
}

/** The cells of each slot: the average, its time, and its decay time while no answer arrives. */
const CELLS = 3;
const UNMEASURED = -1;

/**
 * Peak EWMA: a moving average of the round trips that rises at once and decays slowly (τ = 10 s), times the calls in flight. An idle
 * instance's average decays towards 0, with τ = 1 s if its last answer was slow, so that one call finds out whether the instance is fast
 * again: during that call the average does not decay, so no second call follows. After a failure τ stays 10 s. The algorithm is that of
 * Finagle (`PeakEwma.scala`) and Linkerd (`tower/src/load/peak_ewma.rs`); they give an instance without measurements a fixed cost; here it
 * costs half of the typical latency of the service, so that it is tried soon but does not attract all callers.
 */
export class PeakEwma implements Load {
  readonly #typical: TypicalLatency;
  /** All cells in one array, as in `NodeTable`, so that a pick causes few cache misses. */
  #cells = new Float64Array(32);

  constructor(typical: TypicalLatency) {
    this.#typical = typical;
  }

  cost(slot: number, now: number, inFlight: number): number {
    const ewmaMs = this.#cells[CELLS * slot] ?? UNMEASURED;
    if (ewmaMs === UNMEASURED) return (this.#typical.ms / 2) * (inFlight + 1);
    const idleDecayMs = inFlight > 0 ? DECAY_MS : (this.#cells[CELLS * slot + 2] ?? DECAY_MS);
    return ewmaMs * remainingWeight(now - (this.#cells[CELLS * slot + 1] ?? 0), idleDecayMs) * (inFlight + 1);
  }

  observe(slot: number, ms: number, now: number, isAnswer: boolean): void {
    const at = CELLS * slot;
    const ewmaMs = this.#cells[at] ?? UNMEASURED;
    const weight = remainingWeight(now - (this.#cells[at + 1] ?? 0), this.#cells[at + 2] ?? DECAY_MS);
    const decayed = ewmaMs * weight;
    this.#cells[at] = ewmaMs === UNMEASURED || ms > decayed ? ms : decayed + ms * (1 - weight);
    this.#cells[at + 1] = now;
    this.#cells[at + 2] = isAnswer ? IDLE_DECAY_MS : DECAY_MS;
  }

  forget(slot: number): void {
    if (CELLS * slot >= this.#cells.length) {
      const cells = new Float64Array(2 * CELLS * slot);
      cells.set(this.#cells);
      this.#cells = cells;
    }
    this.#cells[CELLS * slot] = UNMEASURED;
  }
}

/** The remaining weight of an average after this time without an answer. */
function remainingWeight(agoMs: number, idleDecayMs: number): number {
  const idleMs = Math.max(0, agoMs - IDLE_AFTER_MS);
  return Math.exp(-(agoMs - idleMs) / DECAY_MS - idleMs / idleDecayMs);
}

/** Counts only the calls in flight: for pickers that ignore load, and for services whose latencies are known to be equal. */
export class InFlight implements Load {
  cost(_slot: number, _now: number, inFlight: number): number {
    return inFlight;
  }

  observe(): void {}

  forget(): void {}
}
