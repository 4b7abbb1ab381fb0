import { beatMessage, MOST_EDGES } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { EdgeNews } from './edge-news.js';
import type { EdgeStats } from './edges.js';

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
  ...fields,
});

describe('EdgeNews', () => {
  it('tells each window once, rounded, and nothing where nothing was called', () => {
    let seen: readonly EdgeStats[] = [];
    const news = new EdgeNews(() => seen);
    expect(news.take()).toEqual([]);
    seen = [stats('orders', 1), stats('users', 1)];
    const { window: _, ...edge } = stats('orders', 1, { p50Ms: 1.2 });
    expect(news.take()).toEqual([edge, { ...edge, service: 'users' }]);
    expect(news.take()).toEqual([]);
    seen = [stats('orders', 2), stats('users', 1)];
    expect(news.take()).toEqual([edge]);
  });

  it('tells of the busiest 64 services, which fit into a beat however long their names are', () => {
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
    const edges = new EdgeNews(() => seen).take();
    expect(edges).toHaveLength(MOST_EDGES);
    expect(Math.min(...edges.map(({ calls }) => calls))).toBe(1_000_136);
    const beat = { nonce: 'x'.repeat(64), seq: Number.MAX_SAFE_INTEGER, edges };
    expect(JSON.stringify(beat).length).toBeLessThan(16 * 1024);
    expect(beatMessage.parse(beat)).toEqual({ ok: true, value: beat });
  });
});
