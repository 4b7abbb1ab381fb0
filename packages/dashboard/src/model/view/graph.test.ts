import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ServiceEdge } from '../live/answers.js';
import { byImpairment, isCut, isImpaired, successOf, toneOf } from './edge.js';
import { edgeKey, layOut, NODE_HEIGHT, NODE_WIDTH } from './graph.js';

const edge = (from: string, to: string, overrides: Partial<ServiceEdge> = {}): ServiceEdge => ({
  namespace: 'default',
  from,
  to,
  callers: 1,
  calls: 1_000,
  callsPerSecond: 200,
  failures: 0,
  retries: 0,
  p50Ms: 1,
  p99Ms: 9,
  inFlight: 0,
  ageMs: 0,
  circuits: { closed: 0, open: 0, halfOpen: 0 },
  targets: [],
  ...overrides,
});

describe('the graph', () => {
  it('draws each service once, without overlaps, for any calls', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(name, name), { selector: (pair) => pair.join('>'), maxLength: 20 }),
        async (pairs) => {
          const edges = pairs.map(([from, to]) => edge(from, to));
          const { nodes, edges: placed } = await layOut(edges);
          expect(nodes.map(({ name: first }) => first).toSorted()).toEqual([...new Set(pairs.flat())].toSorted());
          expect(placed.map((first) => edgeKey(first.edge)).toSorted()).toEqual(edges.map(edgeKey).toSorted());
          for (const [at, first] of nodes.entries()) {
            for (const second of nodes.slice(at + 1)) {
              const isApart = Math.abs(first.x - second.x) >= NODE_WIDTH || Math.abs(first.y - second.y) >= NODE_HEIGHT;
              expect(isApart, `${first.key} and ${second.key}`).toBe(true);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('puts a caller to the left of its callees', async () => {
    const { nodes } = await layOut([edge('gateway', 'orders'), edge('orders', 'payments')]);
    const x = (name: string): number => nodes.find((node) => node.name === name)?.x ?? 0;
    expect(x('gateway')).toBeLessThan(x('orders'));
    expect(x('orders')).toBeLessThan(x('payments'));
  });
});

describe('an edge', () => {
  it('takes its state from the attempts, not from the calls', () => {
    expect(successOf(edge('a', 'b', { retries: 2 }))).toBeCloseTo(0.998);
    expect(toneOf(edge('a', 'b', { retries: 1 }))).toBe('');
    expect(toneOf(edge('a', 'b', { retries: 5 }))).toBe('unhealthy');
    expect(toneOf(edge('a', 'b', { failures: 30 }))).toBe('critical');
    expect(successOf(edge('a', 'b', { calls: 0 }))).toBeNull();
  });

  it('sorts the worst first, then the busiest', () => {
    const edges = [
      edge('a', 'b'),
      edge('a', 'c', { callsPerSecond: 900 }),
      edge('a', 'd', { retries: 5 }),
      edge('a', 'e', { failures: 30 }),
    ];
    expect(edges.toSorted(byImpairment).map(({ to }) => to)).toEqual(['e', 'd', 'c', 'b']);
  });

  it('counts as impaired by an open circuit, although no call failed', () => {
    const circuits = { closed: 3, open: 1, halfOpen: 0 };
    const cut = edge('a', 'b', {
      circuits,
    });
    expect(isCut(cut)).toBe(true);
    expect(isImpaired(cut)).toBe(true);
    expect(isImpaired(edge('a', 'b'))).toBe(false);
  });
});
