import { OPEN } from './gate.js';
import type { Gate } from './gate.js';

/** So many calls without an answer make one think. */
const UNANSWERED = 3;
/** Silence for this multiple of the instance's own p99 is no longer chance. */
const P99_MULTIPLE = 5;
const MIN_SILENCE_MS = 100;
const LIMITED: Gate = 1;

/**
 * The early limit: an instance that stopped answering must not collect the calls of a whole attempt timeout. With 3 calls begun and
 * none answered for 5 × its p99 (at least 100 ms), while other instances answer, it gets one call at a time until it answers.
 */
export class EarlyLimit {
  /** Calls begun since the last answer. */
  #unanswered = 0;
  #since = 0;

  begin(now: number): void {
    if (this.#unanswered === 0) this.#since = now;
    this.#unanswered += 1;
  }

  answered(): void {
    this.#unanswered = 0;
  }

  /** Are so many calls without an answer that the time matters? The cheap half of `gate`. */
  get isWaiting(): boolean {
    return this.#unanswered >= UNANSWERED;
  }

  /** `p99Ms`: null when not known. `lastAnswerAt`: the last answer of any instance of the service. */
  gate(now: number, p99Ms: number | null, lastAnswerAt: number): Gate {
    if (this.#unanswered < UNANSWERED || lastAnswerAt <= this.#since) return OPEN;
    const patienceMs = Math.max(MIN_SILENCE_MS, P99_MULTIPLE * (p99Ms ?? 0));
    return now - this.#since > patienceMs ? LIMITED : OPEN;
  }
}
