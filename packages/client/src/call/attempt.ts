import type { PickReason } from '../transport/tracing.js';
import type { AttemptTrace, CallTrace, Carrier, TracedAttempt } from '../transport/tracing.js';
import type { Exchange, Failure, Sink, Terms } from '../transport/transport.js';
import type { ResolvedCallOptions } from './policy/call-kind.js';
import type { Attempted, ConnectedNode } from './service/connected-node.js';
import type { Method } from './service/method.js';

/** The call as seen by one of its attempts. */
export interface TriedCall<Request> {
  readonly method: Method;
  readonly terms: ResolvedCallOptions;
  readonly deadlineAt: number;
  readonly trace: CallTrace | null;
  /** When the node of the new attempt was picked, ms of Time. */
  readonly now: number;
  /** The number of the new attempt, from 1. */
  readonly count: number;
  readonly isProbe: boolean;
  value(attempt: Attempt<Request>, value: unknown): void;
  last(attempt: Attempt<Request>, value: unknown): void;
  done(attempt: Attempt<Request>): void;
  failed(attempt: Attempt<Request>, failure: Failure): void;
}

/** One attempt on one instance: the terms that the transport gets, and the sink that it reports to. */
export class Attempt<Request> implements Sink, Terms, Attempted<Request> {
  readonly node: ConnectedNode<Request>;
  readonly reason: PickReason;
  readonly startedAt: number;
  readonly patienceMs: number;
  readonly attempt: number;
  isProbe: boolean;
  pick = 0;
  exchange: Exchange | null = null;
  /** The trace of the attempt; null: not traced. */
  readonly trace: AttemptTrace | null;
  readonly #call: TriedCall<Request>;
  #isCancelled = false;

  constructor(call: TriedCall<Request>, node: ConnectedNode<Request>, reason: PickReason, patienceMs: number) {
    this.node = node;
    this.reason = reason;
    this.startedAt = call.now;
    this.patienceMs = patienceMs;
    this.attempt = call.terms.isRetry ? call.count + 1 : call.count;
    this.isProbe = call.isProbe;
    this.#call = call;
    const { trace } = call;
    this.trace = trace === null ? null : trace.attempt(tracedOf(this));
  }

  get method(): Method {
    return this.#call.method;
  }

  get remainingMs(): number {
    return this.#call.deadlineAt - this.startedAt;
  }

  get carrier(): Carrier | null {
    return this.trace === null ? null : this.trace.carrier;
  }

  get sentAt(): number {
    return this.exchange?.openedAt ?? this.startedAt;
  }

  /** True once the instance may have received the request. Before that nothing has been executed, and after `cancel` nothing will be. */
  get isSent(): boolean {
    return this.exchange?.isSent ?? true;
  }

  /** True if the attempt has taken longer than its patience, so that another attempt may replace it. */
  isSlow(now: number): boolean {
    return now >= this.sentAt + this.patienceMs;
  }

  send(request: Request): void {
    const { trace } = this;
    const { channel } = this.node;
    const exchange =
      trace === null ? channel.send(request, this, this) : trace.within(() => channel.send(request, this, this));
    this.exchange = exchange;
    // sending may run application code (subscribing to the messages of a stream), which may cancel the call
    if (this.#isCancelled) exchange.cancel();
  }

  next(value: unknown): void {
    if (this.trace !== null) this.trace.value(value);
    this.#call.value(this, value);
  }

  last(value: unknown): void {
    if (this.trace !== null) this.trace.value(value);
    this.#call.last(this, value);
  }

  complete(): void {
    this.#call.done(this);
  }

  fail(failure: Failure): void {
    if (this.trace !== null && failure.fallback !== undefined) this.trace.value(failure.fallback.value);
    this.#call.failed(this, failure);
  }

  /** Cancels the attempt; may be called while it is being sent. */
  cancel(): void {
    this.#isCancelled = true;
    this.exchange?.cancel();
  }
}

function tracedOf<Request>({ node, attempt, reason, isProbe }: Attempt<Request>): TracedAttempt {
  return { instance: node.instance, endpoint: node.endpoint, number: attempt, reason, isProbe };
}
