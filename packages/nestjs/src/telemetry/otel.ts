// the sub-path ./otel: needs @opentelemetry/api, and an SDK of the application's own
export { otelMeter } from './otel-meter.js';
export { otelTracing } from './otel-tracing.js';
