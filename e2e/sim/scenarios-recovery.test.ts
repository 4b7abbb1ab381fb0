import { describe, expect, it } from 'vitest';
import type { Fault, FaultKind } from './faults.js';
import { FOREVER_MS } from './plan.js';
import {
  aTown,
  at,
  CRITICAL_BY,
  decided,
  HEALED_BY,
  knownTo,
  MINUTE,
  SECOND,
  stateOf,
  states,
  tenantAt,
} from './scenario.js';
import type { Town } from './town.js';

/** The same to `orders-<from>` … `orders-<to>`. */
function toSome(kind: FaultKind, [from, to]: readonly [number, number], at_: number, forMs: number): Fault[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    return { kind, target: `orders-${from + index}`, at: at_, forMs };
  });
}

/** When somebody became HEALTHY, in virtual ms since the faults could begin. */
function healedAt(town: Town, name: string): number[] {
  const lines = town.ledger.trace.filter((line) => line.includes(` ${name} HEALTHY`));
  return lines.map((line) => Number(line.split(' ')[0]) - 20 * SECOND);
}

describe('an instance that falls again and again', { timeout: 60_000 }, () => {
  it('needs five proofs instead of two from the fourth fall within minutes on, and it is told how often it fell', async () => {
    const faults = [0, 1, 2, 3].map((turn) => {
      return { kind: 'refuse-in', target: 'orders-1', at: turn * 30 * SECOND, forMs: 6 * SECOND } as const;
    });
    const town = aTown({ faults });
    await at(town, 2 * MINUTE + 30 * SECOND);
    const [, ...healed] = healedAt(town, 'orders-1');
    const tookMs = healed.map((ms, turn) => ms - turn * 30 * SECOND - 6 * SECOND);
    expect(tookMs).toHaveLength(4);
    const [, , third = 0, fourth = 0] = tookMs;
    expect(Math.max(...tookMs.slice(0, 3))).toBeLessThan(HEALED_BY);
    // three proofs more, each a fifth of an interval after the one before
    expect(fourth - third).toBeGreaterThan(2.9 * SECOND);
    expect(fourth - third).toBeLessThan(3.5 * SECOND);
    const instance = town.registry.registry?.instance(tenantAt(town, 'orders-1').id ?? '');
    expect(instance?.ok === true && instance.value.falls).toBeGreaterThan(3);
  });
});

describe('refusals of more than half, on three hosts', { timeout: 60_000 }, () => {
  const looksDead: readonly FaultKind[] = ['refuse-in', 'block-out', 'no-line'];

  it('are no proof: those that were taken for dead are taken back, none is removed, and no call fails', async () => {
    const faults = looksDead.flatMap((kind) => toSome(kind, [1, 4], 0, 40 * SECOND));
    const town = aTown({ services: { orders: 6 }, faults });
    await at(town, 2 * SECOND);
    expect(decided(town, 'CRITICAL PROOF_OF_DEATH')).toBe(true);
    expect(states(town)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await at(town, 40 * SECOND - 1);
    expect(states(town)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await at(town, 40 * SECOND + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 6 });
    expect(decided(town, 'removed')).toBe(false);
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('of which those on one host come first are doubted also when some of them are on their last step', async () => {
    const faults = looksDead.flatMap((kind) => [
      ...toSome(kind, [1, 2], 0, 30 * SECOND),
      ...toSome(kind, [3, 4], 6 * SECOND, 24 * SECOND),
    ]);
    const town = aTown({ services: { orders: 6 }, faults });
    await at(town, 5.9 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 4, DEREGISTERING: 2 });
    await at(town, 8 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await at(town, 30 * SECOND + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 6 });
    expect(decided(town, 'removed')).toBe(false);
  });
});

describe('a registry that is stopped', { timeout: 60_000 }, () => {
  it('for 30 s with 50 services blames nobody for that time', async () => {
    const services = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`service-${index + 1}`, 1]));
    const town = aTown({ services, faults: [{ kind: 'stop', target: 'registry', at: 0, forMs: 30 * SECOND }] });
    await at(town, 30 * SECOND + 12 * SECOND);
    for (const service of Object.keys(services)) expect(states(town, service)).toEqual({ HEALTHY: 1 });
    expect(decided(town, 'UNHEALTHY')).toBe(false);
    expect(town.ledger.failedCalls).toBe(0);
  });
});

/** Why and for how long a frozen one was CRITICAL, where it was: by 40 seeds, so at any time after its last heartbeats. */
async function freezes(freezeMs: number): Promise<{ readonly becauseOf: string; readonly ms: number }[]> {
  const found: { becauseOf: string; ms: number }[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const faults: Fault[] = [{ kind: 'stop', target: 'orders-1', at: 3 * SECOND, forMs: freezeMs }];
    const town = aTown({ seed, faults });
    await at(town, MINUTE);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    const lines = town.ledger.trace.map((line) => line.split(' ')).filter(([, name]) => name === 'orders-1');
    const index = lines.findIndex(([, , state]) => state === 'CRITICAL');
    if (index < 0) continue;
    const [from = '', , , becauseOf = ''] = lines[index] ?? [];
    found.push({ becauseOf, ms: Number(lines[index + 1]?.[0]) - Number(from) });
  }
  return found;
}

describe('a process that is frozen for three intervals', { timeout: 60_000 }, () => {
  it('is CRITICAL only where neither heartbeat came for 3 intervals + timeout, and not for long', async () => {
    const found = await freezes(15 * SECOND);
    // each direction was last heard up to an interval before the freeze: by the older of the two it was 37 of 40, for 3.9 s
    expect(found.length).toBeLessThanOrEqual(20);
    expect(new Set(found.map(({ becauseOf }) => becauseOf))).toEqual(new Set(['SILENT']));
    const meanMs = found.reduce((sum, { ms }) => sum + ms, 0) / found.length;
    expect(meanMs).toBeLessThan(2.5 * SECOND);
  });

  it('is not CRITICAL for less than 2 intervals + timeout', async () => {
    expect(await freezes(11.9 * SECOND)).toEqual([]);
  });
});

describe('silence that grows', { timeout: 60_000 }, () => {
  it('from 40 % of 60 to 70 %: 15 % go, then nobody, and all are back within the jitter', async () => {
    const town = aTown({
      services: { orders: 60 },
      faults: [...toSome('cut', [1, 24], 0, 6 * MINUTE), ...toSome('cut', [25, 42], 2 * MINUTE, 4 * MINUTE)],
    });
    await at(town, 2 * MINUTE - 1);
    expect(states(town)).toEqual({ HEALTHY: 36, UNHEALTHY: 15 });
    await at(town, 6 * MINUTE - 1);
    expect(states(town)).toEqual({ HEALTHY: 18, UNHEALTHY: 33 });
    await at(town, 6 * MINUTE + 13 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 60 });
    expect(town.ledger.failedCalls).toBe(0);
  });
});

describe('a second fault in the recovery of the first', { timeout: 60_000 }, () => {
  it('that blocks the other direction: HEALTHY within twice the time', async () => {
    const town = aTown({
      faults: [
        { kind: 'block-in', target: 'orders-1', at: 0, forMs: MINUTE },
        { kind: 'block-out', target: 'orders-1', at: MINUTE + SECOND, forMs: MINUTE },
      ],
    });
    await at(town, 2 * MINUTE);
    expect(stateOf(town, 'orders-1')).toMatch(/^CRITICAL/);
    await at(town, 2 * MINUTE + SECOND + 2 * HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('that kills the registry: the full view within twice the time, and no call fails', async () => {
    const town = aTown({
      services: { orders: 6 },
      faults: [
        { kind: 'cut', target: 'orders', at: 0, forMs: MINUTE },
        { kind: 'crash', target: 'registry', at: MINUTE + 500, forMs: SECOND },
      ],
    });
    await at(town, MINUTE + 1_500 + 2 * 12 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 6 });
    expect(knownTo(town)).toBe(6);
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('that kills an instance while another one comes back: each in its own time', async () => {
    const town = aTown({
      faults: [
        { kind: 'power', target: 'orders-1', at: 0, forMs: 40 * SECOND },
        { kind: 'crash', target: 'orders-2', at: 40 * SECOND + 100, forMs: FOREVER_MS },
      ],
    });
    await at(town, 40 * SECOND + 500);
    expect(stateOf(town, 'orders-2')).toBe('CRITICAL PROOF_OF_DEATH');
    await at(town, 40 * SECOND + 2 * HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 2 });
    expect(town.ledger.failedCalls).toBe(0);
  });
});

describe('a registry that restarts on its store', { timeout: 60_000 }, () => {
  it('still knows whom it took for dead, and gives it the whole interval again', async () => {
    const town = aTown({
      isDurable: true,
      faults: [
        { kind: 'crash', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'crash', target: 'registry', at: 4 * SECOND, forMs: 500 },
      ],
    });
    await at(town, 4.6 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await at(town, 9.4 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await at(town, 10 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('DEREGISTERING PROOF_OF_DEATH');
    await at(town, 15 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('lets go of the last one that it took for dead as soon as that beats', async () => {
    const looksDead = (['refuse-in', 'block-out', 'no-line'] as const).map((kind) => {
      return { kind, target: 'orders-1', at: 0, forMs: 6 * SECOND };
    });
    const town = aTown({
      isDurable: true,
      faults: [...looksDead, { kind: 'crash', target: 'registry', at: 2 * SECOND, forMs: 500 }],
    });
    await at(town, 5 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await at(town, 6 * SECOND + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(decided(town, 'removed')).toBe(false);
  });
});

describe('one endpoint of two that refuses', { timeout: 60_000 }, () => {
  it('is one direction that fails, named in the reason, and no death', async () => {
    const half = { kind: 'half', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
    const noLine = { kind: 'no-line', target: 'orders-1', at: 100, forMs: 5 * MINUTE - 100 } as const;
    const town = aTown({ isTwofold: true, faults: [half, noLine] });
    await at(town, CRITICAL_BY);
    const instance = town.registry.registry?.instance(tenantAt(town, 'orders-1').id ?? '');
    const { address } = tenantAt(town, 'orders-1').process.machine;
    expect(instance).toMatchObject({ value: { state: 'CRITICAL', reason: { code: 'INBOUND_SILENT' } } });
    expect(instance?.ok === true && instance.value.reason.text).toContain(`ECONNREFUSED ${address}:3001`);
    await at(town, 5 * MINUTE - 1);
    expect(stateOf(town, 'orders-1')).toMatch(/^CRITICAL/);
    await at(town, 5 * MINUTE + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(decided(town, 'PROOF_OF_DEATH')).toBe(false);
    expect(decided(town, 'removed')).toBe(false);
  });
});
