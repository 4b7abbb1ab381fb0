import { describe, expect, it } from 'vitest';
import { FOREVER_MS } from './plan.js';
import {
  newSimulation,
  runUntil,
  CRITICAL_BY,
  hasDecided,
  HEALED_AFTER,
  countKnown,
  LAST_CRITICAL_BY,
  MINUTE,
  SECOND,
  stateOf,
  states,
  clientAt,
  UNHEALTHY_AT,
} from './scenario.js';

describe('a direction that is blocked', { timeout: 60_000 }, () => {
  it('keeps the sole instance of a service callable for ten minutes, and HEALTHY 1.2 intervals after', async () => {
    const faults = [{ kind: 'block-in', target: 'orders', at: 0, forMs: 10 * MINUTE } as const];
    const sim = newSimulation({ services: { orders: 1 }, faults });
    await runUntil(sim, UNHEALTHY_AT);
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY INBOUND_SILENT');
    await runUntil(sim, 10 * MINUTE - 1);
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY INBOUND_SILENT');
    expect(countKnown(sim)).toBe(1);
    await runUntil(sim, 10 * MINUTE + HEALED_AFTER);
    expect(stateOf(sim, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    expect(sim.ledger.failedCalls).toBe(0);
  });

  for (const kind of ['block-in', 'block-out'] as const) {
    it(`${kind} makes at most one of three CRITICAL`, async () => {
      const sim = newSimulation({ faults: [{ kind, target: 'orders-1', at: 0, forMs: 5 * MINUTE }] });
      const direction = kind === 'block-in' ? 'INBOUND_SILENT' : 'OUTBOUND_SILENT';
      await runUntil(sim, UNHEALTHY_AT);
      expect(stateOf(sim, 'orders-1')).toBe(`UNHEALTHY ${direction}`);
      await runUntil(sim, CRITICAL_BY);
      expect(stateOf(sim, 'orders-1')).toBe(`CRITICAL ${direction}`);
      await runUntil(sim, 5 * MINUTE - 1);
      expect(stateOf(sim, 'orders-1')).toBe(`CRITICAL ${direction}`);
      await runUntil(sim, 5 * MINUTE + HEALED_AFTER);
      expect(states(sim)).toEqual({ HEALTHY: 3 });
    });
  }

  it('removes none when it is blocked to all, and a caller that starts meanwhile finds every instance', async () => {
    const sim = newSimulation({
      gateways: 2,
      faults: [
        { kind: 'block-in', target: 'registry', at: 0, forMs: 3 * MINUTE },
        { kind: 'crash', target: 'gateway-2', at: MINUTE, forMs: 5 },
      ],
    });
    await runUntil(sim, MINUTE + 5 * SECOND);
    expect(countKnown(sim, 'gateway-2')).toBe(3);
    await runUntil(sim, 3 * MINUTE - 1);
    expect(states(sim)).toEqual({ UNHEALTHY: 3 });
    expect(hasDecided(sim, 'CRITICAL')).toBe(false);
    await runUntil(sim, 3 * MINUTE + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('marks instances that cannot be reached from the start, removes none that beats, and recovers', async () => {
    const faults = [
      { kind: 'block-in', target: 'orders-3', at: -20 * SECOND, forMs: 5 * MINUTE + 20 * SECOND } as const,
    ];
    const sim = newSimulation({ faults });
    await runUntil(sim, 0);
    expect(stateOf(sim, 'orders-3')).toBe('REGISTERING NEW');
    await runUntil(sim, 15 * SECOND);
    expect(stateOf(sim, 'orders-3')).toBe('CRITICAL UNPROVED');
    await runUntil(sim, 5 * MINUTE - 1);
    expect(stateOf(sim, 'orders-3')).toBe('CRITICAL UNPROVED');
    await runUntil(sim, 5 * MINUTE + HEALED_AFTER);
    expect(stateOf(sim, 'orders-3')).toBe('HEALTHY BOTH_WAYS_OK');
  });

  it('leaves the sole instance callable when it is blocked from the start', async () => {
    const faults = [{ kind: 'block-in', target: 'orders', at: -20 * SECOND, forMs: 5 * MINUTE } as const];
    const sim = newSimulation({ services: { orders: 1 }, faults });
    await runUntil(sim, 15 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY LAST');
    expect(countKnown(sim)).toBe(1);
  });

  it('is not a death while the instance beats, though it is refused and the line cannot open again', async () => {
    const sim = newSimulation({
      faults: [
        { kind: 'refuse-in', target: 'orders-1', at: 0, forMs: 5 * MINUTE },
        { kind: 'no-line', target: 'orders-1', at: 100, forMs: 5 * MINUTE - 100 },
      ],
    });
    await runUntil(sim, SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY INBOUND_REFUSED');
    await runUntil(sim, 5 * MINUTE - 1);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL INBOUND_REFUSED');
    await runUntil(sim, 5 * MINUTE + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(hasDecided(sim, 'removed')).toBe(false);
  });

  it('looks like a death together with the other one and the line, and any sign of life revokes it', async () => {
    const faults = (['refuse-in', 'block-out', 'no-line'] as const).map((kind) => {
      return { kind, target: 'orders-1', at: 0, forMs: 8 * SECOND };
    });
    const sim = newSimulation({ faults });
    await runUntil(sim, 200);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await runUntil(sim, 7 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('DEREGISTERING PROOF_OF_DEATH');
    await runUntil(sim, 8 * SECOND + HEALED_AFTER);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(hasDecided(sim, 'removed')).toBe(false);
  });
});

describe('an instance with two endpoints', { timeout: 60_000 }, () => {
  for (const alsoSilent of [false, true]) {
    it(`is never removed while one is dead${alsoSilent ? ', without Heartbeat-2 either' : ''}`, async () => {
      const mute = { kind: 'mute', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
      const silent = { kind: 'block-out', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
      const sim = newSimulation({ isTwofold: true, faults: alsoSilent ? [mute, silent] : [mute] });
      await runUntil(sim, CRITICAL_BY);
      expect(stateOf(sim, 'orders-1')).toMatch(/^CRITICAL (INBOUND|OUTBOUND)_SILENT$/);
      await runUntil(sim, 5 * MINUTE - 1);
      expect(stateOf(sim, 'orders-1')).toMatch(/^CRITICAL/);
      await runUntil(sim, 5 * MINUTE + HEALED_AFTER);
      expect(states(sim)).toEqual({ HEALTHY: 3 });
    });
  }

  it('names the endpoint that does not answer', async () => {
    const sim = newSimulation({
      isTwofold: true,
      faults: [{ kind: 'mute', target: 'orders-1', at: 0, forMs: MINUTE }],
    });
    await runUntil(sim, CRITICAL_BY);
    const { address } = clientAt(sim, 'orders-1').process.machine;
    const instance = sim.registry.registry?.instance(clientAt(sim, 'orders-1').id ?? '');
    expect(instance?.ok === true && instance.value.reason.text).toContain(`${address}:3001`);
  });
});

describe('the death of a process', { timeout: 60_000 }, () => {
  it('is published in 200 ms after a signal, to callers too, and leads to removal in 10.5 s', async () => {
    const sim = newSimulation({ faults: [{ kind: 'crash', target: 'orders-1', at: 0, forMs: FOREVER_MS }] });
    await runUntil(sim, 200);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    expect(countKnown(sim)).toBe(2);
    await runUntil(sim, 10.5 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('passes every state in time after a loss of power, and fails no call', async () => {
    const sim = newSimulation({ faults: [{ kind: 'power', target: 'orders-1', at: 0, forMs: FOREVER_MS }] });
    await runUntil(sim, UNHEALTHY_AT);
    expect(stateOf(sim, 'orders-1')).toMatch(/^UNHEALTHY/);
    await runUntil(sim, CRITICAL_BY);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL SILENT');
    await runUntil(sim, 27.5 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('DEREGISTERING SILENT');
    await runUntil(sim, 33 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('is confirmed after twice the time for a sole instance', async () => {
    const sim = newSimulation({
      services: { orders: 1 },
      faults: [{ kind: 'power', target: 'orders', at: 0, forMs: FOREVER_MS }],
    });
    await runUntil(sim, 25 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('UNHEALTHY SILENT');
    await runUntil(sim, LAST_CRITICAL_BY);
    expect(stateOf(sim, 'orders-1')).toBe('CRITICAL SILENT');
    await runUntil(sim, 48 * SECOND);
    expect(stateOf(sim, 'orders-1')).toBe('gone');
  });

  it('supersedes the old id when a new process has the port within 5 ms, and the new one is HEALTHY at once', async () => {
    const sim = newSimulation({ faults: [{ kind: 'crash', target: 'orders-1', at: 0, forMs: 5 }] });
    const old = (): string => [...sim.known.values()].find(({ place }) => place.name === 'orders-1')?.id ?? '';
    await runUntil(sim, SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(stateOf(sim, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    const answer = sim.registry.registry?.instance(old());
    expect(answer?.ok === false && answer.problem.code).toBe('ENDED');
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('makes another service HEALTHY that follows at the port, and the wrong one executes nothing', async () => {
    const sim = newSimulation({ faults: [{ kind: 'usurp', target: 'orders-1', at: 0, forMs: 2 * MINUTE }] });
    await runUntil(sim, SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 2 });
    expect(states(sim, 'usurper')).toEqual({ HEALTHY: 1 });
    await runUntil(sim, 2 * MINUTE + 15 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
    expect(states(sim, 'usurper')).toEqual({});
    expect(sim.ledger.failedCalls).toBe(0);
  });

  it('makes the new process HEALTHY when its machine returns while the old instance is held', async () => {
    const sim = newSimulation({ faults: [{ kind: 'power', target: 'orders', at: 0, forMs: 70 * SECOND }] });
    await runUntil(sim, 70 * SECOND + 12 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
  });

  it('leaves no missing instance listed when its machine returns before silence removes it', async () => {
    const sim = newSimulation({ faults: [{ kind: 'power', target: 'orders', at: 0, forMs: 9 * SECOND }] });
    await runUntil(sim, 9 * SECOND + 12 * SECOND);
    expect(states(sim)).toEqual({ HEALTHY: 3 });
  });
});
