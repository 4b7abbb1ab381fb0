import { beatMessage, MAX_EDGES, MAX_TARGETS } from '@rollcall/core';
import type { EdgeTarget } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { CallReport } from './call-report.js';

const stats = (service: string, window: number, fields: Partial<EdgeStats> = {}): EdgeStats => ({
  service,
  window,
  windowMs: 5_000,
  calls: 10,
  failures: 1,
  retries: 2,
  p50Ms: 1.23456,
  p99Ms: null,
  inFlight: 3,
  targets: [],
  ...fields,
});

const target = (n: number, fields: Partial<EdgeTarget> = {}): EdgeTarget => ({
  instance: `orders-0192f0c1-7a3b-7c4d-8e5f-000000000${String(n).padStart(3, '0')}`,
  calls: 10,
  failures: 0,
  p99Ms: 2.5,
  circuit: 'closed',
  ...fields,
});

describe('CallReport', () => {
  it('reports each window once, rounded, and is empty if no service was called', () => {
    let seen: readonly EdgeStats[] = [];
    const news = new CallReport(() => seen);
    expect(news.take()).toEqual([]);
    seen = [stats('orders', 1), stats('users', 1)];
    const { targets: _, ...edge } = stats('orders', 1, { p50Ms: 1.2 });
    expect(news.take()).toEqual([edge, { ...edge, service: 'users' }]);
    expect(news.take()).toEqual([]);
    // a registry keeps only the last report, so each report is complete
    seen = [stats('orders', 2), stats('users', 1)];
    expect(news.take()).toEqual([
      { ...edge, window: 2 },
      { ...edge, service: 'users' },
    ]);
  });

  it('reports a circuit that opens or closes at once, even within the same window', () => {
    let circuit: EdgeTarget['circuit'] = 'closed';
    const news = new CallReport(() => [stats('orders', 1, { targets: [target(1, { circuit })] })]);
    const circuits = () => news.take().flatMap(({ targets = [] }) => targets.map((one) => one.circuit));
    expect(circuits()).toEqual(['closed']);
    circuit = 'open';
    expect(circuits()).toEqual(['open']);
    expect(circuits()).toEqual([]);
    circuit = 'half-open';
    expect(circuits()).toEqual(['half-open']);
    circuit = 'closed';
    expect(circuits()).toEqual(['closed']);
    expect(circuits()).toEqual([]);
  });

  it('reports every service, and then the targets with the most failures as far as they fit', () => {
    const targets = Array.from({ length: 200 }, (_, n) => target(n));
    const seen = Array.from({ length: MAX_EDGES }, (_, n) => stats(`service-${n}`, 1, { targets }));
    const broken = [
      target(198, { circuit: 'half-open' }),
      target(199, { circuit: 'open' }),
      target(7, { failures: 9 }),
    ];
    seen.push(stats('quiet', 1, { calls: 11, targets: broken }));
    const edges = new CallReport(() => seen).take();
    expect(edges).toHaveLength(MAX_EDGES);
    expect(edges[0]?.targets?.slice(0, 3).map(({ instance }) => instance.slice(-3))).toEqual(['199', '198', '007']);
    const count = edges.reduce((sum, edge) => sum + (edge.targets ?? []).length, 0);
    expect(count).toBeGreaterThan(20);
    const beat = { nonce: 'x'.repeat(64), seq: Number.MAX_SAFE_INTEGER, edges };
    expect(JSON.stringify(beat).length).toBeLessThan(16 * 1024);
    expect(beatMessage.parse(beat)).toEqual({ ok: true, value: beat });
  });

  it('reports at most 200 targets', () => {
    const targets = Array.from({ length: 300 }, (_, n) => ({ ...target(n), instance: `o-${n}`, p99Ms: null }));
    const [edge] = new CallReport(() => [stats('orders', 1, { targets })]).take();
    expect(edge?.targets?.length).toBeLessThanOrEqual(MAX_TARGETS);
    expect(edge?.targets?.length).toBeGreaterThan(150);
  });

  it('reports the 64 busiest services, which fit into a beat with names of any length', () => {
    const seen = Array.from({ length: 200 }, (_, n) =>
      stats(`${'x'.repeat(60)}${n}`, 1_000_000, {
        calls: 1_000_000 + n,
        failures: 1_000_000,
        retries: 1_000_000,
        p50Ms: 123_456.789,
        p99Ms: 1_234_567.89,
        inFlight: 100_000,
      }),
    );
    const edges = new CallReport(() => seen).take();
    expect(edges).toHaveLength(MAX_EDGES);
    expect(Math.min(...edges.map(({ calls }) => calls))).toBe(1_000_136);
    const beat = { nonce: 'x'.repeat(64), seq: Number.MAX_SAFE_INTEGER, edges };
    expect(JSON.stringify(beat).length).toBeLessThan(16 * 1024);
    expect(beatMessage.parse(beat)).toEqual({ ok: true, value: beat });
  });
});
