import { trace } from '@opentelemetry/api';
import type { Tracer } from '@opentelemetry/api';
import type { Tracing } from '../calls/tracing.js';
import { OtelCalls } from './otel-calls.js';
import { OtelRequests } from './otel-requests.js';

/**
 * Draws traces through @opentelemetry/api: `forRoot({ tracing: otelTracing() })`. A span for each call and one for each of its
 * attempts, whose context travels along (`traceparent`, or what the propagator of the process writes) over TCP, HTTP and gRPC; and a
 * span for each message that a handler gets over TCP. Requests over HTTP and gRPC are left to OpenTelemetry's own instrumentations,
 * which read the same headers. Clients of grpc-js under `rollcall:///` draw their own.
 */
export function otelTracing(tracer: Tracer = trace.getTracer('@rollcall/nestjs')): Tracing {
  return { calls: new OtelCalls(tracer), requests: new OtelRequests(tracer) };
}
