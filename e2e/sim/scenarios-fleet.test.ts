import { describe, expect, it } from 'vitest';
import { FOREVER_MS } from './plan.js';
import {
  newSimulation,
  runUntil,
  CRITICAL_BY,
  hasDecided,
  HOUR,
  countKnown,
  MINUTE,
  SECOND,
  stateOf,
  states,
  clientAt,
} from './scenario.js';

describe('self-preservation', { timeout: 60_000 }, () => {
  it('holds two silent instances of two for an hour, then removes one', async () => {
    const sim = newSimulation({
      services: { orders: 2 },
      faults: [{ kind: 'power', target: 'orders', at: 0, forMs: FOREVER_MS }],
    });
    await runUntil(sim, 59 * MINUTE);
    expect(states(sim)).toEqual({ UNHEALTHY: 2 });
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY PRESERVED');
    expect(sim.registry.registry?.describe()).toMatchObject({ value: { preservation: { active: true } } });
    await runUntil(sim, 61 * MINUTE);
    expect(states(sim)).toEqual({ UNHEALTHY: 1 });
  });

  it('removes 15 % in ten minutes while half of 40 are silent for 15 minutes, and lists all of them again after', async () => {
    const faults = Array.from({ length: 20 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 0, forMs: 15 * MINUTE } as const;
    });
    const sim = newSimulation({ services: { orders: 40 }, faults });
    await runUntil(sim, 5 * MINUTE);
    expect(sim.ledger.view('orders')?.instances).toHaveLength(34);
    await runUntil(sim, 15 * MINUTE - 1);
    expect(sim.ledger.view('orders')?.instances).toHaveLength(28);
    await runUntil(sim, 15 * MINUTE + 13 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 40 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('holds all instances while more than half of 40 are silent', async () => {
    const faults = Array.from({ length: 21 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 0, forMs: 15 * MINUTE } as const;
    });
    const sim = newSimulation({ services: { orders: 40 }, faults });
    await runUntil(sim, 15 * MINUTE - 1);
    expect(states(sim)).toEqual({ HEALTHY: 19, UNHEALTHY: 21 });
    await runUntil(sim, 15 * MINUTE + 13 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 40 });
  });

  it('removes the 20 % that are really dead, as fast as it may', async () => {
    const faults = Array.from({ length: 8 }, (_, index) => {
      return { kind: 'power', target: `orders-${index + 1}`, at: 0, forMs: FOREVER_MS } as const;
    });
    const sim = newSimulation({ services: { orders: 40 }, faults });
    await runUntil(sim, MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: 32, UNHEALTHY: 2 });
    await runUntil(sim, 12 * MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: 32 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('is not disabled by 25 registrations of closed ports beside 20 live instances', async () => {
    const ghosts = { kind: 'ghosts', target: 'registry', at: 0, forMs: 5 } as const;
    const one = { kind: 'power', target: 'orders-1', at: MINUTE, forMs: FOREVER_MS } as const;
    const sim = newSimulation({ services: { orders: 20 }, faults: [ghosts, one] });
    await runUntil(sim, 5 * SECOND);
    expect(states(sim, 'ghosts')).toEqual({ REGISTERING: 25 });
    await runUntil(sim, MINUTE);
    expect(states(sim, 'ghosts')).toEqual({});
    expect(states(sim)).toEqual({ HEALTHY: 20 });
    await runUntil(sim, MINUTE + CRITICAL_BY);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL SILENT');
    await runUntil(sim, MINUTE + 33 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 19 });
  });

  it('still works with 25 registrations of closed ports: 11 of 20 that fall silent are held', async () => {
    const ghosts = { kind: 'ghosts', target: 'registry', at: 0, forMs: 5 } as const;
    const silent = Array.from({ length: 11 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 5 * SECOND, forMs: MINUTE } as const;
    });
    const sim = newSimulation({ services: { orders: 20 }, faults: [ghosts, ...silent] });
    await runUntil(sim, MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: 9, UNHEALTHY: 11 });
  });
});

describe('a registry that restarts', { timeout: 60_000 }, () => {
  for (const isDurable of [false, true]) {
    const kept = isDurable ? 'with its store' : 'with an empty store';
    it(`shrinks no list while 30 % are silent, ${kept}, and lists the others within an interval`, async () => {
      const silent = [1, 2, 3].map((index) => {
        return { kind: 'cut', target: `orders-${index}`, at: 0, forMs: 90 * SECOND } as const;
      });
      const restart = { kind: 'crash', target: 'registry', at: 10 * SECOND, forMs: 2 * SECOND } as const;
      const sim = newSimulation({ services: { orders: 10 }, isDurable, faults: [...silent, restart] });
      await runUntil(sim, 17.5 * SECOND);
      expect(states(sim)['HEALTHY']).toBe(7);
      expect(clientAt(sim, 'gateway-1').service('orders').instances).toHaveLength(10);
      await runUntil(sim, 90 * SECOND + 13 * SECOND);
      expect(states(sim)).toEqual({ HEALTHY: 10 });
      expect(sim.ledger.failedCalls).toBe(0);
    });
  }

  it('loses no instance when it is cut off from all before any is proved, with an empty store', async () => {
    const sim = newSimulation({
      services: { orders: 6 },
      faults: [
        { kind: 'crash', target: 'registry', at: 0, forMs: SECOND },
        { kind: 'cut', target: 'orders', at: SECOND + 300, forMs: 2 * MINUTE },
      ],
    });
    await runUntil(sim, 2 * MINUTE);
    expect(countKnown(sim)).toBe(6);
    await runUntil(sim, 2 * MINUTE + 14.3 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 6 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('interrupts no calls after an hour, and has the full view within an interval', async () => {
    const sim = newSimulation({ faults: [{ kind: 'crash', target: 'registry', at: 0, forMs: HOUR }] });
    await runUntil(sim, HOUR - 1);
    expect(countKnown(sim)).toBe(3);
    await runUntil(sim, HOUR + 5.5 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

describe('a laptop that runs everything', { timeout: 60_000 }, () => {
  it('keeps all instances HEALTHY through an hour of sleep, without an incident', async () => {
    const faults = ['registry', 'all', 'gateway-1'].map((target) => {
      return { kind: 'stop', target, at: 0, forMs: HOUR } as const;
    });
    const sim = newSimulation({ isLaptop: true, services: { orders: 2, billing: 1 }, faults });
    await runUntil(sim, HOUR + 12 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 2 });
    expect(states(sim, 'billing')).toEqual({ HEALTHY: 1 });
    expect(hasDecided(sim, 'CRITICAL')).toBe(false);
  });
});

describe('a shared address', { timeout: 60_000 }, () => {
  it('makes neither of two cluster workers HEALTHY and sends the reason to both, until one is gone', async () => {
    const sim = newSimulation({
      services: { orders: 2 },
      isClustered: true,
      faults: [{ kind: 'crash', target: 'orders-2', at: MINUTE, forMs: FOREVER_MS }],
    });
    await runUntil(sim, MINUTE - 1);
    expect(states(sim)).toEqual({ UNHEALTHY: 2 });
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY ADDRESS_SHARED');
    expect(countKnown(sim)).toBe(2);
    await runUntil(sim, 2 * MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: 1 });
  });

  it('is refused to an attacker that knows a removed id', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'power', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'thief', target: 'orders-1', at: MINUTE, forMs: 5 * MINUTE },
      ],
    });
    await runUntil(sim, 6 * MINUTE);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    expect(states(sim)).toEqual({ HEALTHY: 2 });
  });
});

describe('a caller that is cut off', { timeout: 60_000 }, () => {
  for (const [minutes, what] of [
    [2, 'resumes'],
    [15, 'gets a whole new view as the tombstone has been dropped'],
  ] as const) {
    it(`${what} after ${minutes} minutes, without the instance that an operator removed`, async () => {
      const sim = newSimulation({
        faults: [
          { kind: 'cut', target: 'gateway-1', at: 0, forMs: minutes * MINUTE },
          { kind: 'operator', target: 'orders-1', at: 10 * SECOND, forMs: 5 },
        ],
      });
      await runUntil(sim, minutes * MINUTE - 1);
      expect(countKnown(sim)).toBe(3);
      expect(states(sim)).toEqual({ HEALTHY: 2 });
      await runUntil(sim, minutes * MINUTE + 32 * SECOND);
      expect(clientAt(sim, 'gateway-1').service('orders').instances).toHaveLength(2);
    });
  }

  it('gets an empty view when the last instance of a service leaves meanwhile, even when its tombstone has been dropped', async () => {
    const sim = newSimulation({
      services: { orders: 1, billing: 1 },
      faults: [
        { kind: 'cut', target: 'gateway-1', at: 0, forMs: 15 * MINUTE },
        { kind: 'drain', target: 'orders-1', at: 10 * SECOND, forMs: FOREVER_MS },
      ],
    });
    await runUntil(sim, 15 * MINUTE - 1);
    expect(sim.ledger.view('orders')).toBe(null);
    await runUntil(sim, 15 * MINUTE + 32 * SECOND);
    expect(clientAt(sim, 'gateway-1').service('orders').instances).toEqual([]);
  });
});

describe('ordinary operation', { timeout: 60_000 }, () => {
  it('fails no call during a rolling restart', async () => {
    const faults = [1, 2, 3].map((index) => {
      return { kind: 'drain', target: `orders-${index}`, at: index * 20 * SECOND, forMs: SECOND } as const;
    });
    const sim = newSimulation({ faults });
    await runUntil(sim, 80 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('makes no instance CRITICAL in six hours with 5 % loss and 50 ms jitter, and none UNHEALTHY more than once', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'lossy', target: 'registry', at: 0, forMs: 6 * HOUR, amount: 0.05 },
        { kind: 'slow', target: 'registry', at: 0, forMs: 6 * HOUR, amount: 50 },
      ],
    });
    await runUntil(sim, 6 * HOUR);
    expect(hasDecided(sim, 'CRITICAL')).toBe(false);
    const falls = sim.ledger.trace.filter((line) => line.includes('UNHEALTHY'));
    expect(falls.length).toBeLessThanOrEqual(3);
  });
});
