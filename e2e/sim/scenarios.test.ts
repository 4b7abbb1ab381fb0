import { describe, expect, it } from 'vitest';
import { FOREVER_MS } from './plan.js';
import {
  aTown,
  at,
  CRITICAL_BY,
  decided,
  HEALED_BY,
  knownTo,
  LAST_CRITICAL_BY,
  MINUTE,
  SECOND,
  stateOf,
  states,
  tenantAt,
  UNHEALTHY_BY,
} from './scenario.js';

describe('a direction that is blocked', { timeout: 60_000 }, () => {
  it('keeps the sole instance of a service callable for ten minutes, and HEALTHY 1.2 intervals after', async () => {
    const faults = [{ kind: 'block-in', target: 'orders', at: 0, forMs: 10 * MINUTE } as const];
    const town = aTown({ services: { orders: 1 }, faults });
    await at(town, UNHEALTHY_BY);
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY INBOUND_SILENT');
    await at(town, 10 * MINUTE - 1);
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY INBOUND_SILENT');
    expect(knownTo(town)).toBe(1);
    await at(town, 10 * MINUTE + HEALED_BY);
    expect(stateOf(town, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    expect(town.ledger.failedCalls).toBe(0);
  });

  for (const kind of ['block-in', 'block-out'] as const) {
    it(`${kind} makes one of three CRITICAL, and never more`, async () => {
      const town = aTown({ faults: [{ kind, target: 'orders-1', at: 0, forMs: 5 * MINUTE }] });
      const direction = kind === 'block-in' ? 'INBOUND_SILENT' : 'OUTBOUND_SILENT';
      await at(town, UNHEALTHY_BY);
      expect(stateOf(town, 'orders-1')).toBe(`UNHEALTHY ${direction}`);
      await at(town, CRITICAL_BY);
      expect(stateOf(town, 'orders-1')).toBe(`CRITICAL ${direction}`);
      await at(town, 5 * MINUTE - 1);
      expect(stateOf(town, 'orders-1')).toBe(`CRITICAL ${direction}`);
      await at(town, 5 * MINUTE + HEALED_BY);
      expect(states(town)).toEqual({ HEALTHY: 3 });
    });
  }

  it('takes nobody out when it is blocked to all, and a caller that starts meanwhile finds everybody', async () => {
    const town = aTown({
      gateways: 2,
      faults: [
        { kind: 'block-in', target: 'registry', at: 0, forMs: 3 * MINUTE },
        { kind: 'crash', target: 'gateway-2', at: MINUTE, forMs: 5 },
      ],
    });
    await at(town, MINUTE + 5 * SECOND);
    expect(knownTo(town, 'gateway-2')).toBe(3);
    await at(town, 3 * MINUTE - 1);
    expect(states(town)).toEqual({ UNHEALTHY: 3 });
    expect(decided(town, 'CRITICAL')).toBe(false);
    await at(town, 3 * MINUTE + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('from birth shows who cannot be reached, removes nobody who beats, and ends with its repair', async () => {
    const faults = [
      { kind: 'block-in', target: 'orders-3', at: -20 * SECOND, forMs: 5 * MINUTE + 20 * SECOND } as const,
    ];
    const town = aTown({ faults });
    await at(town, 0);
    expect(stateOf(town, 'orders-3')).toBe('REGISTERING NEW');
    await at(town, 15 * SECOND);
    expect(stateOf(town, 'orders-3')).toBe('CRITICAL UNPROVED');
    await at(town, 5 * MINUTE - 1);
    expect(stateOf(town, 'orders-3')).toBe('CRITICAL UNPROVED');
    await at(town, 5 * MINUTE + HEALED_BY);
    expect(stateOf(town, 'orders-3')).toBe('HEALTHY BOTH_WAYS_OK');
  });

  it('from birth leaves the sole instance callable', async () => {
    const faults = [{ kind: 'block-in', target: 'orders', at: -20 * SECOND, forMs: 5 * MINUTE } as const];
    const town = aTown({ services: { orders: 1 }, faults });
    await at(town, 15 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY LAST');
    expect(knownTo(town)).toBe(1);
  });

  it('refused, while the line cannot open again, is no death as long as it beats', async () => {
    const town = aTown({
      faults: [
        { kind: 'refuse-in', target: 'orders-1', at: 0, forMs: 5 * MINUTE },
        { kind: 'no-line', target: 'orders-1', at: 100, forMs: 5 * MINUTE - 100 },
      ],
    });
    await at(town, SECOND);
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY INBOUND_REFUSED');
    await at(town, 5 * MINUTE - 1);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL INBOUND_REFUSED');
    await at(town, 5 * MINUTE + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(decided(town, 'removed')).toBe(false);
  });

  it('together with the other one and the line looks like a death, from which any sign of life saves', async () => {
    const faults = (['refuse-in', 'block-out', 'no-line'] as const).map((kind) => {
      return { kind, target: 'orders-1', at: 0, forMs: 8 * SECOND };
    });
    const town = aTown({ faults });
    await at(town, 200);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    await at(town, 7 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('DEREGISTERING PROOF_OF_DEATH');
    await at(town, 8 * SECOND + HEALED_BY);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(decided(town, 'removed')).toBe(false);
  });
});

describe('an instance with two endpoints', { timeout: 60_000 }, () => {
  for (const alsoSilent of [false, true]) {
    it(`of which one is dead is never removed${alsoSilent ? ', without Heartbeat-2 either' : ''}`, async () => {
      const mute = { kind: 'mute', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
      const silent = { kind: 'block-out', target: 'orders-1', at: 0, forMs: 5 * MINUTE } as const;
      const town = aTown({ isTwofold: true, faults: alsoSilent ? [mute, silent] : [mute] });
      await at(town, CRITICAL_BY);
      expect(stateOf(town, 'orders-1')).toMatch(/^CRITICAL (INBOUND|OUTBOUND)_SILENT$/);
      await at(town, 5 * MINUTE - 1);
      expect(stateOf(town, 'orders-1')).toMatch(/^CRITICAL/);
      await at(town, 5 * MINUTE + HEALED_BY);
      expect(states(town)).toEqual({ HEALTHY: 3 });
    });
  }

  it('names the endpoint that does not answer', async () => {
    const town = aTown({ isTwofold: true, faults: [{ kind: 'mute', target: 'orders-1', at: 0, forMs: MINUTE }] });
    await at(town, CRITICAL_BY);
    const { address } = tenantAt(town, 'orders-1').process.machine;
    const instance = town.registry.registry?.instance(tenantAt(town, 'orders-1').id ?? '');
    expect(instance?.ok === true && instance.value.reason.text).toContain(`${address}:3001`);
  });
});

describe('death', { timeout: 60_000 }, () => {
  it('by signal is known in 200 ms, to callers too, and removed in 10.5 s', async () => {
    const town = aTown({ faults: [{ kind: 'crash', target: 'orders-1', at: 0, forMs: FOREVER_MS }] });
    await at(town, 200);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL PROOF_OF_DEATH');
    expect(knownTo(town)).toBe(2);
    await at(town, 10.5 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('by loss of power goes through every state, each in its time, and no call fails', async () => {
    const town = aTown({ faults: [{ kind: 'power', target: 'orders-1', at: 0, forMs: FOREVER_MS }] });
    await at(town, UNHEALTHY_BY);
    expect(stateOf(town, 'orders-1')).toMatch(/^UNHEALTHY/);
    await at(town, CRITICAL_BY);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL SILENT');
    await at(town, 27.5 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('DEREGISTERING SILENT');
    await at(town, 33 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('gone');
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('of the sole instance takes twice the time', async () => {
    const town = aTown({
      services: { orders: 1 },
      faults: [{ kind: 'power', target: 'orders', at: 0, forMs: FOREVER_MS }],
    });
    await at(town, 25 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('UNHEALTHY SILENT');
    await at(town, LAST_CRITICAL_BY);
    expect(stateOf(town, 'orders-1')).toBe('CRITICAL SILENT');
    await at(town, 48 * SECOND);
    expect(stateOf(town, 'orders-1')).toBe('gone');
  });

  it('and a new process at the port within 5 ms: the old id is superseded, the new one HEALTHY at once', async () => {
    const town = aTown({ faults: [{ kind: 'crash', target: 'orders-1', at: 0, forMs: 5 }] });
    const old = (): string => [...town.known.values()].find(({ place }) => place.name === 'orders-1')?.id ?? '';
    await at(town, SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(stateOf(town, 'orders-1')).toBe('HEALTHY BOTH_WAYS_OK');
    const answer = town.registry.registry?.instance(old());
    expect(answer?.ok === false && answer.problem.code).toBe('ENDED');
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('and another service at the port: it is HEALTHY there, and nothing is done by the wrong one', async () => {
    const town = aTown({ faults: [{ kind: 'usurp', target: 'orders-1', at: 0, forMs: 2 * MINUTE }] });
    await at(town, SECOND);
    expect(states(town)).toEqual({ HEALTHY: 2 });
    expect(states(town, 'usurper')).toEqual({ HEALTHY: 1 });
    await at(town, 2 * MINUTE + 15 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
    expect(states(town, 'usurper')).toEqual({});
    expect(town.ledger.failedCalls).toBe(0);
  });

  it('of the machine, which comes back with the address while the old one is held: the new process is HEALTHY', async () => {
    const town = aTown({ faults: [{ kind: 'power', target: 'orders', at: 0, forMs: 70 * SECOND }] });
    await at(town, 70 * SECOND + 12 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
  });

  it('of the machine, which comes back before silence could remove it: nobody is listed who is not there', async () => {
    const town = aTown({ faults: [{ kind: 'power', target: 'orders', at: 0, forMs: 9 * SECOND }] });
    await at(town, 9 * SECOND + 12 * SECOND);
    expect(states(town)).toEqual({ HEALTHY: 3 });
  });
});
