import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import { Controller } from '@nestjs/common';
import { EventPattern, MessagePattern, RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Rollcall } from '@rollcall/client';
import { reasonFor, systemTime } from '@rollcall/core';
import { of } from 'rxjs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { microservice, createFixture } from '../nest.fixture.js';
import { fakeServices, RollcallTestingModule } from '../testing.js';
import type { FakeServices } from '../testing.js';
import { TestRoll } from '../testing/registry.js';
import { Telemetry } from './otel.fixture.js';
import { otelMeter, otelTracing } from './otel.js';

let telemetry: Telemetry;
beforeEach(() => {
  telemetry = new Telemetry();
  onTestFinished(() => telemetry.close());
});

async function appWith(services: FakeServices): Promise<Rollcall> {
  const root = RollcallTestingModule.forRoot(services, { tracing: otelTracing() });
  const module = await Test.createTestingModule({ imports: [root] }).compile();
  onTestFinished(() => module.close());
  return module.get(Rollcall);
}

describe('traces of calls', () => {
  it('have a span for the call and one for its attempt, in the trace of the caller', async () => {
    const rollcall = await appWith(fakeServices({ orders: { find: () => 'found' } }));
    const tracer = trace.getTracer('test');
    await tracer.startActiveSpan('request', async (span) => {
      await rollcall.call('orders', 'find', {});
      expect(trace.getSpan(context.active())).toBe(span);
      span.end();
    });
    const [request, call, attempt] = ['request', 'orders/find', 'orders/find attempt'].map((name) =>
      telemetry.named(name),
    );
    expect(call?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(attempt?.parentSpanContext?.spanId).toBe(call?.spanContext().spanId);
    expect(attempt?.spanContext().traceId).toBe(request?.spanContext().traceId);
    expect(call).toMatchObject({
      kind: SpanKind.CLIENT,
      status: { code: SpanStatusCode.UNSET },
      attributes: {
        'rpc.system.name': 'nestjs',
        'rpc.method': 'orders/find',
        'server.address': 'orders',
        'service.peer.name': 'orders',
      },
    });
    expect(attempt).toMatchObject({
      kind: SpanKind.CLIENT,
      attributes: { 'rollcall.instance.id': 'orders-1', 'rollcall.attempt': 1, 'rollcall.attempt.reason': 'first' },
    });
  });

  it('show every attempt of a retried call, and its final error', async () => {
    const services = fakeServices({ orders: { find: () => 'found' } });
    services.service('orders').addInstance();
    const rollcall = await appWith(services);
    services.service('orders').fault({ kind: 'drop' });
    await rollcall.call('orders', 'find', {}, { idempotent: true, deadlineMs: 500 }).catch(() => {});
    const attempts = telemetry.spans.filter(({ name }) => name === 'orders/find attempt');
    expect(attempts.length).toBeGreaterThan(1);
    expect(attempts[1]).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'closed', 'rollcall.attempt': 2, 'rollcall.attempt.reason': 'retry' },
    });
    expect(telemetry.named('orders/find')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'TRANSPORT', 'rollcall.attempts': attempts.length },
    });
  });

  it('end for cancelled calls and their attempts', async () => {
    const services = fakeServices({ orders: { find: () => 'found' } });
    const rollcall = await appWith(services);
    services.service('orders').fault({ kind: 'hang' });
    const controller = new AbortController();
    const given = rollcall.call('orders', 'find', {}, { signal: controller.signal }).catch(() => {});
    await rollcall.ready('orders');
    controller.abort();
    await given;
    expect(telemetry.named('orders/find')).toMatchObject({
      status: { code: SpanStatusCode.UNSET },
      attributes: { 'error.type': 'CANCELLED' },
    });
    expect(telemetry.spans).toHaveLength(2);
  });

  it('are those of HTTP over HTTP', async () => {
    const services = fakeServices({ users: { 'GET /buyers/:id': () => new Response('busy', { status: 503 }) } });
    services.service('users').addInstance();
    const rollcall = await appWith(services);
    await rollcall.fetch('users', '/buyers/7?token=secret');
    expect(telemetry.named('users GET /buyers')).toMatchObject({
      kind: SpanKind.INTERNAL,
      status: { code: SpanStatusCode.UNSET },
    });
    const attempts = telemetry.spans.filter(({ name }) => name === 'GET');
    expect(attempts[0]?.attributes).toMatchObject({
      'http.request.method': 'GET',
      'url.full': 'http://users/buyers/7',
      'server.address': 'users',
      'http.response.status_code': 503,
    });
    expect(attempts[0]?.attributes).not.toHaveProperty('http.request.resend_count');
    expect(attempts[1]?.attributes['http.request.resend_count']).toBe(1);
  });

  it('cost only a check if no tracer is active', async () => {
    telemetry.close();
    const rollcall = await appWith(fakeServices({ orders: { find: () => 'found' } }));
    expect(await rollcall.call('orders', 'find', {})).toBe('found');
    expect(telemetry.spans).toEqual([]);
  });
});

@Controller()
class Handlers {
  @MessagePattern('whoami')
  whoami(): string {
    return trace.getSpanContext(context.active())?.traceId ?? 'nobody';
  }

  @MessagePattern('numbers')
  numbers() {
    return of(1, 2);
  }

  @MessagePattern('refuse')
  refuse(): string {
    throw new RpcException({ status: 'error', code: 'SOLD_OUT', message: 'sold out' });
  }

  @EventPattern('placed')
  placed(_order: unknown): void {}
}

/** A real Nest server, and a client that knows its address. */
async function pair(): Promise<Rollcall> {
  const tracing = otelTracing();
  const fixture = await createFixture({ service: 'orders' }, { controllers: [Handlers], requests: tracing.requests });
  await microservice(fixture).listen();
  const roll = new TestRoll(systemTime);
  const at = systemTime.wall();
  roll.put({
    id: fixture.rollcall.id,
    service: 'orders',
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: fixture.rollcall.port, tls: false }],
    version: '',
    zone: '',
    weight: 100,
    metadata: {},
    state: 'HEALTHY',
    reason: reasonFor('BOTH_WAYS_OK'),
    since: at,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: at,
  });
  const rollcall = new Rollcall({}, { link: roll.link(), tracer: tracing.calls });
  onTestFinished(() => rollcall.close());
  return rollcall;
}

describe('traces over TCP', () => {
  it('continue in the handler of a Nest server', async () => {
    const rollcall = await pair();
    const traceId = await rollcall.call('orders', 'whoami', {});
    await expect.poll(() => telemetry.spans.map(({ name }) => name)).toContain('whoami');
    const [attempt, handler] = [telemetry.named('orders/whoami attempt'), telemetry.named('whoami')];
    expect(handler.parentSpanContext?.spanId).toBe(attempt.spanContext().spanId);
    expect(handler).toMatchObject({ kind: SpanKind.SERVER, attributes: { 'rpc.method': 'whoami' } });
    expect(traceId).toBe(attempt.spanContext().traceId);
    expect(attempt.attributes).toMatchObject({ 'network.peer.address': '127.0.0.1' });
  });

  it('record what a handler threw, and end with a stream', async () => {
    const rollcall = await pair();
    await rollcall.call('orders', 'refuse', {}).catch(() => {});
    expect(await rollcall.call('orders', 'numbers', {})).toBe(2);
    await expect.poll(() => telemetry.spans.map(({ name }) => name)).toContain('numbers');
    expect(telemetry.named('refuse')).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: 'sold out' },
      attributes: { 'error.type': 'SOLD_OUT' },
    });
    expect(telemetry.named('numbers').status.code).toBe(SpanStatusCode.UNSET);
  });

  it('follow events, and ignore heartbeats', async () => {
    const rollcall = await pair();
    await rollcall.emit('orders', 'placed', {});
    await expect.poll(() => telemetry.spans.map(({ name }) => name)).toContain('placed');
    const attempt = telemetry.named('orders/placed attempt');
    expect(telemetry.named('placed').parentSpanContext?.spanId).toBe(attempt.spanContext().spanId);
    expect(telemetry.spans.map(({ name }) => name)).not.toContain('rollcall.heartbeat-1');
  });
});

async function collected(use: (meter: ReturnType<typeof otelMeter>) => void): Promise<ReadonlyMap<string, MetricData>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  use(otelMeter(provider.getMeter('test')));
  await provider.forceFlush();
  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  await provider.shutdown();
  return new Map(metrics.map((metric) => [metric.descriptor.name, metric]));
}

describe('a meter on OpenTelemetry', () => {
  it('counts, goes up and down, forgets, and sorts into buckets', async () => {
    const metrics = await collected((meter) => {
      meter.counter('rollcall_test_things_total', 'Things.', ['service']).add(2, 'orders');
      const level = meter.gauge('rollcall_test_level', 'Level.', ['service']);
      level.set(4, 'orders');
      level.add(-1, 'orders');
      level.set(9, 'users');
      level.forget('users');
      meter.histogram('rollcall_test_seconds', 'Time.', ['service'], [0.1, 1]).record(0.5, 'orders');
    });
    expect(metrics.get('rollcall_test_things_total')?.dataPoints).toMatchObject([
      { value: 2, attributes: { service: 'orders' } },
    ]);
    expect(metrics.get('rollcall_test_level')?.dataPoints).toMatchObject([
      { value: 3, attributes: { service: 'orders' } },
    ]);
    expect(metrics.get('rollcall_test_seconds')).toMatchObject({
      descriptor: { unit: 's', description: 'Time.' },
      dataPoints: [{ value: { sum: 0.5, buckets: { boundaries: [0.1, 1], counts: [0, 1, 0] } } }],
    });
  });

  it('returns the same instrument for the same name, and rejects another meaning', async () => {
    await collected((meter) => {
      expect(meter.counter('rollcall_test_total', 'Things.')).toBe(meter.counter('rollcall_test_total', 'Things.'));
      expect(() => meter.gauge('rollcall_test_total', 'Things.')).toThrow(TypeError);
    });
  });
});
