import type { Backoff } from '@rollcall/core';
import { TRAITS } from '../../transport/transport.js';
import type { FailureKind } from '../../transport/transport.js';

/**
 * Backoff before a retry on an instance that was tried before, ms (full jitter). A retry on another instance needs no backoff: the budget
 * limits retry storms.
 */
export const RETRY_BACKOFF: Backoff = { baseMs: 25, capMs: 250 };

/** A request that was certainly not executed may always be sent again; a request that may have been executed, only if it is idempotent. */
export function mayRetry(kind: FailureKind, isIdempotent: boolean): boolean {
  const { executed } = TRAITS[kind];
  return executed === 'no' || (executed === 'maybe' && isIdempotent);
}

/** True if the request was certainly not executed. */
export const isUnexecuted = (kind: FailureKind): boolean => TRAITS[kind].executed === 'no';

/**
 * The first retry of a request that never left this process costs no budget: it causes no load, and a dead instance must not fail calls
 * beyond the budget. (gRPC's transparent retries, A6.) A second retry costs, so a dead service is not flooded. A request that this process
 * itself moves to another connection costs nothing.
 */
export function isFree(kind: FailureKind, attempt: number): boolean {
  const { executed, verdict } = TRAITS[kind];
  if (executed !== 'no') return false;
  return kind === 'moved' || (attempt === 1 && (verdict === 'absent' || verdict === 'failing'));
}

export interface BudgetTerms {
  /** Retries allowed per request. */
  readonly ratio: number;
  /** Retries per second that are always allowed, for callers with few requests. */
  readonly perSecond: number;
}

const WINDOW_SECONDS = 10;

/**
 * Keeps retries from turning an overload into a permanent outage: a retry is allowed only if the last 10 s (in whole seconds), including
 * it, have at most `ratio` × requests + `perSecond` × 10 retries. The algorithm is that of Finagle's RetryBudget; each service has one
 * budget for all of its methods.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #requests = new Float64Array(WINDOW_SECONDS);
  readonly #retries = new Float64Array(WINDOW_SECONDS);
  #second = -Infinity;
  #requestSum = 0;
  #retrySum = 0;

  constructor(terms: BudgetTerms) {
    this.#ratio = terms.ratio;
    this.#reserve = terms.perSecond * WINDOW_SECONDS;
  }

  /** Counts a request; its retries do not count. */
  request(now: number): void {
    const place = this.#place(now);
    this.#requests[place] = (this.#requests[place] ?? 0) + 1;
    this.#requestSum += 1;
  }

  /** Takes one retry from the budget; false if it is empty. */
  withdraw(now: number): boolean {
    const place = this.#place(now);
    if (this.#balance() < 1) return false;
    this.#retries[place] = (this.#retries[place] ?? 0) + 1;
    this.#retrySum += 1;
    return true;
  }

  /** Retries left in the budget now. */
  left(now: number): number {
    this.#place(now);
    return Math.max(0, Math.floor(this.#balance()));
  }

  #balance(): number {
    // the margin absorbs floating-point rounding errors, which would refuse the last retry
    return this.#ratio * this.#requestSum + this.#reserve - this.#retrySum + 1e-9;
  }

  #place(now: number): number {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#turn(second);
    return second % WINDOW_SECONDS;
  }

  #turn(second: number): void {
    const first = Math.max(this.#second + 1, second - WINDOW_SECONDS + 1);
    for (let passed = first; passed <= second; passed += 1) {
      const place = passed % WINDOW_SECONDS;
      this.#requestSum -= this.#requests[place] ?? 0;
      this.#retrySum -= this.#retries[place] ?? 0;
      this.#requests[place] = 0;
      this.#retries[place] = 0;
    }
    this.#second = second;
  }
}
