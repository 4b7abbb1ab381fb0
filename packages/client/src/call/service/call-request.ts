import type { Protocol, Random, RollcallError } from '@rollcall/core';
import type { Node } from '../../balance/nodes/node.js';
import type { Selector } from '../../balance/nodes/selector.js';
import type { CallTrace } from '../../transport/tracing.js';
import type { FailureKind } from '../../transport/transport.js';
import type { CallKind } from '../policy/call-kind.js';
import type { RetryBudget } from '../policy/retry.js';
import type { TimerWheel } from '../policy/timer-wheel.js';
import type { Method } from './method.js';

/** The observer of a call. `complete` or `error` is called once, at the end. None of the methods may throw. */
export interface CallObserver {
  next(value: unknown): void;
  complete(): void;
  error(error: RollcallError): void;
}

/** The context that the calls to one service share. */
export interface CallContext {
  readonly service: string;
  readonly budget: RetryBudget;
  readonly wheel: TimerWheel;
  /** The wheel for hedges, with a finer resolution. */
  readonly hedgeWheel: TimerWheel;
  /** Hedges allowed per request of a method. */
  readonly hedgeRatio: number;
  readonly random: Random;
  now(): number;
  /** The maximum number of attempts of a call whose last attempt went to `node`. */
  attemptsAt(node: Node): number;
  /** Called for each attempt after the first; `isHedge`: it runs beside a slow attempt. */
  retried(node: Node, isHedge: boolean, now: number): void;
  /** Called when an empty budget is the only reason not to repeat a call. */
  exhausted(node: Node, failure: FailureKind): void;
  /**
   * How long a call that no instance accepts may wait for one, ms. Infinity: until its deadline; 0: waiting cannot
   * help.
   */
  pendingMs(protocol: Protocol, selector: Selector): number;
  /** Like `pendingMs`, for a call that begins to wait; the wait is counted. */
  beginWait(protocol: Protocol, selector: Selector): number;
  /** The error that states why no instance accepts the call. */
  noneError(protocol: Protocol, selector: Selector): RollcallError;
  /** Called once for each call, before its receiver gets the result. `error`: null for success. */
  ended(startedAt: number, now: number, error: RollcallError | null): void;
}

/** The request of a call, and the observer of its result. */
export class CallRequest<Request> {
  readonly request: Request;
  readonly method: Method;
  readonly callKind: CallKind;
  receiver: CallObserver;
  /** The trace of the attempt; null: not traced. */
  trace: CallTrace | null = null;
  /** Returns true if the request can be sent again; called before each further attempt. Null: it always can. */
  isRepeatable: (() => boolean) | null = null;

  constructor(request: Request, method: Method, callKind: CallKind, receiver: CallObserver) {
    this.request = request;
    this.method = method;
    this.callKind = callKind;
    this.receiver = receiver;
  }
}
