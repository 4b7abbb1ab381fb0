import { describe, expect, it } from 'vitest';
import type { Fault, FaultKind } from './faults.js';
import { FOREVER_MS } from './plan.js';
import { newSimulation, runUntil, hasDecided, HEALED_AFTER, MINUTE, SECOND, states } from './scenario.js';
import type { Simulation } from './simulation.js';

/** The registry is down from 0 to here; it does not observe what happens to instances meanwhile. */
const RESTARTED_AT = 20 * SECOND;
const isDown: Fault = { kind: 'crash', target: 'registry', at: 0, forMs: RESTARTED_AT };

const dead = (target: string): Fault => ({ kind: 'crash', target, at: 10 * SECOND, forMs: FOREVER_MS });

/**
 * From before the registry is back, until `forMs` later: nothing comes through in either direction, and connections are
 * refused.
 */
function rejectConnections(target: string, forMs: number): readonly Fault[] {
  const kinds: readonly FaultKind[] = ['refuse-in', 'block-out', 'no-line'];
  return kinds.map((kind) => ({ kind, target, at: 10 * SECOND, forMs: RESTARTED_AT - 10 * SECOND + forMs }));
}

const some = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `orders-${from + index}`);

function allowanceOf(sim: Simulation) {
  const about = sim.registry.registry?.describe();
  if (about?.ok !== true) throw new Error('The registry does not say how it is.');
  return about.value.preservation.registry;
}

/** The instances about which the restarted registry logged a matching decision. */
function instancesWithDecision(sim: Simulation, what: string): readonly string[] {
  const lines = sim.ledger.trace.map((line) => line.split(' '));
  const since = lines.filter(([ms]) => Number(ms) >= 20 * SECOND + RESTARTED_AT);
  return [...new Set(since.filter(([, , state]) => state === what).map(([, name]) => name ?? ''))].toSorted();
}

describe('a registry that restarts on its store after some instances died', { timeout: 60_000 }, () => {
  it.each([
    [2, 12],
    [8, 12],
    [11, 12],
  ])('removes %i dead of %i within a minute, no others, and spends no allowance', async (count, all) => {
    const sim = newSimulation({
      services: { orders: all },
      hosts: 1,
      isDurable: true,
      faults: [isDown, ...some(1, count).map(dead)],
    });
    await runUntil(sim, RESTARTED_AT + 40 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: all - count });
    expect(instancesWithDecision(sim, 'CRITICAL')).toEqual([...some(1, count)].toSorted());
    expect(allowanceOf(sim)).toMatchObject({ used: 0, total: all - count, silent: 0, rule: null });
    await runUntil(sim, RESTARTED_AT + 2 * MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: all - count });
  });

  it('removes 50 that ended while 50 new ones started, on four hosts', async () => {
    const sim = newSimulation({
      services: { orders: 50, parcels: 50 },
      hosts: 4,
      isDurable: true,
      faults: [{ kind: 'crash', target: 'parcels', at: -18 * SECOND, forMs: 37 * SECOND }, isDown, dead('orders')],
    });
    await runUntil(sim, -1);
    expect([states(sim), states(sim, 'parcels')]).toEqual([{ HEALTHY: 50 }, {}]);
    await runUntil(sim, RESTARTED_AT + MINUTE);
    expect([states(sim), states(sim, 'parcels')]).toEqual([{}, { HEALTHY: 50 }]);
    expect(allowanceOf(sim)).toMatchObject({ used: 0, total: 50, silent: 0 });
  });

  it('has the whole allowance for instances that fall silent afterwards', async () => {
    const sim = newSimulation({
      services: { orders: 12 },
      hosts: 2,
      isDurable: true,
      faults: [
        isDown,
        ...some(1, 6).map(dead),
        { kind: 'stop', target: 'orders-12', at: RESTARTED_AT + 30 * SECOND, forMs: FOREVER_MS },
      ],
    });
    await runUntil(sim, RESTARTED_AT + 30 * SECOND + 45 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 5 });
    expect(allowanceOf(sim)).toMatchObject({ used: 1 });
  });
});

describe('a registry that restarts while connections to live instances are refused', { timeout: 60_000 }, () => {
  it.each([1, 2, 3, 6])(
    'removes none when both directions fail on all of %i hosts, and lists all again',
    async (hosts) => {
      const faults = [isDown, ...rejectConnections('orders', 5 * MINUTE)];
      const sim = newSimulation({ services: { orders: 6 }, hosts, isDurable: true, faults });
      await runUntil(sim, RESTARTED_AT + 5 * MINUTE - 1);
      expect(states(sim)).toEqual({ UNHEALTHY: 6 });
      expect(hasDecided(sim, 'CRITICAL')).toBe(false);
      await runUntil(sim, RESTARTED_AT + 5 * MINUTE + HEALED_AFTER + 5 * SECOND);
      expect(states(sim)).toEqual({ HEALTHY: 6 });
      expect(hasDecided(sim, 'removed')).toBe(false);
    },
  );

  it('removes only the usual allowance when both directions fail on two hosts of six, and lists all again', async () => {
    const faults = [isDown, ...rejectConnections('orders-1', 5 * MINUTE), ...rejectConnections('orders-2', 5 * MINUTE)];
    const sim = newSimulation({ services: { orders: 12 }, hosts: 6, isDurable: true, faults });
    await runUntil(sim, RESTARTED_AT + 5 * MINUTE - 1);
    expect(instancesWithDecision(sim, 'CRITICAL')).toHaveLength(1);
    await runUntil(sim, RESTARTED_AT + 5 * MINUTE + 30 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 12 });
  });

  it('removes none when only its own connections are refused and instances beat', async () => {
    const refused: Fault = { kind: 'refuse-in', target: 'orders-1', at: 10 * SECOND, forMs: 5 * MINUTE };
    const sim = newSimulation({ services: { orders: 12 }, hosts: 3, isDurable: true, faults: [isDown, refused] });
    await runUntil(sim, 5 * MINUTE);
    expect(instancesWithDecision(sim, 'CRITICAL').length).toBeLessThanOrEqual(1);
    expect(hasDecided(sim, 'removed')).toBe(false);
  });

  it('treats instances that are cut off or frozen as silent, not as dead', async () => {
    const faults: Fault[] = [
      isDown,
      { kind: 'cut', target: 'orders-1', at: 10 * SECOND, forMs: 3 * MINUTE },
      ...['orders-2', 'orders-5', 'orders-8'].map((target): Fault => {
        return { kind: 'stop', target, at: 10 * SECOND, forMs: 3 * MINUTE };
      }),
    ];
    const sim = newSimulation({ services: { orders: 12 }, hosts: 3, isDurable: true, faults });
    await runUntil(sim, 3 * MINUTE);
    expect(instancesWithDecision(sim, 'CRITICAL').length).toBeLessThanOrEqual(1);
    await runUntil(sim, 3 * MINUTE + 30 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 12 });
  });
});
