/**
 * How busy instances are; the `Picker` is chosen independently. One for each balancer; it knows its instances by slot, a small
 * whole number, which goes to another instance later (after `forget`).
 */
export interface Load {
  /** Greater is worse. `inFlight`: the calls under way there, relative to the weight. Changes nothing. */
  cost(slot: number, now: number, inFlight: number): number;
  /** Records the time of one call; a failure counts as a long one. `isAnswer`: it was answered. */
  observe(slot: number, ms: number, now: number, isAnswer: boolean): void;
  /**
   * Resets a slot whose measurements are outdated or belong to another instance. Called before any other use of the
   * slot.
   */
  forget(slot: number): void;
}

/** How slowly a peak is forgotten while answers come, and after a failure, … */
const DECAY_MS = 10_000;
/** … and how slowly once no answer has arrived for a while, because no call went there. */
const IDLE_AFTER_MS = 500;
const IDLE_DECAY_MS = 1_000;
const TYPICAL_AT_FIRST_MS = 30;

/**
 * The typical round trip of the service, over all instances: the stand-in for one that has not been measured. A
 * plain moving average of the last some 20; 30 ms before the first.
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

/** The cells of each slot: the average, when it was true, and how slowly it is forgotten while no answer arrives. */
const CELLS = 3;
const UNMEASURED = -1;

/**
 * Peak EWMA: the moving average of the round trips that jumps up at once and comes down slowly (τ = 10 s), times the
 * calls in flight. An idle instance's average decays towards 0, with τ = 1 s if its last answer was slow, so that one
 * call finds out whether its path has healed: while that call is under way, the average counts as it was, so no second
 * one follows. After a failure τ stays 10 s. From Finagle (`PeakEwma.scala`) and Linkerd
 * (`tower/src/load/peak_ewma.rs`); there an unmeasured instance costs a fixed guess, here half of what is typical of
 * the service, so that it is tried soon and does not attract all callers.
 */
export class PeakEwma implements Load {
  readonly #typical: TypicalLatency;
  /** Side by side, as on the board, and for the same reason. */
  #cells = new Float64Array(32);

  constructor(typical: TypicalLatency) {
    this.#typical = typical;
  }

  cost(slot: number, now: number, inFlight: number): number {
    const ewmaMs = this.#cells[CELLS * slot] ?? UNMEASURED;
    if (ewmaMs === UNMEASURED) return (this.#typical.ms / 2) * (inFlight + 1);
    const idleDecayMs = inFlight > 0 ? DECAY_MS : (this.#cells[CELLS * slot + 2] ?? DECAY_MS);
    return ewmaMs * weightAfter(now - (this.#cells[CELLS * slot + 1] ?? 0), idleDecayMs) * (inFlight + 1);
  }

  observe(slot: number, ms: number, now: number, isAnswer: boolean): void {
    const at = CELLS * slot;
    const ewmaMs = this.#cells[at] ?? UNMEASURED;
    const weight = weightAfter(now - (this.#cells[at + 1] ?? 0), this.#cells[at + 2] ?? DECAY_MS);
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

/** The part of an average that is left after this time without an answer. */
function weightAfter(agoMs: number, idleDecayMs: number): number {
  const idleMs = Math.max(0, agoMs - IDLE_AFTER_MS);
  return Math.exp(-(agoMs - idleMs) / DECAY_MS - idleMs / idleDecayMs);
}

/**
 * The calls in flight and nothing else: for pickers that ignore load, and for services whose latencies are known to be
 * equal.
 */
export class InFlight implements Load {
  cost(_slot: number, _now: number, inFlight: number): number {
    return inFlight;
  }

  observe(): void {}

  forget(): void {}
}
