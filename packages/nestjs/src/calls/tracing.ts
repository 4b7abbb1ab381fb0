import type { CallTracer } from '@rollcall/client';
import { isRecord } from '@rollcall/core';
import type { Meter } from '@rollcall/core';

/** Traces incoming messages if no other instrumentation does, which is the case over TCP. Its methods must not throw. */
export interface RequestTracer {
  /** Runs `work` for a message with this metadata. */
  receive<Result>(carrier: Readonly<Record<string, unknown>>, work: () => Result): Result;
  /** Runs the handler of the message, with everything that Nest puts before it; `pattern` is Nest's. */
  handle(pattern: string, work: () => Promise<unknown>): Promise<unknown>;
}

/** Traces calls and incoming messages: `otelTracing()` of `@rollcall/nestjs/otel`. */
export interface Tracing {
  readonly calls: CallTracer;
  readonly requests: RequestTracer;
}

export function isTracing(received: unknown): received is Tracing {
  return (
    isRecord(received) &&
    hasMethods(received['calls'], ['begin']) &&
    hasMethods(received['requests'], ['receive', 'handle'])
  );
}

export function isMeter(received: unknown): received is Meter {
  return hasMethods(received, ['counter', 'gauge', 'histogram']);
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  return isRecord(value) && names.every((name) => typeof value[name] === 'function');
}
