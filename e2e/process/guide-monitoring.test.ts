// The regions here are the code of docs/guide/monitoring.md.
import { Controller, Get, Header, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { metrics } from '@opentelemetry/api';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider } from '@opentelemetry/sdk-metrics';
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { Rollcall } from '@rollcall/client';
import { RollcallModule } from '@rollcall/nestjs';
import { otelMeter, otelTracing } from '@rollcall/nestjs/otel';
import { prometheusMeter } from '@rollcall/nestjs/prometheus';
import { startTestRegistry } from '@rollcall/registry/testing';
import type { RunningRegistry } from '@rollcall/registry';
import { register } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

// #region controller
@Controller('metrics')
class MetricsController {
  @Get()
  @Header('content-type', register.contentType)
  show(): Promise<string> {
    return register.metrics();
  }
}
// #endregion

describe('the page on monitoring', () => {
  let running: RunningRegistry;
  let registry = '';
  beforeAll(async () => {
    running = await startTestRegistry();
    registry = running.url;
  });
  afterAll(() => running.close());

  it('a service serves its metrics, and Prometheus discovers them', async () => {
    // #region prometheus
    const root = RollcallModule.forRoot({ service: 'orders', registry, meter: prometheusMeter() });
    // #endregion
    @Module({ imports: [root], controllers: [MetricsController] })
    class OrdersModule {}
    const app = await NestFactory.create(OrdersModule, { logger: false });
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const { port } = new URL(await app.getUrl());
    const targets = await vi.waitFor(
      async () => {
        const answer = await fetch(`${registry}/sd/prometheus?service=orders`);
        expect(answer.status).toBe(200);
        return (await answer.json()) as { targets: string[] }[];
      },
      { timeout: 10_000 },
    );
    expect(targets).toMatchObject([{ targets: [`127.0.0.1:${port}`] }]);
    await vi.waitFor(
      async () => {
        const shown = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
        expect(shown).toContain('rollcall_registry_connected 1');
      },
      { timeout: 10_000 },
    );
  });

  it('a service without HTTP names the port of its metrics', async () => {
    // #region port
    const root = RollcallModule.forRoot({
      service: 'worker',
      registry,
      meter: prometheusMeter(),
      metadata: { 'rollcall.metrics': '9464/internal/metrics' }, // <port> or <port>/<path>; none: not to be scraped
    });
    // #endregion
    @Module({ imports: [root] })
    class WorkerModule {}
    const app = await NestFactory.create(WorkerModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    await vi.waitFor(
      async () => {
        const groups: unknown = await (await fetch(`${registry}/sd/prometheus?service=worker`)).json();
        const labels = expect.objectContaining({ __metrics_path__: '/internal/metrics' });
        expect(groups).toEqual([{ targets: ['127.0.0.1:9464'], labels }]);
      },
      { timeout: 10_000 },
    );
    await app.close();
  });

  it('OpenTelemetry gets the same', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter });
    const provider = new MeterProvider({ readers: [reader] });
    metrics.setGlobalMeterProvider(provider); // as the SDK of an application does at its start
    // #region otel
    const root = RollcallModule.forRoot({ service: 'web', registry, meter: otelMeter(), tracing: otelTracing() });
    // #endregion
    @Module({ imports: [root] })
    class WebModule {}
    const app = await NestFactory.create(WebModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    await expect(app.get(Rollcall).call('nobody', 'find', {}, { timeoutMs: 200 })).rejects.toThrow();
    await provider.forceFlush();
    const names = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics.map((one) => one.descriptor.name)));
    expect(names).toContain('rollcall_call_seconds');
    await app.close();
    await provider.shutdown();
    metrics.disable();
  });
});
