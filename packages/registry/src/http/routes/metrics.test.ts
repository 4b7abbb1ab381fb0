import { memoryMeter } from '@rollcall/core/testing';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { RegistryMetrics } from '../../metrics/registry-metrics.js';
import { SECOND, RegistryFixture } from '../../registry.fixture.js';
import { Registry } from '../../registry.js';
import { startTestRegistry } from '../../testing.js';
import { serveRegistry } from '../server.js';
import { formatFor } from './metrics.js';

/** Every sample of an answer: `name{labels}` → value. */
function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

const sample = async (url: string): Promise<ReadonlyMap<string, number>> =>
  samplesOf(await (await fetch(`${url}/metrics`)).text());

async function post(url: string, path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
}

const name = (what: string): string => `rollcall_registry_${what}`;
const ENDPOINTS = [{ protocol: 'tcp', port: 1 }];

describe('GET /metrics', () => {
  afterEach(() => vi.restoreAllMocks());

  it('answers while no file can be opened, without the values that need one', async () => {
    const registry = await startTestRegistry();
    onTestFinished(() => registry.close());
    expect((await sample(registry.url)).has('process_resident_memory_bytes')).toBe(true);
    vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
      throw new Error('A system error occurred: uv_resident_set_memory returned EMFILE (too many open files)');
    });
    const samples = await sample(registry.url);
    expect(samples.get(name('ready'))).toBe(1);
    expect(samples.has('process_resident_memory_bytes')).toBe(false);
    expect(samples.get('process_heap_bytes')).toBeGreaterThan(1e6);
  });

  it('counts the actions of the registry', async () => {
    const meter = memoryMeter();
    const registry = await startTestRegistry({ meter });
    onTestFinished(() => registry.close());
    const { url } = registry;
    const watch = await fetch(`${url}/api/v1/watch?service=*`);
    onTestFinished(() => watch.body?.cancel());
    expect((await post(url, '/api/v1/register', { id: 'a-1', service: 'a', endpoints: ENDPOINTS })).status).toBe(201);
    expect((await post(url, '/api/v1/register', { id: 'a-2' })).status).toBe(400);
    expect((await post(url, '/api/v1/instances/a-1/heartbeat', { seq: 1, nonce: null })).status).toBe(401);
    expect((await fetch(`${url}/api/v1/nothing`)).status).toBe(404);
    await vi.waitFor(async () => {
      const samples = await sample(url);
      expect(samples.get(name('heartbeat1_rounds_total{outcome="missed"}'))).toBeGreaterThan(0);
      expect(samples.get(name('feed_frames_total'))).toBeGreaterThan(0);
    });
    const samples = await sample(url);
    expect(samples.get(name('ready'))).toBe(1);
    const states = [...samples].filter(([key]) => key.startsWith(name('instances{namespace="default",service="a"')));
    expect(states).toHaveLength(5);
    expect(states.reduce((sum, [, value]) => sum + value, 0)).toBe(1);
    expect(samples.get(name('registrations_total{outcome="accepted"}'))).toBe(1);
    expect(samples.get(name('registrations_total{outcome="invalid"}'))).toBe(1);
    expect(samples.get(name('refusals_total{code="INVALID"}'))).toBe(1);
    expect(samples.get(name('refusals_total{code="UNAUTHORIZED"}'))).toBe(1);
    expect(samples.get(name('refusals_total{code="NOT_FOUND"}'))).toBe(1);
    expect(samples.get(name('watchers'))).toBe(1);
    expect(samples.get(name('connections'))).toBeGreaterThan(0);
    expect(samples.get(name('feed_bytes_total'))).toBeGreaterThan(samples.get(name('feed_frames_total'))!);
    expect(samples.get(name('store_write_seconds_count'))).toBeGreaterThan(0);
    expect(samples.get(name('preservation_slots{slot="allowed"}'))).toBeGreaterThanOrEqual(0);
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect([...samples.keys()].some((key) => key.startsWith(name('build_info{version="')))).toBe(true);
    // a meter that was passed in gets the same metrics, except those of the process
    expect(meter.count('rollcall_registry_registrations_total', { outcome: 'accepted' })).toBe(1);
    expect(meter.count('rollcall_registry_instances', { service: 'a' })).toBe(1);
    expect(meter.names().some((other) => other.startsWith('process_'))).toBe(false);
  });

  it('is OpenMetrics for a client that accepts it', async () => {
    const registry = await startTestRegistry();
    onTestFinished(() => registry.close());
    const accept = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
    const answer = await fetch(`${registry.url}/metrics`, { headers: { accept } });
    expect(answer.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect((await answer.text()).endsWith('# EOF\n')).toBe(true);
    const plain = await fetch(`${registry.url}/metrics`);
    expect(plain.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it.each([
    [undefined, 'text'],
    ['*/*', 'text'],
    ['text/plain', 'text'],
    ['application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'openmetrics'],
    ['application/openmetrics-text; version=2.0.0, text/plain', 'text'],
    ['application/openmetrics-text;q=0.2, text/plain;q=0.9', 'text'],
    ['application/openmetrics-text;q=0, text/plain', 'text'],
  ] as const)('of %s is %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });

  it('reports for a registry that is not ready only that, and the expiry of its certificate', async () => {
    const { registry } = new RegistryFixture();
    const metrics = new RegistryMetrics();
    onTestFinished(() => metrics.close());
    await metrics.refresh({ registry, server: null, tls: { describe: () => ({ expiresAt: 1_800_000_000_500 }) } });
    const samples = samplesOf(metrics.text('text'));
    expect(samples.get('rollcall_registry_ready')).toBe(0);
    expect(samples.get(name('certificate_expiry_timestamp_seconds'))).toBe(1_800_000_000.5);
    expect([...samples.keys()].filter((key) => /_(instances|tombstones|settled|services)\b/.test(key))).toEqual([]);
  });

  it('reports to a meter that was passed in by itself, as long as it is open', async () => {
    const meter = memoryMeter();
    const fixture = new RegistryFixture();
    const metrics = new RegistryMetrics({ meter, time: fixture.time });
    metrics.follow({ registry: fixture.registry, server: null });
    const until = (ready: number, timers: number): Promise<void> =>
      vi.waitFor(() => {
        expect(meter.values(name('ready'))).toEqual([ready]);
        expect(fixture.time.pending().background).toBe(timers);
      });
    await until(0, 1);
    await fixture.registry.start();
    const own = fixture.time.pending().background;
    fixture.time.advance(SECOND);
    await until(1, own);
    metrics.close();
    expect(fixture.time.pending().background).toBe(own - 1);
    await fixture.registry.close();
  });

  it('serves an engine that was created elsewhere', async () => {
    const fixture = await RegistryFixture.start();
    const server = await serveRegistry({ registry: fixture.registry, port: 0 });
    expect(fixture.registry).toBeInstanceOf(Registry);
    expect((await sample(server.url)).get('rollcall_registry_ready')).toBe(1);
    await server.close();
    await fixture.registry.close();
  });
});
