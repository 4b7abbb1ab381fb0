import { OPEN } from './gate.js';
import type { Gate, GateListener } from './gate.js';

/** The early limit needs at least this many unanswered calls. */
const UNANSWERED = 3;
/** A silence longer than this multiple of the instance's own p99 is not due to chance. */
const P99_MULTIPLE = 5;
const MIN_SILENCE_MS = 100;
const LIMITED: Gate = 1;

/** True if enough calls are unanswered for the duration of the silence to matter. This is the cheap part of `earlyLimit`. */
export function isSilence(unanswered: number): boolean {
  return unanswered >= UNANSWERED;
}

/**
 * The early limit: an instance that stopped answering must not collect the calls of a whole attempt timeout. If it has 3 calls or more
 * under way, none answered for 5 × its p99 (at least 100 ms), while another instance answers and can take its calls, it gets one call at a
 * time until it answers.
 *
 * `unanswered`: calls begun since its last answer; `silentMs`: the time since the first of them; `p99Ms`: its own p99, null if unknown.
 */
export function earlyLimit(unanswered: number, silentMs: number, p99Ms: number | null, hasAlternative: boolean): Gate {
  if (!isSilence(unanswered) || !hasAlternative) return OPEN;
  return silentMs > Math.max(MIN_SILENCE_MS, P99_MULTIPLE * (p99Ms ?? 0)) ? LIMITED : OPEN;
}

/** The number of calls that one instance may have under way. */
export interface LimitTerms {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

export const DEFAULT_LIMIT: LimitTerms = { initial: 20, min: 2, max: 100_000 };

const DECREASE = 0.9;
/** After a sign of overload, the limit counts as measured for this long, ms. Before and after, it is an estimate. */
const PROVEN_MS = 1_000;

/**
 * The number of calls that an instance can take at once, learned from the outcomes of calls: AIMD, as in Netflix's concurrency-limits
 * (`AIMDLimit`). Each success while at least half of the limit is in use adds 1 ÷ limit: one more for each round trip. A timeout or an
 * answer that reports overload lowers it by a tenth, at most once per round trip: requests sent before the last decrease do not count.
 *
 * One second after the last sign of overload the limit is only an estimate again: each success adds 1, so that it doubles with each round
 * trip (TCP's slow start), and `raise` increases it at once if every instance is full. A limit never refuses a call: a call without room
 * waits (`pending-queue.ts`).
 */
export class AdaptiveLimit {
  listener: GateListener | null = null;
  readonly #terms: LimitTerms;
  #limit: number;
  /** Calls allowed beyond the limit while it is an estimate. */
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

  /** Records that the instance answered one of `inFlight` calls. */
  succeeded(inFlight: number, now: number): void {
    if (2 * inFlight < Math.floor(this.#limit) || this.#limit >= this.#terms.max) return;
    const isRecovering = this.#decreasedAt !== -Infinity && now >= this.#decreasedAt + PROVEN_MS;
    this.#set(Math.min(this.#terms.max, this.#limit + (isRecovering ? 1 : 1 / this.#limit)));
  }

  /**
   * Records a sign of overload: a timeout, or an answer that reports it. `sentAt`: when the call was sent; `inFlight`: calls under way at
   * the instance, this one included.
   */
  overloaded(sentAt: number, now: number, inFlight: number): void {
    if (sentAt < this.#decreasedAt) return;
    this.#decreasedAt = now;
    // a limit far above the calls under way would have to shrink many times before it has any effect
    const used = Math.max(this.#limit / 2, Math.min(this.#limit, inFlight));
    this.#room = 0;
    this.#set(Math.max(this.#terms.min, used * DECREASE));
  }

  /** True if the limit may rise: not within a second of a sign of overload, and not beyond its maximum. */
  mayRaise(now: number): boolean {
    return now >= this.#decreasedAt + PROVEN_MS && this.#gate < this.#terms.max;
  }

  /** Called when all other instances are full. Doubles an estimated limit; returns true if there is more room now. */
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
