import { trace } from '@opentelemetry/api';
import type { Tracer } from '@opentelemetry/api';
import type { Tracing } from '../calls/tracing.js';
import { OtelCalls } from './otel-calls.js';
import { OtelRequests } from './otel-requests.js';

/**
 * Tracing through @opentelemetry/api: `forRoot({ tracing: otelTracing() })`. It creates a span for each call and one
 * for each attempt, whose context is propagated (`traceparent`, or what the propagator of the process writes) over TCP,
 * HTTP and gRPC, and a span for each message that a handler receives over TCP. For requests over HTTP and gRPC use
 * OpenTelemetry's own instrumentations, which read the same headers. Clients of grpc-js under `rollcall:///` create
 * their own spans.
 */
export function otelTracing(tracer: Tracer = trace.getTracer('@rollcall/nestjs')): Tracing {
  return { calls: new OtelCalls(tracer), requests: new OtelRequests(tracer) };
}
