import type { Endpoint, Instance, Protocol, RollcallError } from '@rollcall/core';

/** The reason for an attempt: it is the first, a retry after a failed or slow one, or a hedge beside a slow one. */
export type PickReason = 'first' | 'retry' | 'hedge';

/**
 * The data that is sent with an attempt so that its server knows the trace: header names (lower case) and values, without special
 * characters.
 */
export type Carrier = Readonly<Record<string, string>>;

/** A call, at its beginning. */
export interface TracedCall {
  readonly service: string;
  readonly protocol: Protocol;
  /** The name for statistics: a Nest pattern, `GET /orders` or `Service/Method`. */
  readonly method: string;
  /** `event`: no response is awaited. */
  readonly shape: 'value' | 'stream' | 'event';
  /** The request as the transport gets it: a `TcpRequest`, `HttpRequest` or `GrpcRequest`. */
  readonly request: unknown;
}

/** An attempt, just before it is sent. */
export interface TracedAttempt {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
  /** Starts at 1; attempts of a retry one level up are included. */
  readonly number: number;
  readonly reason: PickReason;
  readonly isProbe: boolean;
}

/**
 * Traces calls. All methods are called synchronously during a call and must not throw; a process without a tracer pays one comparison for
 * each call and each attempt.
 */
export interface CallTracer {
  /** Called when a call begins, in the AsyncLocalStorage of its caller. Null: this call is not traced. */
  begin(call: TracedCall): CallTrace | null;
}

/** The trace of one call. */
export interface CallTrace {
  attempt(attempt: TracedAttempt): AttemptTrace;
  /** Called once, at the end; null: success. Attempts whose end was not reported have been abandoned. */
  ended(error: RollcallError | null): void;
}

/** The trace of one attempt. */
export interface AttemptTrace {
  readonly carrier: Carrier;
  /** Sends the attempt; spans of instrumented libraries belong to it meanwhile. */
  within<Result>(send: () => Result): Result;
  /** Called with each received value: over HTTP an `HttpAnswer`, or the transport's equivalent. */
  value(value: unknown): void;
  /** `success`, the kind of the failure, or `cancelled`; at most once. A stream's attempt ends with its first value. */
  ended(outcome: string, cause: unknown): void;
}
