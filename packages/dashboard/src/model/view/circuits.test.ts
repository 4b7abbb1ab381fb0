import { expect, it } from 'vitest';
import type { Circuits, ServiceEdge, TargetEdge } from '../live/answers.js';
import { matchesCircuit, circuitsById } from './circuits.js';

const CLOSED: Circuits = { closed: 1, open: 0, halfOpen: 0 };

const target = (instance: string, circuits: Partial<Circuits>): TargetEdge => ({
  instance,
  callsPerSecond: 1,
  failures: 0,
  p99Ms: null,
  circuits: { ...CLOSED, ...circuits },
});

const edge = (targets?: readonly TargetEdge[]): ServiceEdge => ({
  namespace: 'default',
  from: 'gateway',
  to: 'orders',
  callers: 1,
  calls: 1,
  callsPerSecond: 1,
  failures: 0,
  retries: 0,
  p50Ms: null,
  p99Ms: null,
  inFlight: 0,
  ageMs: 0,
  circuits: CLOSED,
  ...(targets === undefined ? {} : { targets }),
});

it('sums the circuits of all callers for each instance', () => {
  const sums = circuitsById([
    edge([target('orders-1', { open: 2 }), target('orders-2', {})]),
    edge([target('orders-1', { halfOpen: 1 })]),
    edge(),
  ]);
  expect(Object.fromEntries(sums)).toEqual({
    'orders-1': { closed: 2, open: 2, halfOpen: 1 },
    'orders-2': CLOSED,
  });
});

it.each([
  ['open', { ...CLOSED, open: 1 }, true],
  ['open', { ...CLOSED, halfOpen: 1 }, false],
  ['open', undefined, false],
  ['half-open', { ...CLOSED, halfOpen: 1 }, true],
  ['half-open', CLOSED, false],
  ['', undefined, true],
  ['shut', CLOSED, true],
])('applies the filter circuit=%s to %j: %s', (circuit, of, isListed) =>
  expect(matchesCircuit({ circuit }, of)).toBe(isListed),
);
