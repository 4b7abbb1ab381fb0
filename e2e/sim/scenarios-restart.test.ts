import { describe, expect, it } from 'vitest';
import type { Fault, FaultKind } from './faults.js';
import { FOREVER_MS } from './plan.js';
import { aTown, at, decided, HEALED_BY, MINUTE, SECOND, states } from './scenario.js';
import type { Town } from './town.js';

/** The registry is down from 0 to here; what happens to others meanwhile it does not see. */
const BACK = 20 * SECOND;
const isDown: Fault = { kind: 'crash', target: 'registry', at: 0, forMs: BACK };

const dead = (target: string): Fault => ({ kind: 'crash', target, at: 10 * SECOND, forMs: FOREVER_MS });

/** From before the registry is back, until `forMs` later: nothing comes through in either direction, and connections are refused. */
function rejected(target: string, forMs: number): readonly Fault[] {
  const kinds: readonly FaultKind[] = ['refuse-in', 'block-out', 'no-line'];
  return kinds.map((kind) => ({ kind, target, at: 10 * SECOND, forMs: BACK - 10 * SECOND + forMs }));
}

const some = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `orders-${from + index}`);

function allowanceOf(town: Town) {
  const about = town.registry.registry?.describe();
  if (about?.ok !== true) throw new Error('The registry does not say how it is.');
  return about.value.preservation.registry;
}

/** Of whom the registry that is back has said something like this. */
function whoWas(town: Town, what: string): readonly string[] {
  const lines = town.ledger.trace.map((line) => line.split(' '));
  const since = lines.filter(([ms]) => Number(ms) >= 20 * SECOND + BACK);
  return [...new Set(since.filter(([, , state]) => state === what).map(([, name]) => name ?? ''))].toSorted();
}

describe('a registry that starts on what it knew, while some of that died', { timeout: 60_000 }, () => {
  it.each([
    [2, 12],
    [8, 12],
    [11, 12],
  ])('lets go of %i dead of %i within a minute, of nobody else, and spends no allowance', async (count, all) => {
    const town = aTown({
      services: { orders: all },
      hosts: 1,
      isDurable: true,
      faults: [isDown, ...some(1, count).map(dead)],
    });
    await at(town, BACK + 40 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: all - count });
    expect(whoWas(town, 'CRITICAL')).toEqual([...some(1, count)].toSorted());
    expect(allowanceOf(town)).toMatchObject({ used: 0, total: all - count, silent: 0, rule: null });
    await at(town, BACK + 2 * MINUTE);
    expect(states(town)).toEqual({ HEALTHY: all - count });
  });

  it('lets go of 50 that ended while 50 new ones came, on four hosts', async () => {
    const town = aTown({
      services: { orders: 50, parcels: 50 },
      hosts: 4,
      isDurable: true,
      faults: [{ kind: 'crash', target: 'parcels', at: -18 * SECOND, forMs: 37 * SECOND }, isDown, dead('orders')],
    });
    await at(town, -1);
    expect([states(town), states(town, 'parcels')]).toEqual([{ HEALTHY: 50 }, {}]);
    await at(town, BACK + MINUTE);
    expect([states(town), states(town, 'parcels')]).toEqual([{}, { HEALTHY: 50 }]);
    expect(allowanceOf(town)).toMatchObject({ used: 0, total: 50, silent: 0 });
  });

  it('has the whole allowance for who falls silent then', async () => {
    const town = aTown({
      services: { orders: 12 },
      hosts: 2,
      isDurable: true,
      faults: [
        isDown,
        ...some(1, 6).map(dead),
        { kind: 'stop', target: 'orders-12', at: BACK + 30 * SECOND, forMs: FOREVER_MS },
      ],
    });
    await at(town, BACK + 30 * SECOND + 45 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 5 });
    expect(allowanceOf(town)).toMatchObject({ used: 1 });
  });
});

describe('a registry that starts where those who live are refused, too', { timeout: 60_000 }, () => {
  it.each([1, 2, 3, 6])('in both directions, all on %i hosts: nobody goes, and all are back', async (hosts) => {
    const faults = [isDown, ...rejected('orders', 5 * MINUTE)];
    const town = aTown({ services: { orders: 6 }, hosts, isDurable: true, faults });
    await at(town, BACK + 5 * MINUTE - 1);
    expect(states(town)).toEqual({ UNHEALTHY: 6 });
    expect(decided(town, 'CRITICAL')).toBe(false);
    await at(town, BACK + 5 * MINUTE + HEALED_BY + 5 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 6 });
    expect(decided(town, 'removed')).toBe(false);
  });

  it('in both directions, on two hosts of six: silence takes out what it always may, and all are back', async () => {
    const faults = [isDown, ...rejected('orders-1', 5 * MINUTE), ...rejected('orders-2', 5 * MINUTE)];
    const town = aTown({ services: { orders: 12 }, hosts: 6, isDurable: true, faults });
    await at(town, BACK + 5 * MINUTE - 1);
    expect(whoWas(town, 'CRITICAL')).toHaveLength(1);
    await at(town, BACK + 5 * MINUTE + 30 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 12 });
  });

  it('by the registry alone: who beats is heard, and none goes', async () => {
    const refused: Fault = { kind: 'refuse-in', target: 'orders-1', at: 10 * SECOND, forMs: 5 * MINUTE };
    const town = aTown({ services: { orders: 12 }, hosts: 3, isDurable: true, faults: [isDown, refused] });
    await at(town, 5 * MINUTE);
    expect(whoWas(town, 'CRITICAL').length).toBeLessThanOrEqual(1);
    expect(decided(town, 'removed')).toBe(false);
  });

  it('is no matter of those that were cut off, or frozen: they are silent now', async () => {
    const faults: Fault[] = [
      isDown,
      { kind: 'cut', target: 'orders-1', at: 10 * SECOND, forMs: 3 * MINUTE },
      ...['orders-2', 'orders-5', 'orders-8'].map((target): Fault => {
        return { kind: 'stop', target, at: 10 * SECOND, forMs: 3 * MINUTE };
      }),
    ];
    const town = aTown({ services: { orders: 12 }, hosts: 3, isDurable: true, faults });
    await at(town, 3 * MINUTE);
    expect(whoWas(town, 'CRITICAL').length).toBeLessThanOrEqual(1);
    await at(town, 3 * MINUTE + 30 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 12 });
  });
});
