import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.js';
import { FOREVER_MS } from './plan.js';
import {
  newSimulation,
  runUntil,
  hasDecided,
  HEALED_AFTER,
  countKnown,
  MINUTE,
  SECOND,
  stateOf,
  states,
  clientAt,
} from './scenario.js';

describe('what was acknowledged', { timeout: 60_000 }, () => {
  it('survives a registry that is killed at any moment in which services register', async () => {
    for (let moment = 0; moment < 24; moment += 1) {
      const crash = { kind: 'crash', target: 'registry', at: -19_990 + 40 * moment, forMs: 5 } as const;
      const sim = newSimulation({
        seed: moment,
        services: { orders: 8 },
        gateways: 0,
        isDurable: true,
        faults: [crash],
      });
      await runUntil(sim, 0);
      expect(states(sim)).toEqual({ HEALTHY: 8 });
    }
  });

  it('survives a power failure, and so does an operator setting', async () => {
    const sim = newSimulation({
      isDurable: true,
      faults: [
        { kind: 'maintenance', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'power', target: 'registry', at: 50, forMs: 5 * SECOND },
      ],
    });
    await runUntil(sim, MINUTE);
    expect(stateOf(sim, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    expect(countKnown(sim)).toBe(2);
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

describe('a disk that is full', { timeout: 60_000 }, () => {
  it('refuses only new instances, and accepts them once it takes writes again', async () => {
    const sim = newSimulation({
      services: { orders: 5 },
      isDurable: true,
      faults: [
        { kind: 'disk-full', target: 'registry', at: 0, forMs: MINUTE },
        { kind: 'crash', target: 'orders-1', at: 5 * SECOND, forMs: SECOND },
        { kind: 'block-in', target: 'orders-2', at: 5 * SECOND, forMs: 20 * SECOND },
      ],
    });
    await runUntil(sim, 24 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    expect(stateOf(sim, 'orders-2')).toBe('CRITICAL INBOUND_SILENT');
    await runUntil(sim, MINUTE - 1);
    expect(states(sim)).toEqual({ HEALTHY: 4 });
    await runUntil(sim, MINUTE + 5 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 5 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('loses nothing that was decided meanwhile, once it takes writes again', async () => {
    const sim = newSimulation({
      isDurable: true,
      faults: [
        { kind: 'disk-full', target: 'registry', at: 0, forMs: 30 * SECOND },
        { kind: 'operator', target: 'orders-1', at: 5 * SECOND, forMs: 5 },
        { kind: 'crash', target: 'registry', at: 40 * SECOND, forMs: SECOND },
      ],
    });
    await runUntil(sim, MINUTE);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    const answer = sim.registry.registry?.instance(clientAt(sim, 'orders-1').id ?? '');
    expect(answer?.ok === false && answer.problem.code).toBe('ENDED');
    expect(states(sim)).toEqual({ HEALTHY: 2 });
  });
});

describe('an attacker', { timeout: 60_000 }, () => {
  it('changes nothing with requests in the name of owners', async () => {
    const sim = newSimulation({ faults: [{ kind: 'thief', target: 'all', at: 0, forMs: 5 * MINUTE }] });
    await runUntil(sim, 0);
    const revision = sim.registry.registry?.describe();
    await runUntil(sim, 6 * MINUTE);
    expect(sim.registry.registry?.describe()).toMatchObject({ value: { revision: revisionOf(revision) } });
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('is refused and evicts no instance when it registers the address of a HEALTHY one, and beats for it', async () => {
    const sim = newSimulation({ faults: [{ kind: 'squat', target: 'orders', at: 0, forMs: 5 * MINUTE }] });
    await runUntil(sim, 5 * MINUTE - 1);
    expect(states(sim)['HEALTHY']).toBe(3);
    expect(hasDecided(sim, 'removed ADDRESS_TAKEN')).toBe(true);
    expect(hasDecided(sim, 'removed SUPERSEDED')).toBe(false);
    expect(hasDecided(sim, 'UNHEALTHY')).toBe(false);
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

describe('an operator', { timeout: 60_000 }, () => {
  it('takes an instance out of service until a time: it gets no calls, keeps its state, and returns by itself', async () => {
    const sim = newSimulation({
      services: { orders: 2 },
      faults: [{ kind: 'draining', target: 'orders-1', at: 0, forMs: 2 * MINUTE }],
    });
    await runUntil(sim, SECOND);
    expect(countKnown(sim)).toBe(1);
    expect(stateOf(sim, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    await runUntil(sim, 2 * MINUTE - SECOND);
    expect(countKnown(sim)).toBe(1);
    await runUntil(sim, 2 * MINUTE + SECOND);
    expect(countKnown(sim)).toBe(2);
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('takes an instance out of service for as long as set, though the wall clock jumps by an hour', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'draining', target: 'orders-1', at: 0, forMs: 2 * MINUTE },
        { kind: 'wall', target: 'registry', at: MINUTE, forMs: 5 * MINUTE },
      ],
    });
    await runUntil(sim, 2 * MINUTE - SECOND);
    expect(countKnown(sim)).toBe(2);
    await runUntil(sim, 2 * MINUTE + SECOND);
    expect(countKnown(sim)).toBe(3);
  });
});

describe('many instances', { timeout: 60_000 }, () => {
  it('register again, each once, spread over an interval when a registry has forgotten them', async () => {
    const services = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`service-${index + 1}`, 5]));
    const crash = { kind: 'crash', target: 'registry', at: 0, forMs: 2 * SECOND } as const;
    const sim = newSimulation({ services, gateways: 0, faults: [crash] });
    await runUntil(sim, 2 * SECOND + 5.5 * SECOND);
    const { reRegistrations } = sim.ledger;
    expect(reRegistrations).toHaveLength(200);
    const halves = reRegistrations.map((ms) => Math.floor(ms / 500));
    const most = Math.max(...halves.map((half) => halves.filter((other) => other === half).length));
    // they beat 20 times in half a second
    expect(most).toBeLessThanOrEqual(40);
    await runUntil(sim, 2 * SECOND + 2 * HEALED_AFTER);
    for (const service of Object.keys(services)) expect(states(sim, service)).toEqual({ HEALTHY: 5 });
  });

  it('leave nothing behind when they die and start again for 40 minutes', async () => {
    const faults = Array.from({ length: 160 }, (_, turn): Fault => {
      const kind = turn % 2 === 0 ? 'crash' : 'drain';
      return { kind, target: `orders-${(turn % 4) + 1}`, at: turn * 15 * SECOND, forMs: 5 * SECOND };
    });
    const sim = newSimulation({ services: { orders: 4 }, isDurable: true, faults });
    const held = async (ms: number) => {
      await runUntil(sim, ms);
      const { network, world, registry } = sim;
      const process = registry.process!;
      return {
        tombstones: sim.ledger.view('orders')?.removed.length ?? 0,
        sizes: [world.pending, process.timers, network.endsOf(process)],
      };
    };
    const early = await held(19 * MINUTE + 59 * SECOND);
    const late = await held(39 * MINUTE + 59 * SECOND);
    expect(early.tombstones).toBeLessThanOrEqual(41);
    expect(late.tombstones).toBeLessThanOrEqual(41);
    for (const [index, size] of late.sizes.entries())
      expect(size).toBeLessThanOrEqual(2 * (early.sizes[index] ?? 0) + 4);
    expect(states(sim)).toEqual({ HEALTHY: 4 });
    expect(sim.ledger.failedCalls).toBe(0);
  });
});

const revisionOf = (about: unknown): number => (about as { value: { revision: number } }).value.revision;
