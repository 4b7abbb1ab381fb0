import type { Protocol, Random, RollcallError } from '@rollcall/core';
import type { Selector } from './balance/selector.js';
import type { Node } from './balance/node.js';
import type { HedgeAfter } from './hedge.js';
import type { Method } from './method.js';
import type { RetryBudget } from './retry.js';
import type { FailureKind } from './transport/transport.js';
import type { Wheel } from './wheel.js';

/** Who waits for a call. `complete` or `error` is the last word and comes once. None of them may throw. */
export interface Receiver {
  next(value: unknown): void;
  complete(): void;
  error(error: RollcallError): void;
}

/** What the calls to one service share. */
export interface Callee {
  readonly service: string;
  readonly budget: RetryBudget;
  readonly wheel: Wheel;
  /** For the second attempts beside slow first ones: it is finer. */
  readonly hedgeWheel: Wheel;
  /** Hedges for each request of a method. */
  readonly hedgeRatio: number;
  readonly random: Random;
  now(): number;
  /** How many attempts a call may make whose last one was made there. */
  attemptsAt(node: Node): number;
  /** Called for each attempt after the first; `isHedge`: it goes beside a slow one. */
  retried(node: Node, isHedge: boolean, now: number): void;
  /** A call was not repeated, only because the budget is empty. */
  exhausted(node: Node, failure: FailureKind): void;
  /** Why nobody can take the call. */
  noneError(protocol: Protocol, selector: Selector): RollcallError;
  /** Called once for each call, before its receiver hears the last word. `error`: null for success. */
  ended(startedAt: number, now: number, error: RollcallError | null): void;
}

/** One call's own terms. */
export interface CallTerms {
  readonly startedAt: number;
  readonly deadlineAt: number;
  /** Between two values of a stream, once the first has come. */
  readonly idleMs: number;
  readonly isIdempotent: boolean;
  /** A repetition of what may have been executed once already, one level up: it is not repeated here as well. */
  readonly isRetry: boolean;
  /** `value`: the last value is the answer; `stream`: each is passed on, and the first ends the deadline; `event`: no answer. */
  readonly shape: 'value' | 'stream' | 'event';
  readonly selector: Selector;
  /** What is to go to the same instance each time; null: nothing. */
  readonly hashKey: string | null;
  /** Attempts at most, whatever the policy says: 1 for a body that can be read only once. */
  readonly mostAttempts: number;
  /** No answer comes later than this after an attempt was begun, so none is waited for; Infinity: nobody says. */
  readonly timeoutMs: number;
  /** When a second attempt is made beside a slow first one. */
  readonly hedge: HedgeAfter;
}

/** What is to be done, and for whom. */
export interface Errand<Request> {
  readonly request: Request;
  readonly method: Method;
  readonly terms: CallTerms;
  readonly receiver: Receiver;
}
