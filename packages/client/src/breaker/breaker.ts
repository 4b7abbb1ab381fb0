import type { Random } from '@rollcall/core';
import { OPEN, SHUT } from './gate.js';
import type { Gate } from './gate.js';
import { countSuccess, forgetSuccesses, SUCCESS_CELLS, successesWithin } from './successes.js';
import type { TripRule } from './trip-rules.js';

/** Consecutive failed connections after which the gate is shut. */
const MAX_CONNECT_FAILURES = 5;
/** Consecutive successes that close the breaker again. */
const SUCCESSES_TO_CLOSE = 2;
const EJECTION_BASE_MS = 1_000;
const EJECTION_CAP_MS = 30_000;
/** How often the duration of an ejection can double. */
const MAX_DOUBLINGS = 5;
/** The random variation of an ejection, ± this share, so that the probes of many callers are spread out. */
const EJECTION_JITTER = 0.2;
/** Each such period without an ejection makes the next ejection one step shorter. */
const STEP_DOWN_MS = 10_000;

/** `errors`: the instance answers with errors or too late. `absent`: no connection to it can be made. */
export type EjectionCause = 'errors' | 'absent';

interface Ejected {
  readonly kind: 'ejected';
  readonly cause: EjectionCause;
  /** Before this time the instance gets no call; after it, it is half-open: one probe at a time. */
  until: number;
  successes: number;
}

type BreakerState = { readonly kind: 'closed' } | Ejected;

const CLOSED: BreakerState = { kind: 'closed' };

/** The owner of a breaker: counts the successes, and is notified when the state changes. */
export interface BreakerHost {
  /** `gate` or `isCalm` may have changed. */
  gateChanged(): void;
  countSuccess(now: number): void;
  /** The successes of the last 10 s. */
  successes(now: number): number;
  forgetSuccesses(): void;
}

/**
 * The circuit breaker of one instance. It asks `mayEject` whether the fleet allows an ejection for errors (at most half, never the last
 * one). An instance ejected for errors stays usable if no better one is available; an instance that cannot be connected to is shut.
 */
export class Breaker {
  host: BreakerHost = new StandaloneHost();
  readonly #rules: readonly TripRule[];
  readonly #random: Random;
  #state: BreakerState = CLOSED;
  #connectFailures = 0;
  #ejections = 0;
  #closedAt = -Infinity;
  /** True while a probe is under way. The probe may outlive its ejection; the next probe has to wait for its end. */
  #isProbed = false;
  #hasFailed = false;

  constructor(rules: readonly TripRule[], random: Random) {
    this.#rules = rules;
    this.#random = random;
  }

  /** Why the instance is ejected; null if it is not. */
  get cause(): EjectionCause | null {
    return this.#state.kind === 'ejected' ? this.#state.cause : null;
  }

  /** When the next probe may start: Infinity while one is under way or when none is needed. */
  get probeAt(): number {
    return this.#state.kind === 'ejected' && !this.#isProbed ? this.#state.until : Infinity;
  }

  /** The gate for ordinary calls; a probe passes a shut gate. */
  get gate(): Gate {
    return this.#state.kind === 'ejected' && this.#state.cause === 'absent' ? SHUT : OPEN;
  }

  /** True if nothing failed since the last success: then the next success is only counted. */
  get isCalm(): boolean {
    return !this.#hasFailed && this.#state.kind === 'closed';
  }

  /** For people. */
  stateAt(now: number): 'closed' | 'open' | 'half-open' {
    if (this.#state.kind === 'closed') return 'closed';
    return now >= this.#state.until ? 'half-open' : 'open';
  }

  /** Claims the single probe; the caller returns it with `endProbe` after any result. */
  beginProbe(): void {
    this.#isProbed = true;
  }

  endProbe(): void {
    this.#isProbed = false;
  }

  /**
   * Makes the next probe due now, since another source reports that the instance lives. This does not close the breaker: a heartbeat does
   * not prove that calls succeed.
   */
  hint(now: number): void {
    if (this.#state.kind === 'ejected') this.#state.until = Math.min(this.#state.until, now);
  }

  /** Returns true if the state has changed: now closed, or no longer shut. */
  success(now: number): boolean {
    this.#connectFailures = 0;
    const state = this.#state;
    this.host.countSuccess(now);
    if (state.kind === 'closed') return this.#recover();
    state.until = Math.min(state.until, now);
    state.successes += 1;
    if (state.successes < SUCCESSES_TO_CLOSE) return this.#reopen(state);
    this.#setState(CLOSED);
    this.#closedAt = now;
    for (const rule of this.#rules) rule.reset();
    this.host.forgetSuccesses();
    return true;
  }

  /** `mayEject` is called only when a rule trips. Returns true if the state has changed: now ejected, or no longer shut. */
  failure(now: number, mayEject: () => boolean): boolean {
    this.#connectFailures = 0;
    this.#fail();
    const state = this.#state;
    if (state.kind === 'closed') return this.#trips(now) && mayEject() && this.#eject('errors', now);
    state.successes = 0;
    // a call that began before the ejection and fails during it does not count
    if (now < state.until) return false;
    this.#eject('errors', now);
    return state.cause !== 'errors';
  }

  /**
   * Records a failed connection. After five in a row the gate is shut, whatever share is ejected, since no call to the instance can
   * succeed. Returns true if the state has changed.
   */
  connectFailure(now: number, mayEject: () => boolean): boolean {
    this.#connectFailures += 1;
    this.#fail();
    const state = this.#state;
    const isGone = this.#connectFailures >= MAX_CONNECT_FAILURES || this.cause === 'absent';
    if (state.kind === 'closed') {
      const trips = this.#trips(now);
      if (isGone) return this.#eject('absent', now);
      return trips && mayEject() && this.#eject('errors', now);
    }
    const isWorse = isGone && state.cause !== 'absent';
    if (isWorse || now >= state.until) this.#eject(isGone ? 'absent' : 'errors', now);
    return isWorse;
  }

  #setState(state: BreakerState): void {
    this.#state = state;
    if (state.kind === 'closed') this.#hasFailed = false;
    this.host.gateChanged();
  }

  #fail(): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.host.gateChanged();
  }

  /** A success after failures that did not trip a rule. */
  #recover(): false {
    if (!this.#hasFailed) return false;
    this.#hasFailed = false;
    for (const rule of this.#rules) rule.success();
    this.host.gateChanged();
    return false;
  }

  #trips(now: number): boolean {
    let trips = false;
    const successes = this.host.successes(now);
    for (const rule of this.#rules) trips = rule.failure(now, successes) || trips;
    return trips;
  }

  /** A connection succeeded: the instance is no longer shut, and calls use it if no better one is available. */
  #reopen(state: Ejected): boolean {
    if (state.cause !== 'absent') return false;
    this.#setState({ ...state, cause: 'errors' });
    return true;
  }

  #eject(cause: EjectionCause, now: number): true {
    if (this.#state.kind === 'closed') {
      const forgiven = Math.floor((now - this.#closedAt) / STEP_DOWN_MS);
      this.#ejections = Math.max(0, this.#ejections - forgiven);
    }
    const ms = Math.min(EJECTION_CAP_MS, EJECTION_BASE_MS * 2 ** this.#ejections);
    const jitter = 1 + EJECTION_JITTER * (2 * this.#random.unit() - 1);
    const until = now + Math.min(EJECTION_CAP_MS, ms * jitter);
    this.#setState({ kind: 'ejected', cause, until, successes: 0 });
    this.#ejections = Math.min(this.#ejections + 1, MAX_DOUBLINGS);
    return true;
  }
}

/** The host of a breaker without an owner. */
class StandaloneHost implements BreakerHost {
  readonly #cells = new Float64Array(SUCCESS_CELLS);

  gateChanged(): void {}

  countSuccess(now: number): void {
    countSuccess(this.#cells, 0, now);
  }

  successes(now: number): number {
    return successesWithin(this.#cells, 0, now);
  }

  forgetSuccesses(): void {
    forgetSuccesses(this.#cells, 0);
  }
}
