import { sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SECOND, SECRET, RegistryFixture } from '../../registry.fixture.js';
import { serveRegistry } from '../server.js';
import { groupOf } from './prometheus-sd.js';

const http = { protocol: 'http', host: '10.0.0.5', port: 3000, tls: false } as const;
const tcp = { protocol: 'tcp', host: '10.0.0.6', port: 3001, tls: false } as const;

const targetOf = (overrides: Parameters<typeof sampleInstance>[0], key: string | null = null): string | undefined =>
  groupOf(sampleInstance(overrides), key)?.targets[0];

const kindOf = (metadata: Record<string, string>, key: string | null = null): string | undefined =>
  groupOf(sampleInstance({ endpoints: [http], metadata }), key)?.labels['__meta_rollcall_metrics'];

describe('the scrape target of an instance', () => {
  it('is the announced port, or else its HTTP endpoint', () => {
    expect(targetOf({ endpoints: [tcp, http] })).toBe('10.0.0.5:3000');
    expect(targetOf({ endpoints: [tcp, http], metadata: { 'rollcall.metrics': '9464' } })).toBe('10.0.0.5:9464');
    expect(targetOf({ endpoints: [tcp], metadata: { 'rollcall.metrics': '9464' } })).toBe('10.0.0.6:9464');
    expect(targetOf({ endpoints: [{ ...http, host: '::1' }] })).toBe('[::1]:3000');
  });

  it('is omitted without either, or if the announcement is invalid', () => {
    expect(targetOf({ endpoints: [tcp] })).toBeUndefined();
    for (const announced of ['none', '0', '65536', '9464 /x', '9464/a b', 'evil.example:80', ''])
      expect(targetOf({ endpoints: [http], metadata: { 'rollcall.metrics': announced } })).toBeUndefined();
  });

  it('is labelled as announced by the instance, or only assumed', () => {
    expect(kindOf({})).toBe('assumed');
    expect(kindOf({ 'rollcall.metrics': '3000' })).toBe('announced');
    expect(kindOf({ 'prom.port': '9464' }, 'prom.port')).toBe('announced');
  });

  it('is announced by another key of its metadata, and by that alone', () => {
    const metadata = { 'rollcall.metrics': '1', 'prom.port': '9464' };
    expect(targetOf({ endpoints: [http], metadata }, 'prom.port')).toBe('10.0.0.5:9464');
    expect(targetOf({ endpoints: [http] }, 'prom.port')).toBeUndefined();
  });

  it('has labels that describe it', () => {
    const metadata = { 'rollcall.metrics': '9464/internal/metrics', team: 'blue', 'a.b-c': 'd' };
    expect(groupOf(sampleInstance({ endpoints: [http], metadata }), null)?.labels).toEqual({
      __meta_rollcall_service: 'orders',
      __meta_rollcall_namespace: 'default',
      __meta_rollcall_instance: 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456789ab',
      __meta_rollcall_version: '1.4.2',
      __meta_rollcall_zone: 'eu-1a',
      __meta_rollcall_state: 'HEALTHY',
      __meta_rollcall_metrics: 'announced',
      __meta_rollcall_metadata_rollcall_metrics: '9464/internal/metrics',
      __meta_rollcall_metadata_team: 'blue',
      __meta_rollcall_metadata_a_b_c: 'd',
      __metrics_path__: '/internal/metrics',
    });
    expect(groupOf(sampleInstance({ endpoints: [{ ...http, tls: true }] }), null)?.labels).toMatchObject({
      __scheme__: 'https',
    });
  });
});

async function served(
  fixture: RegistryFixture,
): Promise<(query?: string) => Promise<{ status: number; body: unknown }>> {
  const server = await serveRegistry({ registry: fixture.registry, port: 0 });
  onTestFinished(async () => {
    await server.close();
    await fixture.registry.close();
  });
  return async (query = '') => {
    const answer = await fetch(`${server.url}/sd/prometheus${query}`);
    if (answer.ok) expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    return { status: answer.status, body: await answer.json() };
  };
}

describe('GET /sd/prometheus', () => {
  it('answers with an error, never with an empty list, until the registry is settled', async () => {
    const fixture = new RegistryFixture();
    const ask = await served(fixture);
    expect(await ask()).toMatchObject({ status: 503, body: { code: 'NOT_READY' } });
    await fixture.registry.start();
    expect(await ask()).toMatchObject({ status: 503, body: { code: 'NOT_READY' } });
    fixture.time.advance(11 * SECOND);
    expect(await ask()).toEqual({ status: 200, body: [] });
  });

  it('lists the instances of all services, or of the requested ones', async () => {
    const fixture = await RegistryFixture.start();
    const ask = await served(fixture);
    const metadata = { 'rollcall.metrics': '9464' };
    for (const [id, service, port] of [
      ['a-1', 'a', 3001],
      ['b-1', 'b', 3002],
    ] as const) {
      fixture.addService(id, port);
      expect(await fixture.register(id, port, { service, metadata, secret: SECRET })).toMatchObject({ ok: true });
    }
    fixture.time.advance(11 * SECOND);
    const all = await ask();
    expect(all.body).toMatchObject([
      { targets: ['10.0.0.5:9464'], labels: { __meta_rollcall_instance: 'a-1', __meta_rollcall_state: 'HEALTHY' } },
      { targets: ['10.0.0.5:9464'], labels: { __meta_rollcall_instance: 'b-1' } },
    ]);
    expect((await ask('?service=*')).body).toEqual(all.body);
    expect((await ask('?service=b')).body).toMatchObject([{ labels: { __meta_rollcall_service: 'b' } }]);
    expect((await ask('?namespace=shop')).body).toEqual([]);
    expect((await ask('?port-from-metadata=other')).body).toEqual([]);
    expect(await ask('?service=A_B')).toMatchObject({ status: 400 });
    expect(await ask('?port-from-metadata=')).toMatchObject({ status: 400 });
  });
});
