import type { CallTracer } from '@rollcall/client';
import { isRecord } from '@rollcall/core';
import type { Meter } from '@rollcall/core';

/** What comes in, for whoever draws traces of it: where no other instrumentation does, which is over TCP. Nothing of it may throw. */
export interface RequestTracer {
  /** Does `work` for a message that came with these words beside its payload. */
  receive<Result>(carrier: Readonly<Record<string, unknown>>, work: () => Result): Result;
  /** Runs the handler of the message, with all that Nest puts before it; `pattern`: as Nest has it. */
  handle(pattern: string, work: () => Promise<unknown>): Promise<unknown>;
}

/** Follows what an application calls, and what it is asked: `otelTracing()` of `@rollcall/nestjs/otel`. */
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
