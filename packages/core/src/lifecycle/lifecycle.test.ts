import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { due, forecast } from './deadlines.js';
import { transition } from './lifecycle.js';
import type { Event } from './lifecycle.js';
import { DEFAULT_POLICY } from './policy.js';
import { fallsNow, forgive, newborn } from './vitals.js';
import type { Fleet, Phase, Vitals } from './vitals.js';

const policy = DEFAULT_POLICY;
const SECOND = 1_000;
const steadyFleet: Fleet = {
  otherHealthy: true,
  otherCallable: true,
  permit: { held: null, mass: false, hostProved: false },
};
const alone: Fleet = { ...steadyFleet, otherHealthy: false, otherCallable: false };

/** Drives one instance through time as the registry does: applies due events every 100 ms. */
class TestInstance {
  vitals: Vitals = newborn(0);
  now = 0;
  removedAt: number | null = null;
  permits = 0;
  readonly phases: [number, Phase][] = [];

  constructor(public fleet: Fleet = steadyFleet) {}

  apply(...events: Event[]): this {
    for (const event of events) {
      const result = transition(this.vitals, event, { now: this.now, policy, fleet: this.fleet });
      if (result.removed !== null) this.removedAt = this.now;
      if (result.usesPermit) this.permits += 1;
      if (result.vitals.phase !== this.vitals.phase) this.phases.push([this.now, result.vitals.phase]);
      this.vitals = result.vitals;
    }
    return this;
  }

  /** Advances time; applies `each` every 5 s. */
  pass(seconds: number, each: readonly Event[] = []): this {
    const end = this.now + seconds * SECOND;
    while (this.now < end && this.removedAt === null) {
      this.now += 100;
      if (this.now % policy.intervalMs === 0) this.apply(...each);
      const event = due(this.vitals, this.now, policy, this.fleet);
      if (event !== null) this.apply(event);
    }
    return this;
  }

  get phase(): Phase {
    return this.vitals.phase;
  }
}

const beat: Event = { type: 'heartbeat-2' };
const answer: Event = { type: 'heartbeat-1' };
const proved: Event = { type: 'proved' };
const BOTH = [answer, beat, proved];
const refused: Event = { type: 'call-failed', text: 'E', refused: true, partly: false, confirmed: false };
const healthy = (fleet?: Fleet): TestInstance => new TestInstance(fleet).apply(...BOTH);

/** Restarts the instance, then applies `calls` at 2, 7, 12 … s. */
function restarted(fleet: Fleet, calls: readonly (readonly Event[])[]): TestInstance {
  const patient = healthy(fleet).apply({ type: 'restart' }).pass(2);
  for (const call of calls) patient.apply(...call).pass(5);
  return patient;
}

describe('the lifecycle', () => {
  it('makes an instance HEALTHY by the first proof, and only by a proof', () => {
    expect(new TestInstance().apply(answer, beat).phase).toBe('REGISTERING');
    expect(new TestInstance().apply(...BOTH).phase).toBe('HEALTHY');
  });

  it('keeps an instance HEALTHY while it answers and sends heartbeats', () => {
    expect(healthy().pass(600, BOTH).phases).toEqual([[0, 'HEALTHY']]);
  });

  it('removes an instance that is silent in both directions, in the steps of the protocol', () => {
    const patient = healthy().pass(60);
    expect(patient.phases.slice(1)).toEqual([
      [12 * SECOND, 'UNHEALTHY'],
      [17 * SECOND, 'CRITICAL'],
      [27 * SECOND, 'DEREGISTERING'],
    ]);
    expect(patient.removedAt).toBe(32 * SECOND);
    expect(patient.permits).toBe(1);
  });

  it('waits longer for the last callable instance of a service', () => {
    const patient = healthy(alone).pass(60);
    expect(patient.phases[2]).toEqual([32 * SECOND, 'CRITICAL']);
  });

  it.each([
    ['Heartbeat-1', beat, 'INBOUND_SILENT'],
    ['Heartbeat-2', answer, 'OUTBOUND_SILENT'],
  ])(
    'makes an instance CRITICAL that lacks only %s, names the direction, and never removes it',
    (_missing, alive, code) => {
      const patient = healthy();
      expect(patient.pass(13, [alive]).vitals.reason.code).toBe(code);
      expect(patient.phase).toBe('UNHEALTHY');
      expect(patient.pass(5, [alive]).phase).toBe('CRITICAL');
      expect(patient.pass(3_600, [alive]).phase).toBe('CRITICAL');
      expect(patient.removedAt).toBeNull();
    },
  );

  it('also removes an instance that failed in one direction and then became silent in the other', () => {
    const patient = healthy().pass(6, []).apply(beat).pass(12);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['CRITICAL', 'INBOUND_SILENT']);
    expect(forecast(patient.vitals, policy, steadyFleet)).toBeNull();
    expect(patient.pass(60).phases.slice(2)).toEqual([
      [17 * SECOND, 'CRITICAL'],
      [27 * SECOND, 'DEREGISTERING'],
    ]);
    expect(patient.removedAt).toBe(32 * SECOND);
  });

  it('counts from the last heartbeat of either direction while both are silent', () => {
    const patient = healthy().pass(3, []).apply(beat).pass(13);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'SILENT']);
    expect(forecast(patient.vitals, policy, steadyFleet)).toEqual({
      state: 'CRITICAL',
      afterMs: 8 * SECOND,
      unless: 'HEARTBEAT_2',
    });
    expect(patient.pass(4).phases.at(-1)).toEqual([20 * SECOND, 'CRITICAL']);
  });

  it('gives one direction an interval and a timeout when the other returns after both were silent', () => {
    const frozen = healthy().pass(1, []).apply(beat).pass(16.5, []).apply(beat);
    expect(frozen.phase).toBe('UNHEALTHY');
    expect(frozen.pass(3, []).apply(...BOTH, ...BOTH).phase).toBe('HEALTHY');
    const oneWay = healthy().pass(1, []).apply(beat).pass(16.5, []).apply(beat).pass(3, []).apply(beat).pass(4, []);
    expect(oneWay.phases.at(-1)).toEqual([24.5 * SECOND, 'CRITICAL']);
  });

  it('forecasts the removal of an instance that was never proved and is silent, and none while it sends heartbeats', () => {
    const silentInstance = new TestInstance().pass(30);
    expect([silentInstance.phase, silentInstance.vitals.reason.code]).toEqual(['CRITICAL', 'UNPROVED']);
    expect(forecast(silentInstance.vitals, policy, steadyFleet)?.afterMs).toBe(10 * SECOND);
    const beating = new TestInstance().pass(31, [beat]);
    expect([beating.phase, forecast(beating.vitals, policy, steadyFleet)]).toEqual(['CRITICAL', null]);
  });

  it('does not report that an instance answers Heartbeat-1 if its last probe failed', () => {
    const failed: Event = { type: 'call-failed', text: 'E', refused: false, partly: false, confirmed: false };
    const patient = healthy().pass(1, []).apply(answer).pass(9, []).apply(failed).pass(2, []);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'SILENT']);
    const partly = healthy()
      .pass(11, [answer])
      .apply({ ...failed, partly: true })
      .pass(2, []);
    expect(partly.vitals.reason).toMatchObject({ code: 'OUTBOUND_SILENT' });
  });

  it('keeps the only instance callable if it lacks one direction', () => {
    const patient = healthy(alone).pass(3_600, [beat]);
    expect(patient.phase).toBe('UNHEALTHY');
  });

  it('returns to HEALTHY by two consecutive proofs; a failed probe resets the count', () => {
    const patient = healthy().apply(refused);
    expect(patient.vitals.reason).toEqual({ code: 'INBOUND_REFUSED', text: 'it cannot be reached: E' });
    expect(patient.apply(...BOTH, refused, ...BOTH).phase).toBe('UNHEALTHY');
    expect(patient.apply(...BOTH).phase).toBe('HEALTHY');
  });

  it('requires five proofs of an instance that fell more than three times in a short time', () => {
    const patient = healthy();
    for (let falls = 0; falls < 3; falls += 1) patient.apply(refused, ...BOTH, ...BOTH);
    expect(patient.phase).toBe('HEALTHY');
    patient.apply(refused, ...BOTH, ...BOTH, ...BOTH, ...BOTH);
    expect(fallsNow(patient.vitals, patient.now, policy)).toBe(4);
    expect(patient.phase).toBe('UNHEALTHY');
    expect(patient.apply(...BOTH).phase).toBe('HEALTHY');
  });

  it('acts on proof of death at once, and removes the instance after two intervals', () => {
    const patient = healthy().apply({ type: 'proof', text: 'connect ECONNREFUSED 10.0.0.5:3001' });
    expect(patient.phase).toBe('CRITICAL');
    expect(patient.vitals.reason.text).toContain('connect ECONNREFUSED 10.0.0.5:3001');
    expect(forecast(patient.vitals, policy, steadyFleet)).toEqual({
      state: 'DEREGISTERING',
      afterMs: 5 * SECOND,
      unless: 'HEARTBEAT_2',
    });
    patient.pass(60);
    expect(patient.removedAt).toBe(10 * SECOND);
    expect(patient.permits).toBe(0);
  });

  it('reverts a proof of death when the instance sends a heartbeat', () => {
    const patient = healthy().apply({ type: 'proof', text: 'E' }).pass(3).apply(beat);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'INBOUND_REFUSED']);
  });

  it('saves an instance from DEREGISTERING by a Heartbeat-2', () => {
    const patient = healthy().pass(28).apply(beat);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'RESCUED']);
  });

  it('never saves a leaving instance, and removes it at its deadline', () => {
    const patient = healthy().apply({ type: 'drain', deadlineMs: 7 * SECOND });
    expect(patient.pass(11, BOTH).phase).toBe('LEAVING');
    patient.pass(2, BOTH);
    expect(patient.removedAt).toBe(12 * SECOND);
  });

  it('holds an instance while self-preservation forbids its removal, publishes that once, and releases it by itself', () => {
    const held = healthy({ ...steadyFleet, permit: { ...steadyFleet.permit, held: '3 of 5 are silent' } }).pass(120);
    expect([held.phase, held.vitals.reason.code]).toEqual(['UNHEALTHY', 'PRESERVED']);
    expect(held.vitals.reason.text).toBe(
      'held by self-preservation: 3 of 5 are silent; of this one: it neither answers Heartbeat-1 nor sends Heartbeat-2',
    );
    expect(held.phases.filter(([, phase]) => phase === 'UNHEALTHY')).toHaveLength(1);
    expect(held.apply(...BOTH, ...BOTH).phase).toBe('HEALTHY');
  });

  describe('for an instance without a heartbeat since the restart of the registry, and holds during a mass silence', () => {
    const mass: Fleet = { ...steadyFleet, permit: { held: '3 of 5 are silent', mass: false, hostProved: true } };
    const timedOut: Event = { ...refused, refused: false };
    const REFUSALS = [[refused], [refused], [refused]];

    it('takes the steps of silence without a permit if it refuses every probe', () => {
      const patient = restarted(mass, REFUSALS).pass(60);
      expect(patient.phases.slice(1)).toEqual([
        [2 * SECOND, 'UNHEALTHY'],
        [17 * SECOND, 'CRITICAL'],
        [27 * SECOND, 'DEREGISTERING'],
      ]);
      expect([patient.removedAt, patient.permits]).toEqual([32 * SECOND, 0]);
      expect(patient.vitals.reason).toEqual({
        code: 'SILENT',
        text: 'it neither answers Heartbeat-1 nor sends Heartbeat-2: E; not heard from since this registry started',
      });
    });

    it('waits longer if no other instance of its service is callable', () => {
      const patient = restarted({ ...mass, otherHealthy: false, otherCallable: false }, REFUSALS).pass(60);
      expect(patient.phases[2]).toEqual([32 * SECOND, 'CRITICAL']);
      expect(patient.removedAt).toBe(47 * SECOND);
    });

    it('holds it if it refused only before its host was proved, since a live instance there had no time for a heartbeat', () => {
      const patient = restarted({ ...mass, permit: { ...mass.permit, hostProved: false } }, REFUSALS);
      patient.fleet = mass;
      patient.pass(3).apply(refused).pass(5).apply(refused).pass(1);
      expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'PRESERVED']);
      expect(patient.pass(5).apply(refused).pass(1).phase).toBe('CRITICAL');
    });

    it.each<[string, readonly (readonly Event[])[], Partial<Fleet['permit']>]>([
      ['its host has no proved instance', REFUSALS, { hostProved: false }],
      ['the registry doubts its own network', REFUSALS, { mass: true }],
      ['it was refused once', [[], [], [refused]], {}],
      ['it was refused twice in one moment', [[], [], [refused, refused]], {}],
      ['it was refused twice within an interval', [[], [refused], [refused]], {}],
      ['a call timed out between', [[refused], [timedOut], [refused]], {}],
      ['one of its endpoints answers', [[refused], [refused], [{ ...refused, partly: true }, refused]], {}],
      ['it has sent a heartbeat', [[refused], [beat, refused], [refused]], {}],
      ['it opened its line', [[refused], [{ type: 'line' }, refused], [refused]], {}],
      ['it registered again', [[refused], [{ type: 'register', moved: false }, refused], [refused]], {}],
    ])('holds it where %s', (_why, calls, permit) => {
      const patient = restarted({ ...mass, permit: { ...mass.permit, ...permit } }, calls).pass(60);
      expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'PRESERVED']);
    });
  });

  it('never becomes HEALTHY while two processes share an address', () => {
    const patient = healthy().apply({ type: 'shared', text: 'b' }).pass(60, BOTH);
    expect([patient.phase, patient.vitals.reason.code]).toEqual(['UNHEALTHY', 'ADDRESS_SHARED']);
    expect(patient.apply({ type: 'unshared' }, ...BOTH, ...BOTH).phase).toBe('HEALTHY');
  });

  it('forgives a pause without credit for the future', () => {
    const { vitals } = healthy();
    const forgiven = forgive(vitals, 60 * SECOND, 10 * SECOND);
    expect([forgiven.inboundAt, forgiven.outboundAt, forgiven.since]).toEqual([10 * SECOND, 10 * SECOND, 10 * SECOND]);
  });
});

describe('any history of an instance', () => {
  const anyEvent = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Event>(beat, answer, proved, refused) },
    fc.constantFrom<Event>(
      { ...refused, refused: false },
      { ...refused, refused: false, confirmed: true },
      { ...refused, partly: true },
      { type: 'proof', text: 'E' },
      { type: 'doubt' },
      { type: 'drain', deadlineMs: 1_000 },
      { type: 'register', moved: false },
      { type: 'register', moved: true },
      { type: 'restart' },
      { type: 'line' },
      { type: 'shared', text: 'E' },
      { type: 'unshared' },
    ),
  );
  const anyFleet = fc.record({
    otherHealthy: fc.boolean(),
    otherCallable: fc.boolean(),
    permit: fc.record({ held: fc.constantFrom(null, 'E'), mass: fc.boolean(), hostProved: fc.boolean() }),
  });
  const history = fc.array(fc.tuple(anyEvent, fc.integer({ min: 0, max: 40 })), { maxLength: 40 });

  it('reaches HEALTHY only by a proof, and never once it is leaving', () => {
    fc.assert(
      fc.property(history, anyFleet, (steps, fleet) => {
        const patient = new TestInstance(fleet);
        for (const [event, seconds] of steps) {
          const before = patient.vitals;
          patient.apply(event);
          if (patient.phase === 'HEALTHY' && before.phase !== 'HEALTHY') expect(event.type).toBe('proved');
          if (before.phase === 'LEAVING') expect(patient.phase).toBe('LEAVING');
          if (patient.removedAt === null) patient.pass(seconds);
          if (patient.removedAt !== null) return;
        }
      }),
    );
  });

  it('ends in removal after the last heartbeat, unless it is held', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const patient = new TestInstance();
        for (const [event, seconds] of steps) {
          patient.apply(event);
          if (patient.removedAt === null) patient.pass(seconds);
          if (patient.removedAt !== null) return;
        }
        expect(patient.pass(120).removedAt).not.toBeNull();
      }),
    );
  });

  it('consumes a permit for each step to CRITICAL by the silence of a proved instance, and for no other', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const patient = new TestInstance();
        let allowed = 0;
        for (const [event, seconds] of steps) {
          patient.apply(event);
          if (patient.removedAt === null) patient.pass(seconds);
          if (patient.removedAt !== null) return;
          allowed = patient.phases.filter(([, phase]) => phase === 'CRITICAL').length;
          expect(patient.permits).toBeLessThanOrEqual(allowed);
        }
      }),
    );
  });
});
