import type { Random } from '@rollcall/core';
import { OPEN, SHUT } from './gate.js';
import type { Gate } from './gate.js';
import type { TripRule } from './trip-rules.js';

/** Who could not be connected to so often in a row is shut. */
const ABSENT_IN_A_ROW = 5;
/** Successes in a row that let an ejected instance back in. */
const SUCCESSES_TO_CLOSE = 2;
const EJECTION_BASE_MS = 1_000;
const EJECTION_CAP_MS = 30_000;
/** ± this share, so that the probes of many callers do not come together. */
const EJECTION_JITTER = 0.2;
/** Each such span without an ejection makes the next one a step shorter. */
const FORGIVEN_AFTER_MS = 10_000;

/** `errors`: it answers wrongly or not in time. `absent`: nobody can be connected to. */
export type EjectionCause = 'errors' | 'absent';

type Standing =
  | { readonly kind: 'closed' }
  | {
      readonly kind: 'ejected';
      readonly cause: EjectionCause;
      /** Until then it is left alone; after, it is half-open: one probe at a time. */
      until: number;
      successes: number;
      isProbed: boolean;
    };

const CLOSED: Standing = { kind: 'closed' };

/**
 * One instance's circuit breaker. It decides nothing about the fleet: whether an ejection for errors is allowed (the share, never the
 * last one) it asks. Who is ejected for errors stays a last resort, who cannot be connected to is shut.
 */
export class Breaker {
  readonly #rules: readonly TripRule[];
  readonly #random: Random;
  #standing: Standing = CLOSED;
  #absentInARow = 0;
  #ejections = 0;
  #closedAt = -Infinity;

  constructor(rules: readonly TripRule[], random: Random) {
    this.#rules = rules;
    this.#random = random;
  }

  /** Why it is ejected; null when it is not. */
  get cause(): EjectionCause | null {
    return this.#standing.kind === 'ejected' ? this.#standing.cause : null;
  }

  /** When the next probe may start: Infinity while one is under way or when none is needed. */
  get probeAt(): number {
    return this.#standing.kind === 'ejected' && !this.#standing.isProbed ? this.#standing.until : Infinity;
  }

  /** For ordinary calls; a probe passes a shut gate. */
  get gate(): Gate {
    return this.#standing.kind === 'ejected' && this.#standing.cause === 'absent' ? SHUT : OPEN;
  }

  /** For people. */
  stateAt(now: number): 'closed' | 'open' | 'half-open' {
    if (this.#standing.kind === 'closed') return 'closed';
    return now >= this.#standing.until ? 'half-open' : 'open';
  }

  /** Takes the right to the one probe. */
  beginProbe(): void {
    if (this.#standing.kind === 'ejected') this.#standing.isProbed = true;
  }

  /** Gives it back without a result: the probe was cancelled, or said nothing. */
  endProbe(): void {
    if (this.#standing.kind === 'ejected') this.#standing.isProbed = false;
  }

  /** Something else says that it lives: probe it now. It is not closed by that: a heartbeat proves life, not the method. */
  hint(now: number): void {
    if (this.#standing.kind === 'ejected') this.#standing.until = Math.min(this.#standing.until, now);
  }

  /** Returns whether it has just been closed. */
  success(now: number): boolean {
    this.#absentInARow = 0;
    const standing = this.#standing;
    if (standing.kind === 'closed') {
      for (const rule of this.#rules) rule.success(now);
      return false;
    }
    standing.isProbed = false;
    standing.until = Math.min(standing.until, now);
    standing.successes += 1;
    if (standing.successes < SUCCESSES_TO_CLOSE) return false;
    this.#standing = CLOSED;
    this.#closedAt = now;
    for (const rule of this.#rules) rule.reset();
    return true;
  }

  /** `mayEject` is asked only when a rule trips. Returns whether it has just been ejected, or is ejected for another cause. */
  failure(now: number, mayEject: () => boolean): boolean {
    this.#absentInARow = 0;
    if (this.#standing.kind === 'ejected') return this.#failAgain(this.#standing, 'errors', now);
    return this.#trips(now) && mayEject() && this.#eject('errors', now);
  }

  /** Nobody could be connected to: no share protects it, since calling it cannot help anybody. Returns as `failure` does. */
  absence(now: number, mayEject: () => boolean): boolean {
    this.#absentInARow += 1;
    const isGone = this.#absentInARow >= ABSENT_IN_A_ROW;
    if (this.#standing.kind === 'ejected') return this.#failAgain(this.#standing, isGone ? 'absent' : 'errors', now);
    const trips = this.#trips(now);
    if (isGone) return this.#eject('absent', now);
    return trips && mayEject() && this.#eject('errors', now);
  }

  #trips(now: number): boolean {
    let trips = false;
    for (const rule of this.#rules) trips = rule.failure(now) || trips;
    return trips;
  }

  #failAgain(standing: Extract<Standing, { kind: 'ejected' }>, cause: EjectionCause, now: number): boolean {
    // one that is shut stays so until something got through
    const worse = standing.cause === 'absent' ? 'absent' : cause;
    if (now >= standing.until || worse !== standing.cause) {
      this.#eject(worse, now);
      return worse !== standing.cause;
    }
    standing.successes = 0;
    standing.isProbed = false;
    return false;
  }

  #eject(cause: EjectionCause, now: number): boolean {
    if (this.#standing.kind === 'closed') {
      const forgiven = Math.floor((now - this.#closedAt) / FORGIVEN_AFTER_MS);
      this.#ejections = Math.max(0, this.#ejections - forgiven);
    }
    const ms = Math.min(EJECTION_CAP_MS, EJECTION_BASE_MS * 2 ** this.#ejections);
    const jitter = 1 + EJECTION_JITTER * (2 * this.#random.unit() - 1);
    // the cap holds with the jitter, too
    const until = now + Math.min(EJECTION_CAP_MS, ms * jitter);
    this.#standing = { kind: 'ejected', cause, until, successes: 0, isProbed: false };
    this.#ejections = Math.min(this.#ejections + 1, 16);
    return true;
  }
}
