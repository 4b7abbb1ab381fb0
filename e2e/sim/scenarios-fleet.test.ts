import { describe, expect, it } from 'vitest';
import { FOREVER_MS } from './plan.js';
import {
  aTown,
  at,
  CRITICAL_BY,
  decided,
  HOUR,
  knownTo,
  MINUTE,
  SECOND,
  stateOf,
  states,
  tenantAt,
} from './scenario.js';

describe('self-preservation', { timeout: 60_000 }, () => {
  it('holds two of two for an hour, then lets go of one', async () => {
    const town = aTown({
      services: { orders: 2 },
      faults: [{ kind: 'power', target: 'orders', at: 0, forMs: FOREVER_MS }],
    });
    await at(town, 59 * MINUTE);
    expect(states(town)).toEqual({ UNHEALTHY: 2 });
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY PRESERVED');
    expect(town.registry.registry?.describe()).toMatchObject({ value: { preservation: { active: true } } });
    await at(town, 61 * MINUTE);
    expect(states(town)).toEqual({ UNHEALTHY: 1 });
  });

  it('lets 15 % in ten minutes go while half of 40 are silent for 15 minutes, and has all of them back', async () => {
    const faults = Array.from({ length: 20 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 0, forMs: 15 * MINUTE } as const;
    });
    const town = aTown({ services: { orders: 40 }, faults });
    await at(town, 5 * MINUTE);
    expect(town.ledger.view('orders')?.instances).toHaveLength(34);
    await at(town, 15 * MINUTE - 1);
    expect(town.ledger.view('orders')?.instances).toHaveLength(28);
    await at(town, 15 * MINUTE + 13 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 40 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('holds all while more than half of 40 are silent', async () => {
    const faults = Array.from({ length: 21 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 0, forMs: 15 * MINUTE } as const;
    });
    const town = aTown({ services: { orders: 40 }, faults });
    await at(town, 15 * MINUTE - 1);
    expect(states(town)).toEqual({ HEALTHY: 19, UNHEALTHY: 21 });
    await at(town, 15 * MINUTE + 13 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 40 });
  });

  it('gets rid of the 20 % that are truly dead, as fast as it may', async () => {
    const faults = Array.from({ length: 8 }, (_, index) => {
      return { kind: 'power', target: `orders-${index + 1}`, at: 0, forMs: FOREVER_MS } as const;
    });
    const town = aTown({ services: { orders: 40 }, faults });
    await at(town, MINUTE);
    expect(states(town)).toEqual({ HEALTHY: 32, UNHEALTHY: 2 });
    await at(town, 12 * MINUTE);
    expect(states(town)).toEqual({ HEALTHY: 32 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('is not switched off by 25 registrations of closed ports beside 20 live instances', async () => {
    const ghosts = { kind: 'ghosts', target: 'registry', at: 0, forMs: 5 } as const;
    const one = { kind: 'power', target: 'orders-1', at: MINUTE, forMs: FOREVER_MS } as const;
    const town = aTown({ services: { orders: 20 }, faults: [ghosts, one] });
    await at(town, 5 * SECOND);
    expect(states(town, 'ghosts')).toEqual({ REGISTERING: 25 });
    await at(town, MINUTE);
    expect(states(town, 'ghosts')).toEqual({});
    expect(states(town)).toEqual({ HEALTHY: 20 });
    await at(town, MINUTE + CRITICAL_BY);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL SILENT');
    await at(town, MINUTE + 33 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 19 });
  });

  it('still works with 25 registrations of closed ports: 11 of 20 that fall silent are held', async () => {
    const ghosts = { kind: 'ghosts', target: 'registry', at: 0, forMs: 5 } as const;
    const silent = Array.from({ length: 11 }, (_, index) => {
      return { kind: 'cut', target: `orders-${index + 1}`, at: 5 * SECOND, forMs: MINUTE } as const;
    });
    const town = aTown({ services: { orders: 20 }, faults: [ghosts, ...silent] });
    await at(town, MINUTE);
    expect(states(town)).toEqual({ HEALTHY: 9, UNHEALTHY: 11 });
  });
});

describe('a registry that restarts', { timeout: 60_000 }, () => {
  for (const isDurable of [false, true]) {
    const kept = isDurable ? 'with its store' : 'with an empty store';
    it(`${kept} while 30 % are silent: no list shrinks, the others are there within an interval`, async () => {
      const silent = [1, 2, 3].map((index) => {
        return { kind: 'cut', target: `orders-${index}`, at: 0, forMs: 90 * SECOND } as const;
      });
      const restart = { kind: 'crash', target: 'registry', at: 10 * SECOND, forMs: 2 * SECOND } as const;
      const town = aTown({ services: { orders: 10 }, isDurable, faults: [...silent, restart] });
      await at(town, 17.5 * SECOND);
      expect(states(town)['HEALTHY']).toBe(7);
      expect(tenantAt(town, 'gateway-1').service('orders').instances).toHaveLength(10);
      await at(town, 90 * SECOND + 13 * SECOND);
      expect(states(town)).toEqual({ HEALTHY: 10 });
      expect(town.ledger.failedCalls).toBe(0);
    });
  }

  it('with an empty store, and is cut off from all before anybody is proved: nobody is lost', async () => {
    const town = aTown({
      services: { orders: 6 },
      faults: [
        { kind: 'crash', target: 'registry', at: 0, forMs: SECOND },
        { kind: 'cut', target: 'orders', at: SECOND + 300, forMs: 2 * MINUTE },
      ],
    });
    await at(town, 2 * MINUTE);
    expect(knownTo(town)).toBe(6);
    await at(town, 2 * MINUTE + 14.3 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 6 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('after an hour: calls went on, and it has the full view within an interval', async () => {
    const town = aTown({ faults: [{ kind: 'crash', target: 'registry', at: 0, forMs: HOUR }] });
    await at(town, HOUR - 1);
    expect(knownTo(town)).toBe(3);
    await at(town, HOUR + 5.5 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(town.ledger.failedCalls).toBe(0);
  });
});

describe('a laptop with everything on it', { timeout: 60_000 }, () => {
  it('that sleeps for an hour wakes up with everybody HEALTHY, and nobody was blamed', async () => {
    const faults = ['registry', 'all', 'gateway-1'].map((target) => {
      return { kind: 'stop', target, at: 0, forMs: HOUR } as const;
    });
    const town = aTown({ isLaptop: true, services: { orders: 2, billing: 1 }, faults });
    await at(town, HOUR + 12 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 2 });
    expect(states(town, 'billing')).toEqual({ HEALTHY: 1 });
    expect(decided(town, 'CRITICAL')).toBe(false);
  });
});

describe('one address for two', { timeout: 60_000 }, () => {
  it('shared by cluster workers: neither is HEALTHY, both are told why, until one is gone', async () => {
    const town = aTown({
      services: { orders: 2 },
      isClustered: true,
      faults: [{ kind: 'crash', target: 'orders-2', at: MINUTE, forMs: FOREVER_MS }],
    });
    await at(town, MINUTE - 1);
    expect(states(town)).toEqual({ UNHEALTHY: 2 });
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY ADDRESS_SHARED');
    expect(knownTo(town)).toBe(2);
    await at(town, 2 * MINUTE);
    expect(states(town)).toEqual({ HEALTHY: 1 });
  });

  it('claimed by a thief who knows an id that was removed: refused', async () => {
    const town = aTown({
      faults: [
        { kind: 'power', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'thief', target: 'orders-1', at: MINUTE, forMs: 5 * MINUTE },
      ],
    });
    await at(town, 6 * MINUTE);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    expect(states(town)).toEqual({ HEALTHY: 2 });
  });
});

describe('a caller that is cut off', { timeout: 60_000 }, () => {
  for (const [minutes, what] of [
    [2, 'resumes'],
    [15, 'gets a whole new view, for the tombstone has been dropped'],
  ] as const) {
    it(`for ${minutes} minutes ${what}: the instance that an operator removed is gone`, async () => {
      const town = aTown({
        faults: [
          { kind: 'cut', target: 'gateway-1', at: 0, forMs: minutes * MINUTE },
          { kind: 'operator', target: 'orders-1', at: 10 * SECOND, forMs: 5 },
        ],
      });
      await at(town, minutes * MINUTE - 1);
      expect(knownTo(town)).toBe(3);
      expect(states(town)).toEqual({ HEALTHY: 2 });
      await at(town, minutes * MINUTE + 32 * SECOND);
      expect(tenantAt(town, 'gateway-1').service('orders').instances).toHaveLength(2);
    });
  }

  it('while the last instance of a service leaves, and whose tombstone has been dropped: it gets an empty view', async () => {
    const town = aTown({
      services: { orders: 1, billing: 1 },
      faults: [
        { kind: 'cut', target: 'gateway-1', at: 0, forMs: 15 * MINUTE },
        { kind: 'drain', target: 'orders-1', at: 10 * SECOND, forMs: FOREVER_MS },
      ],
    });
    await at(town, 15 * MINUTE - 1);
    expect(town.ledger.view('orders')).toBe(null);
    await at(town, 15 * MINUTE + 32 * SECOND);
    expect(tenantAt(town, 'gateway-1').service('orders').instances).toEqual([]);
  });
});

describe('ordinary life', { timeout: 60_000 }, () => {
  it('is a rolling restart in which no call fails', async () => {
    const faults = [1, 2, 3].map((index) => {
      return { kind: 'drain', target: `orders-${index}`, at: index * 20 * SECOND, forMs: SECOND } as const;
    });
    const town = aTown({ faults });
    await at(town, 80 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('is 5 % loss and 50 ms more or less for six hours: nobody CRITICAL, and nobody UNHEALTHY more than once', async () => {
    const town = aTown({
      faults: [
        { kind: 'lossy', target: 'registry', at: 0, forMs: 6 * HOUR, amount: 0.05 },
        { kind: 'slow', target: 'registry', at: 0, forMs: 6 * HOUR, amount: 50 },
      ],
    });
    await at(town, 6 * HOUR);
    expect(decided(town, 'CRITICAL')).toBe(false);
    const falls = town.ledger.trace.filter((line) => line.includes('UNHEALTHY'));
    expect(falls.length).toBeLessThanOrEqual(3);
  });
});
