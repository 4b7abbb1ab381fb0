import type { Attempted, Station } from './lane.js';
import type { CallTerms } from './errand.js';
import type { Method } from './method.js';
import type { PickReason } from './picks.js';
import type { Exchange, Failure, Sink, Terms } from './transport/transport.js';

/** Whoever tries: the call. */
export interface Tries<Request> {
  readonly method: Method;
  readonly terms: CallTerms;
  /** When the node of the new attempt was picked. */
  readonly now: number;
  /** The number of the new attempt, from 1. */
  readonly count: number;
  readonly isProbe: boolean;
  value(attempt: Attempt<Request>, value: unknown): void;
  last(attempt: Attempt<Request>, value: unknown): void;
  done(attempt: Attempt<Request>): void;
  failed(attempt: Attempt<Request>, failure: Failure): void;
}

/** One try on one instance: what the transport is told, and whom it tells. */
export class Attempt<Request> implements Sink, Terms, Attempted<Request> {
  readonly node: Station<Request>;
  readonly method: Method;
  readonly reason: PickReason;
  readonly startedAt: number;
  readonly patienceMs: number;
  readonly remainingMs: number;
  readonly attempt: number;
  readonly isProbe: boolean;
  pick = 0;
  exchange: Exchange | null = null;
  readonly #call: Tries<Request>;

  constructor(call: Tries<Request>, node: Station<Request>, reason: PickReason, patienceMs: number) {
    this.node = node;
    this.method = call.method;
    this.reason = reason;
    this.startedAt = call.now;
    this.patienceMs = patienceMs;
    this.remainingMs = call.terms.deadlineAt - call.now;
    this.attempt = call.terms.isRetry ? call.count + 1 : call.count;
    this.isProbe = call.isProbe;
    this.#call = call;
  }

  get sentAt(): number {
    return this.exchange?.openedAt ?? this.startedAt;
  }

  next(value: unknown): void {
    this.#call.value(this, value);
  }

  last(value: unknown): void {
    this.#call.last(this, value);
  }

  complete(): void {
    this.#call.done(this);
  }

  fail(failure: Failure): void {
    this.#call.failed(this, failure);
  }

  cancel(): void {
    this.exchange?.cancel();
  }
}
