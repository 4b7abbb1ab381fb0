import { OPEN } from './gate.js';
import type { Gate, GateListener } from './gate.js';

/** Calls without an answer from which on the early limit is considered. */
const UNANSWERED = 3;
/** Silence for this multiple of the instance's own p99 is not chance any more. */
const P99_MULTIPLE = 5;
const MIN_SILENCE_MS = 100;
const LIMITED: Gate = 1;

/** True if enough calls are without an answer for their time to matter. The cheap half of `earlyLimit`. */
export function isSilence(unanswered: number): boolean {
  return unanswered >= UNANSWERED;
}

/**
 * The early limit: an instance that stopped answering must not collect the calls of a whole attempt timeout. With 3
 * calls begun and none answered for 5 × its p99 (at least 100 ms), while another one answers that can take its calls,
 * it gets one at a time until it answers.
 *
 * `unanswered`: calls begun since its last answer; `silentMs`: since the first of them; `p99Ms`: its own, null when not
 * known.
 */
export function earlyLimit(unanswered: number, silentMs: number, p99Ms: number | null, hasAlternative: boolean): Gate {
  if (!isSilence(unanswered) || !hasAlternative) return OPEN;
  return silentMs > Math.max(MIN_SILENCE_MS, P99_MULTIPLE * (p99Ms ?? 0)) ? LIMITED : OPEN;
}

/** Calls that one instance gets at once. */
export interface LimitTerms {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

export const DEFAULT_LIMIT: LimitTerms = { initial: 20, min: 2, max: 100_000 };

const DECREASE = 0.9;
/**
 * A limit that was cut describes the instance for this long after the last sign of overload, ms. Before and after, it
 * is a guess.
 */
const PROVEN_MS = 1_000;

/**
 * How many calls an instance can take at once, learned from what comes of them: AIMD, as Netflix's concurrency-limits
 * (`AIMDLimit`). Each success while at least half of the limit is in use adds 1 ÷ limit: one more for each round trip.
 * A timeout or an answer that it is overloaded takes a tenth, once a round trip at most: requests sent before the last
 * decrease do not count.
 *
 * One second after the last sign of overload the limit is only a guess again: each success adds 1, so that it doubles
 * with each round trip (TCP's slow start), and `raise` makes room at once where every instance is full. A limit never
 * refuses a call: what finds no room waits (`pending-queue.ts`).
 */
export class AdaptiveLimit {
  listener: GateListener | null = null;
  readonly #terms: LimitTerms;
  #limit: number;
  /** Beyond the limit, while that is a guess. */
  #room = 0;
  #decreasedAt = -Infinity;
  #gate: Gate;

  constructor(terms: LimitTerms) {
    this.#terms = terms;
    this.#limit = terms.initial;
    this.#gate = Math.floor(terms.initial);
  }

  get gate(): Gate {
    return this.#gate;
  }

  /** It answered one of `inFlight` calls. */
  succeeded(inFlight: number, now: number): void {
    if (2 * inFlight < Math.floor(this.#limit) || this.#limit >= this.#terms.max) return;
    const isRecovering = this.#decreasedAt !== -Infinity && now >= this.#decreasedAt + PROVEN_MS;
    this.#set(Math.min(this.#terms.max, this.#limit + (isRecovering ? 1 : 1 / this.#limit)));
  }

  /**
   * It was too much: a timeout, or its own word. `sentAt`: of the call; `inFlight`: calls under way there, itself
   * included.
   */
  overloaded(sentAt: number, now: number, inFlight: number): void {
    if (sentAt < this.#decreasedAt) return;
    this.#decreasedAt = now;
    // a limit far above what is under way would have to be cut many times before it holds anything back
    const used = Math.max(this.#limit / 2, Math.min(this.#limit, inFlight));
    this.#room = 0;
    this.#set(Math.max(this.#terms.min, used * DECREASE));
  }

  /** True if it may rise: not soon after a sign of overload, nor beyond its maximum. */
  mayRaise(now: number): boolean {
    return now >= this.#decreasedAt + PROVEN_MS && this.#gate < this.#terms.max;
  }

  /** All others are full, too. Doubles what is only a guess; returns whether there is more room now. */
  raise(now: number): boolean {
    if (!this.mayRaise(now)) return false;
    this.#room = Math.min(this.#terms.max, 2 * this.#gate);
    this.#set(this.#limit);
    return true;
  }

  #set(limit: number): void {
    this.#limit = limit;
    const gate = Math.floor(Math.max(limit, this.#room));
    if (gate === this.#gate) return;
    this.#gate = gate;
    this.listener?.gateChanged();
  }
}
