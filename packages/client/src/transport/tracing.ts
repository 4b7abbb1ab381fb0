import type { Endpoint, Instance, Protocol, RollcallError } from '@rollcall/core';

/** Why an attempt was made: it was the first, another had failed or took too long, or a slow one was hedged. */
export type PickReason = 'first' | 'retry' | 'hedge';

/**
 * The data that is sent with an attempt so that its server knows the trace: names (lower case) and values, both plain
 * words.
 */
export type Carrier = Readonly<Record<string, string>>;

/** A call, when it begins. */
export interface TracedCall {
  readonly service: string;
  readonly protocol: Protocol;
  /** Under which statistics are kept: a Nest pattern, `GET /orders`, `Service/Method`. */
  readonly method: string;
  /** `event`: no response is awaited. */
  readonly shape: 'value' | 'stream' | 'event';
  /** As its transport gets it: a `TcpRequest`, `HttpRequest` or `GrpcRequest`. */
  readonly request: unknown;
}

/** An attempt, just before it is sent. */
export interface TracedAttempt {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
  /** From 1; what one level up repeated counts. */
  readonly number: number;
  readonly reason: PickReason;
  readonly isProbe: boolean;
}

/**
 * Follows calls, to trace them. Everything here is called synchronously in the way of a call and
 * must not throw; a process without a tracer pays one comparison for each call and each attempt.
 */
export interface CallTracer {
  /** A call begins, in the AsyncLocalStorage of its caller. Null: this call is not traced. */
  begin(call: TracedCall): CallTrace | null;
}

/** One call that is followed. */
export interface CallTrace {
  attempt(attempt: TracedAttempt): AttemptTrace;
  /** The last word, once; null: all was well. Attempts whose end was not told have been given up. */
  ended(error: RollcallError | null): void;
}

/** One attempt that is followed. */
export interface AttemptTrace {
  readonly carrier: Carrier;
  /** Sends it: what instrumented libraries do meanwhile belongs to this attempt. */
  within<Result>(send: () => Result): Result;
  /** Called with each received value: over HTTP an `HttpAnswer`, or the transport's equivalent. */
  value(value: unknown): void;
  /** `success`, the kind of the failure, or `cancelled`; at most once. A stream's attempt ends with its first value. */
  ended(outcome: string, cause: unknown): void;
}
