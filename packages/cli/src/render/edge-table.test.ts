import { describe, expect, it } from 'vitest';
import type { Edge } from '../registry/traffic.js';
import { columnsOf } from '../terminal/columns.js';
import { edgeTable } from './edge-table.js';

const edge = (from: string, to: string, but: Partial<Edge> = {}): Edge => ({
  namespace: 'default',
  from,
  to,
  perSecond: 2,
  calls: 10,
  failures: 0,
  retries: 0,
  p99Ms: 42,
  inFlight: 0,
  ageMs: 900,
  targets: [],
  ...but,
});
const open = { instance: 'b-1', perSecond: 1, failures: 0, p99Ms: null, circuitsOpen: 1 };
const EDGES = [
  edge('web', 'users', { perSecond: 900 }),
  edge('web', 'orders', { failures: 1 }),
  edge('web', 'mailer', { targets: [open, { ...open, circuitsOpen: 0 }] }),
  edge('web', 'vouchers', { calls: 4, failures: 4 }),
];
const ROOM = { hasNamespaces: false, width: Infinity, maxEdges: Infinity };

describe('the table of edges', () => {
  it('sorts by the share of failures, then by open circuits, then by calls', () => {
    const called = edgeTable(EDGES, ROOM).map((line) => line.split(/\s+/)[1]);
    expect(called).toEqual(['CALLED', 'vouchers', 'orders', 'mailer', 'users']);
    expect(edgeTable(EDGES, ROOM)[1]).toMatch(/^web +vouchers +2\.0\/s +0\.00 % +4 of 4 +0 +42 ms +–$/);
    expect(edgeTable(EDGES, ROOM)[3]).toMatch(/open to 1 of 2$/);
  });

  it('reports whether calls of hidden edges fail', () => {
    expect(edgeTable(EDGES, { ...ROOM, maxEdges: 2 }).at(-1)).toBe('… and 2 more, none of their calls failed: --all');
    expect(edgeTable(EDGES, { ...ROOM, maxEdges: 1 }).at(-1)).toBe('… and 3 more, calls of 1 of them failed: --all');
  });

  it('shows namespaces if there are several, and is no wider than the terminal', () => {
    expect(edgeTable(EDGES, { ...ROOM, hasNamespaces: true })[1]).toMatch(/^default\/web +default\/vouchers /);
    const long = [edge('c'.repeat(63), 'd'.repeat(63), { targets: [open] }), edge('e'.repeat(63), 'web')];
    for (const width of [100, 120, 160]) {
      const lines = edgeTable(long, { ...ROOM, hasNamespaces: true, width });
      expect(lines.filter((line) => columnsOf(line) > width)).toEqual([]);
      expect(lines[1]).toMatch(/open to 1 of 1$/);
    }
  });
});
