import type { Protocol, Random, RollcallError } from '@rollcall/core';
import type { Node } from '../../balance/nodes/node.js';
import type { Selector } from '../../balance/nodes/selector.js';
import type { CallTrace } from '../../transport/tracing.js';
import type { FailureKind } from '../../transport/transport.js';
import type { CallKind } from '../policy/call-kind.js';
import type { RetryBudget } from '../policy/retry.js';
import type { TimerWheel } from '../policy/timer-wheel.js';
import type { Method } from './method.js';

/** Who waits for a call. `complete` or `error` is the last word and comes once. None of them may throw. */
export interface CallObserver {
  next(value: unknown): void;
  complete(): void;
  error(error: RollcallError): void;
}

/** What the calls to one service share. */
export interface CallContext {
  readonly service: string;
  readonly budget: RetryBudget;
  readonly wheel: TimerWheel;
  /** For the second attempts beside slow first ones: it is finer. */
  readonly hedgeWheel: TimerWheel;
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
  /** No instance takes such a call: how long it may wait for one, ms. Infinity: as long as its deadline allows; 0: waiting cannot help. */
  pendingMs(protocol: Protocol, selector: Selector): number;
  /** The same for one that begins to wait, and is counted. */
  beginWait(protocol: Protocol, selector: Selector): number;
  /** Why nobody can take the call. */
  noneError(protocol: Protocol, selector: Selector): RollcallError;
  /** Called once for each call, before its receiver hears the last word. `error`: null for success. */
  ended(startedAt: number, now: number, error: RollcallError | null): void;
}

/** What is to be done, and for whom. */
export class CallRequest<Request> {
  readonly request: Request;
  readonly method: Method;
  readonly callKind: CallKind;
  receiver: CallObserver;
  /** Who follows it; null: nobody. */
  trace: CallTrace | null = null;
  /** Can it still be sent once more? Asked before each further attempt; null: always. */
  isRepeatable: (() => boolean) | null = null;

  constructor(request: Request, method: Method, callKind: CallKind, receiver: CallObserver) {
    this.request = request;
    this.method = method;
    this.callKind = callKind;
    this.receiver = receiver;
  }
}
