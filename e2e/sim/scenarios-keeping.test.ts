import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.js';
import { FOREVER_MS } from './plan.js';
import { aTown, at, decided, HEALED_BY, knownTo, MINUTE, SECOND, stateOf, states, tenantAt } from './scenario.js';

describe('what was acknowledged', { timeout: 60_000 }, () => {
  it('survives a registry that is killed at any moment in which services register', async () => {
    for (let moment = 0; moment < 24; moment += 1) {
      const crash = { kind: 'crash', target: 'registry', at: -19_990 + 40 * moment, forMs: 5 } as const;
      const town = aTown({ seed: moment, services: { orders: 8 }, gateways: 0, isDurable: true, faults: [crash] });
      await at(town, 0);
      expect(states(town)).toEqual({ HEALTHY: 8 });
    }
  });

  it('survives also the loss of the power, and so does the word of an operator', async () => {
    const town = aTown({
      isDurable: true,
      faults: [
        { kind: 'maintenance', target: 'orders-1', at: 0, forMs: FOREVER_MS },
        { kind: 'power', target: 'registry', at: 50, forMs: 5 * SECOND },
      ],
    });
    await at(town, MINUTE);
    expect(stateOf(town, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    expect(knownTo(town)).toBe(2);
    expect(town.ledger.failedCalls).toBe(0);
  });
});

describe('a disk that is full', { timeout: 60_000 }, () => {
  it('keeps newcomers away, and nothing else: it comes to an end, and they are in', async () => {
    const town = aTown({
      services: { orders: 5 },
      isDurable: true,
      faults: [
        { kind: 'disk-full', target: 'registry', at: 0, forMs: MINUTE },
        { kind: 'crash', target: 'orders-1', at: 5 * SECOND, forMs: SECOND },
        { kind: 'block-in', target: 'orders-2', at: 5 * SECOND, forMs: 20 * SECOND },
      ],
    });
    await at(town, 24 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    expect(stateOf(town, 'orders-2')).toBe('CRITICAL INBOUND_SILENT');
    await at(town, MINUTE - 1);
    expect(states(town)).toEqual({ HEALTHY: 4 });
    await at(town, MINUTE + 5 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 5 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('loses nothing that was decided meanwhile, once it takes writes again', async () => {
    const town = aTown({
      isDurable: true,
      faults: [
        { kind: 'disk-full', target: 'registry', at: 0, forMs: 30 * SECOND },
        { kind: 'operator', target: 'orders-1', at: 5 * SECOND, forMs: 5 },
        { kind: 'crash', target: 'registry', at: 40 * SECOND, forMs: SECOND },
      ],
    });
    await at(town, MINUTE);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    const answer = town.registry.registry?.instance(tenantAt(town, 'orders-1').id ?? '');
    expect(answer?.ok === false && answer.problem.code).toBe('ENDED');
    expect(states(town)).toEqual({ HEALTHY: 2 });
  });
});

describe('somebody else', { timeout: 60_000 }, () => {
  it('who does in the name of everybody what only they may: it is as if he were not there', async () => {
    const town = aTown({ faults: [{ kind: 'thief', target: 'all', at: 0, forMs: 5 * MINUTE }] });
    await at(town, 0);
    const revision = town.registry.registry?.describe();
    await at(town, 6 * MINUTE);
    expect(town.registry.registry?.describe()).toMatchObject({ value: { revision: revisionOf(revision) } });
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('who registers the address of one that is HEALTHY, and beats for it: he is refused, and nobody is evicted', async () => {
    const town = aTown({ faults: [{ kind: 'squat', target: 'orders', at: 0, forMs: 5 * MINUTE }] });
    await at(town, 5 * MINUTE - 1);
    expect(states(town)['HEALTHY']).toBe(3);
    expect(decided(town, 'removed ADDRESS_TAKEN')).toBe(true);
    expect(decided(town, 'removed SUPERSEDED')).toBe(false);
    expect(decided(town, 'UNHEALTHY')).toBe(false);
    expect(town.ledger.failedCalls).toBe(0);
  });
});

describe('an operator', { timeout: 60_000 }, () => {
  it('who wants an instance to get no calls until a time: none comes, its state stays, and it ends by itself', async () => {
    const town = aTown({
      services: { orders: 2 },
      faults: [{ kind: 'draining', target: 'orders-1', at: 0, forMs: 2 * MINUTE }],
    });
    await at(town, SECOND);
    expect(knownTo(town)).toBe(1);
    expect(stateOf(town, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    await at(town, 2 * MINUTE - SECOND);
    expect(knownTo(town)).toBe(1);
    await at(town, 2 * MINUTE + SECOND);
    expect(knownTo(town)).toBe(2);
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('and the wall clock: a jump of an hour in the middle changes nothing of when that ends', async () => {
    const town = aTown({
      faults: [
        { kind: 'draining', target: 'orders-1', at: 0, forMs: 2 * MINUTE },
        { kind: 'wall', target: 'registry', at: MINUTE, forMs: 5 * MINUTE },
      ],
    });
    await at(town, 2 * MINUTE - SECOND);
    expect(knownTo(town)).toBe(2);
    await at(town, 2 * MINUTE + SECOND);
    expect(knownTo(town)).toBe(3);
  });
});

describe('many', { timeout: 60_000 }, () => {
  it('whom a registry has forgotten register again spread over an interval, each once', async () => {
    const services = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`service-${index + 1}`, 5]));
    const crash = { kind: 'crash', target: 'registry', at: 0, forMs: 2 * SECOND } as const;
    const town = aTown({ services, gateways: 0, faults: [crash] });
    await at(town, 2 * SECOND + 5.5 * SECOND);
    const { reRegistrations } = town.ledger;
    expect(reRegistrations).toHaveLength(200);
    const halves = reRegistrations.map((ms) => Math.floor(ms / 500));
    const most = Math.max(...halves.map((half) => halves.filter((other) => other === half).length));
    // they beat 20 times in half a second
    expect(most).toBeLessThanOrEqual(40);
    await at(town, 2 * SECOND + 2 * HEALED_BY);
    for (const service of Object.keys(services)) expect(states(town, service)).toEqual({ HEALTHY: 5 });
  });

  it('that die and come again for 40 minutes leave nothing behind', async () => {
    const faults = Array.from({ length: 160 }, (_, turn): Fault => {
      const kind = turn % 2 === 0 ? 'crash' : 'drain';
      return { kind, target: `orders-${(turn % 4) + 1}`, at: turn * 15 * SECOND, forMs: 5 * SECOND };
    });
    const town = aTown({ services: { orders: 4 }, isDurable: true, faults });
    const held = async (ms: number) => {
      await at(town, ms);
      const { network, world, registry } = town;
      const process = registry.process!;
      return {
        tombstones: town.ledger.view('orders')?.removed.length ?? 0,
        sizes: [world.pending, process.timers, network.endsOf(process)],
      };
    };
    const early = await held(19 * MINUTE + 59 * SECOND);
    const late = await held(39 * MINUTE + 59 * SECOND);
    expect(early.tombstones).toBeLessThanOrEqual(41);
    expect(late.tombstones).toBeLessThanOrEqual(41);
    for (const [index, size] of late.sizes.entries())
      expect(size).toBeLessThanOrEqual(2 * (early.sizes[index] ?? 0) + 4);
    expect(states(town)).toEqual({ HEALTHY: 4 });
    expect(town.ledger.failedCalls).toBe(0);
  });
});

const revisionOf = (about: unknown): number => (about as { value: { revision: number } }).value.revision;
