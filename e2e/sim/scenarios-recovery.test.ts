import { describe, expect, it } from 'vitest';
import type { Fault, FaultKind } from './faults.js';
import { FOREVER_MS } from './plan.js';
import {
  newSimulation,
  runUntil,
  CRITICAL_BY,
  hasDecided,
  HEALED_AFTER,
  countKnown,
  MINUTE,
  SECOND,
  stateOf,
  states,
  clientAt,
} from './scenario.js';
import type { Simulation } from './simulation.js';

/** The same to `orders-<from>` … `orders-<to>`. */
function faultsOfRange(kind: FaultKind, [from, to]: readonly [number, number], at_: number, forMs: number): Fault[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    return { kind, target: `orders-${from + index}`, at: at_, forMs };
  });
}

/** When an instance became HEALTHY, in virtual ms since the faults could begin. */
function healthyTimesOf(sim: Simulation, name: string): number[] {
  const lines = sim.ledger.trace.filter((line) => line.includes(` ${name} HEALTHY`));
  return lines.map((line) => Number(line.split(' ')[0]) - 20 * SECOND);
}

describe('an instance that falls again and again', { timeout: 60_000 }, () => {
  it('needs five proofs instead of two from the fourth fall within minutes on, and receives the number of falls', async () => {
    const faults = [0, 1, 2, 3].map((turn) => {
      return { kind: 'refuse-in', target: 'orders-1', at: turn * 30 * SECOND, forMs: 6 * SECOND } as const;
    });
    const sim = newSimulation({ faults });
    await runUntil(sim, 2 * MINUTE + 30 * SECOND);
    const [, ...healed] = healthyTimesOf(sim, 'orders-1');
    const tookMs = healed.map((ms, turn) => ms - turn * 30 * SECOND - 6 * SECOND);
    expect(tookMs).toHaveLength(4);
    const [, , third = 0, fourth = 0] = tookMs;
    expect(Math.max(...tookMs.slice(0, 3))).toBeLessThan(HEALED_AFTER);
    // three proofs more, each a fifth of an interval after the one before
    expect(fourth - third).toBeGreaterThan(2.9 * SECOND);
    expect(fourth - third).toBeLessThan(3.5 * SECOND);
    const instance = sim.registry.registry?.instance(clientAt(sim, 'orders-1').id ?? '');
    expect(instance?.ok === true && instance.value.falls).toBeGreaterThan(3);
  });
});

describe('refusals of more than half, on three hosts', { timeout: 60_000 }, () => {
  const looksDead: readonly FaultKind[] = ['refuse-in', 'block-out', 'no-line'];

  it('do not prove death: instances presumed dead are restored, none is removed, and no call fails', async () => {
    const faults = looksDead.flatMap((kind) => faultsOfRange(kind, [1, 4], 0, 40 * SECOND));
    const sim = newSimulation({ services: { orders: 6 }, faults });
    await runUntil(sim, 2 * SECOND);
    expect(hasDecided(sim, 'CRITICAL PROOF_OF_DEATH')).toBe(true);
    expect(states(sim)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await runUntil(sim, 40 * SECOND - 1);
    expect(states(sim)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await runUntil(sim, 40 * SECOND + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 6 });
    expect(hasDecided(sim, 'removed')).toBe(false);
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('are doubted even if those of one host come first and some of them are about to be removed', async () => {
    const faults = looksDead.flatMap((kind) => [
      ...faultsOfRange(kind, [1, 2], 0, 30 * SECOND),
      ...faultsOfRange(kind, [3, 4], 6 * SECOND, 24 * SECOND),
    ]);
    const sim = newSimulation({ services: { orders: 6 }, faults });
    await runUntil(sim, 5.9 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 4, DEREGISTERING: 2 });
    await runUntil(sim, 8 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 2, UNHEALTHY: 4 });
    await runUntil(sim, 30 * SECOND + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 6 });
    expect(hasDecided(sim, 'removed')).toBe(false);
  });
});

describe('a registry that is stopped', { timeout: 60_000 }, () => {
  it('counts the 30 s of its stop against none of 50 services', async () => {
    const services = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`service-${index + 1}`, 1]));
    const sim = newSimulation({ services, faults: [{ kind: 'stop', target: 'registry', at: 0, forMs: 30 * SECOND }] });
    await runUntil(sim, 30 * SECOND + 12 * SECOND);
    for (const service of Object.keys(services)) expect(states(sim, service)).toEqual({ HEALTHY: 1 });
    expect(hasDecided(sim, 'UNHEALTHY')).toBe(false);
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

/**
 * Why and for how long a frozen instance was CRITICAL, where it was: by 40 seeds, so at any time after its last
 * heartbeats.
 */
async function criticalAfterFreeze(freezeMs: number): Promise<{ readonly becauseOf: string; readonly ms: number }[]> {
  const found: { becauseOf: string; ms: number }[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const faults: Fault[] = [{ kind: 'stop', target: 'orders-1', at: 3 * SECOND, forMs: freezeMs }];
    const sim = newSimulation({ seed, faults });
    await runUntil(sim, MINUTE);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    const lines = sim.ledger.trace.map((line) => line.split(' ')).filter(([, name]) => name === 'orders-1');
    const index = lines.findIndex(([, , state]) => state === 'CRITICAL');
    if (index < 0) continue;
    const [from = '', , , becauseOf = ''] = lines[index] ?? [];
    found.push({ becauseOf, ms: Number(lines[index + 1]?.[0]) - Number(from) });
  }
  return found;
}

describe('a process that is frozen for three intervals', { timeout: 60_000 }, () => {
  it('is CRITICAL only where neither heartbeat came for 3 intervals + timeout, and not for long', async () => {
    const found = await criticalAfterFreeze(15 * SECOND);
    // each direction last succeeded up to an interval before the freeze: by the older of the two it was 37 of 40, for
    // 3.9 s
    expect(found.length).toBeLessThanOrEqual(20);
    expect(new Set(found.map(({ becauseOf }) => becauseOf))).toEqual(new Set(['SILENT']));
    const meanMs = found.reduce((sum, { ms }) => sum + ms, 0) / found.length;
    expect(meanMs).toBeLessThan(2.5 * SECOND);
  });

  it('is not CRITICAL for less than 2 intervals + timeout', async () => {
    expect(await criticalAfterFreeze(11.9 * SECOND)).toEqual([]);
  });
});

describe('silence that grows', { timeout: 60_000 }, () => {
  it('removes 15 %, then none, when it grows from 40 % of 60 to 70 %, and all are back within the jitter', async () => {
    const sim = newSimulation({
      services: { orders: 60 },
      faults: [
        ...faultsOfRange('cut', [1, 24], 0, 6 * MINUTE),
        ...faultsOfRange('cut', [25, 42], 2 * MINUTE, 4 * MINUTE),
      ],
    });
    await runUntil(sim, 2 * MINUTE - 1);
    expect(states(sim)).toEqual({ HEALTHY: 36, UNHEALTHY: 15 });
    await runUntil(sim, 6 * MINUTE - 1);
    expect(states(sim)).toEqual({ HEALTHY: 18, UNHEALTHY: 33 });
    await runUntil(sim, 6 * MINUTE + 13 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 60 });
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

describe('a second fault in the recovery of the first', { timeout: 60_000 }, () => {
  it('leaves the instance HEALTHY within twice the time when it blocks the other direction', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'block-in', target: 'orders-1', at: 0, forMs: MINUTE },
        { kind: 'block-out', target: 'orders-1', at: MINUTE + SECOND, forMs: MINUTE },
      ],
    });
    await runUntil(sim, 2 * MINUTE);
    expect(stateOf(sim, 'orders-1')).toMatch(/^CRITICAL/);
    await runUntil(sim, 2 * MINUTE + SECOND + 2 * HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('delays the full view to twice the time at most when it kills the registry, and fails no call', async () => {
    const sim = newSimulation({
      services: { orders: 6 },
      faults: [
        { kind: 'cut', target: 'orders', at: 0, forMs: MINUTE },
        { kind: 'crash', target: 'registry', at: MINUTE + 500, forMs: SECOND },
      ],
    });
    await runUntil(sim, MINUTE + 1_500 + 2 * 12 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 6 });
    expect(countKnown(sim)).toBe(6);
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('delays neither instance when it kills one while another one comes back', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'power', target: 'orders-1', at: 0, forMs: 40 * SECOND },
        { kind: 'crash', target: 'orders-2', at: 40 * SECOND + 100, forMs: FOREVER_MS },
      ],
    });
    await runUntil(sim, 40 * SECOND + 500);
    expect(stateOf(sim, 'orders-2')).toBe('CRITICAL PROOF_OF_DEATH');
    await runUntil(sim, 40 * SECOND + 2 * HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 2 });
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

describe('a registry that restarts on its store', { timeout: 60_000 }, () => {
  it('still knows which instance it presumed dead, and gives it the whole interval again', async () => {
    const sim = newSimulation({
      isDurable: true,
      faults: [
        { kind: 'crash', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'crash', target: 'registry', at: 4 * SECOND, forMs: 500 },
      ],
    });
    await runUntil(sim, 4.6 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await runUntil(sim, 9.4 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await runUntil(sim, 10 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('DEREGISTERING PROOF_OF_DEATH');
    await runUntil(sim, 15 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('restores the last instance that it presumed dead as soon as it beats', async () => {
    const looksDead = (['refuse-in', 'block-out', 'no-line'] as const).map((kind) => {
      return { kind, target: 'orders-1', at: 0, forMs: 6 * SECOND };
    });
    const sim = newSimulation({
      isDurable: true,
      faults: [...looksDead, { kind: 'crash', target: 'registry', at: 2 * SECOND, forMs: 500 }],
    });
    await runUntil(sim, 5 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await runUntil(sim, 6 * SECOND + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(hasDecided(sim, 'removed')).toBe(false);
  });
});

describe('one endpoint of two that refuses', { timeout: 60_000 }, () => {
  it('counts as one failing direction, named in the reason, not as a death', async () => {
    const half = { kind: 'half', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
    const noLine = { kind: 'no-line', target: 'orders-1', at: 100, forMs: 5 * MINUTE - 100 } as const;
    const sim = newSimulation({ isTwofold: true, faults: [half, noLine] });
    await runUntil(sim, CRITICAL_BY);
    const instance = sim.registry.registry?.instance(clientAt(sim, 'orders-1').id ?? '');
    const { address } = clientAt(sim, 'orders-1').process.machine;
    expect(instance).toMatchObject({ value: { state: 'CRITICAL', reason: { code: 'INBOUND_SILENT' } } });
    expect(instance?.ok === true && instance.value.reason.text).toContain(`ECONNREFUSED ${address}:3001`);
    await runUntil(sim, 5 * MINUTE - 1);
    expect(stateOf(sim, 'orders-1')).toMatch(/^CRITICAL/);
    await runUntil(sim, 5 * MINUTE + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(hasDecided(sim, 'PROOF_OF_DEATH')).toBe(false);
    expect(hasDecided(sim, 'removed')).toBe(false);
  });
});
