import type { Backoff } from '@rollcall/core';
import { TRAITS } from '../../transport/transport.js';
import type { FailureKind } from '../../transport/transport.js';

/**
 * Before a try on an instance that was tried already, ms (full jitter). One on another instance needs no wait: what slows a
 * storm down is the budget.
 */
export const RETRY_BACKOFF: Backoff = { baseMs: 25, capMs: 250 };

/** What certainly was not executed may be sent again by anybody, what may have been only if that does no harm. */
export function mayRetry(kind: FailureKind, isIdempotent: boolean): boolean {
  const { executed } = TRAITS[kind];
  return executed === 'no' || (executed === 'maybe' && isIdempotent);
}

/** Was it certainly not executed? */
export const isUnexecuted = (kind: FailureKind): boolean => TRAITS[kind].executed === 'no';

/**
 * The first retry of what never left this process costs no budget: it loads nobody, and a dead instance must not fail more calls
 * than happen to be budgeted. (gRPC's transparent retries, A6.) A second one does, so a dead service is not hammered. A request that this
 * process itself moves to another connection costs nothing.
 */
export function isFree(kind: FailureKind, attempt: number): boolean {
  const { executed, says } = TRAITS[kind];
  if (executed !== 'no') return false;
  return kind === 'moved' || (attempt === 1 && (says === 'absent' || says === 'failing'));
}

export interface BudgetTerms {
  /** Retries for each request. */
  readonly ratio: number;
  /** Retries that are always allowed, so that who calls seldom can repeat at all. */
  readonly perSecond: number;
}

const WINDOW_SECONDS = 10;

/**
 * What keeps retries from turning a brown-out into an outage that never ends: one is allowed only if the last 10 s (in whole
 * seconds) then hold at most `ratio` × requests + `perSecond` × 10 of them. After Finagle's RetryBudget; one for each service, shared by its methods.
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

  /** A request, not counting its retries. */
  request(now: number): void {
    const place = this.#place(now);
    this.#requests[place] = (this.#requests[place] ?? 0) + 1;
    this.#requestSum += 1;
  }

  /** Takes one retry out, if there is one. */
  withdraw(now: number): boolean {
    const place = this.#place(now);
    if (this.#balance() < 1) return false;
    this.#retries[place] = (this.#retries[place] ?? 0) + 1;
    this.#retrySum += 1;
    return true;
  }

  /** How many retries may be taken out now. */
  left(now: number): number {
    this.#place(now);
    return Math.max(0, Math.floor(this.#balance()));
  }

  #balance(): number {
    // the tenth part of a tenth is not missing for the last retry
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
