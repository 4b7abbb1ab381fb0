import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { due } from './deadlines.js';
import { INTERVAL, Model } from './lifecycle-model.fixture.js';
import { transition } from './lifecycle.js';
import type { Event } from './lifecycle.js';
import { DEFAULT_POLICY } from './policy.js';
import { forgive, newborn } from './vitals.js';
import type { Fleet, Phase, Vitals } from './vitals.js';

const SECOND = 1_000;

/** The same instance, driven as in the lifecycle engine of the registry. */
class EngineInstance {
  vitals: Vitals = newborn(0);
  removed: 'gone' | 'for good' | null = null;
  permits = 0;

  apply(event: Event, now: number, fleet: Fleet): void {
    if (this.removed !== null) return;
    const result = transition(this.vitals, event, { now, policy: DEFAULT_POLICY, fleet });
    if (result.usesPermit) this.permits += 1;
    if (result.removed !== null) this.removed = result.removed.ended ? 'for good' : 'gone';
    this.vitals = result.vitals;
  }

  pass(now: number, fleet: Fleet): void {
    for (let step = 0; step < 4 && this.removed === null; step += 1) {
      const event = due(this.vitals, now, DEFAULT_POLICY, fleet);
      const before = this.vitals;
      if (event !== null) this.apply(event, now, fleet);
      if (this.vitals === before) return;
    }
  }
}

// ---- histories ------------------------------------------------------------------------------------------------------

/** A step: time passes (ms), the registry does not listen for a while, the fleet changes, or events happen one after another. */
type Step =
  | { readonly pass: number }
  | { readonly pausedMs: number }
  | { readonly fleet: Fleet }
  | { readonly events: readonly Event[] };

const answered: Event = { type: 'heartbeat-1' };
const beat: Event = { type: 'heartbeat-2' };
const proved: Event = { type: 'proved' };

/** A proof follows the two heartbeats that form it, in either order. */
const proofs: readonly (readonly Event[])[] = [
  [answered, beat, proved],
  [beat, answered, proved],
];

const failed = fc
  .record({ refused: fc.boolean(), partly: fc.boolean(), confirmed: fc.boolean() })
  .map((facts): readonly Event[] => [{ type: 'call-failed', text: 'ECONNREFUSED', ...facts }]);

const fleets: fc.Arbitrary<Fleet> = fc
  .record({
    others: fc.constantFrom('none', 'callable', 'healthy'),
    held: fc.boolean(),
    mass: fc.boolean(),
    hostProved: fc.boolean(),
  })
  .map(({ others, held, mass, hostProved }) => ({
    otherHealthy: others === 'healthy',
    otherCallable: others !== 'none',
    permit: { held: held ? 'too many are silent' : null, mass, hostProved },
  }));

const rareEvents: readonly (readonly Event[])[] = [
  [{ type: 'doubt' }],
  [{ type: 'drain', deadlineMs: 30_000 }],
  [{ type: 'end', code: 'OPERATOR', text: 'removed by an operator' }],
  [{ type: 'register', moved: false }],
  [{ type: 'register', moved: true }],
  [{ type: 'restart' }],
  [{ type: 'line' }],
  [{ type: 'shared', text: 'another instance answers there' }],
  [{ type: 'unshared' }],
];

const refusal: readonly Event[] = [
  { type: 'call-failed', text: 'ECONNREFUSED', refused: true, partly: false, confirmed: false },
];

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 80 }).map((quarters) => ({ pass: quarters * 250 })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 60 }).map((seconds) => ({ pausedMs: seconds * SECOND })) },
  { weight: 1, arbitrary: fleets.map((fleet) => ({ fleet })) },
  { weight: 4, arbitrary: fc.constantFrom(...proofs).map((events) => ({ events })) },
  { weight: 2, arbitrary: fc.constantFrom([answered], [beat]).map((events) => ({ events })) },
  { weight: 2, arbitrary: failed.map((events) => ({ events })) },
  { weight: 1, arbitrary: fc.constant({ events: [{ type: 'proof', text: 'ECONNREFUSED' } as const] }) },
  { weight: 1, arbitrary: fc.constant({ events: [{ type: 'restart' }, ...refusal] as const }) },
  { weight: 1, arbitrary: fc.constantFrom(...rareEvents).map((events) => ({ events })) },
);

/** Many proofs and long waits, because otherwise the instance is rarely HEALTHY for long; 20 minutes of life or more. */
const histories = fc.array(steps, { maxLength: 120, size: 'max' });

const STEADY_FLEET: Fleet = {
  otherHealthy: true,
  otherCallable: true,
  permit: { held: null, mass: false, hostProved: false },
};
const SWEEP_MS = 250;

/** Observes every step of a history. */
interface Observation {
  readonly now: number;
  readonly before: Vitals;
  readonly real: EngineInstance;
  readonly model: Model;
  /** The event of this step; null if time has passed. */
  readonly event: Event | null;
}

function run(history: readonly Step[], observe: (observation: Observation) => void): void {
  const [real, model] = [new EngineInstance(), new Model()];
  let [now, fleet] = [0, STEADY_FLEET];
  const both = (event: Event | null, act: (one: EngineInstance | Model) => void): void => {
    const before = real.vitals;
    act(real);
    act(model);
    observe({ now, before, real, model, event });
  };
  for (const step of history) {
    if (real.removed !== null || model.removed !== null) return;
    if ('fleet' in step) fleet = step.fleet;
    else if ('events' in step) step.events.forEach((event) => both(event, (one) => one.apply(event, now, fleet)));
    else if ('pausedMs' in step) {
      now += step.pausedMs;
      real.vitals = forgive(real.vitals, step.pausedMs, now);
      model.forgive(step.pausedMs, now);
      both(null, (one) => one.pass(now, fleet));
    } else {
      const end = now + step.pass;
      for (now += SWEEP_MS; now < end; now += SWEEP_MS) both(null, (one) => one.pass(now, fleet));
      now = end;
      both(null, (one) => one.pass(now, fleet));
    }
  }
}

/** Histories of an instance that has sent no heartbeat since a restart and refuses, with other events between. */
const restarts: fc.Arbitrary<readonly Step[]> = fc
  .tuple(histories, fleets, fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant({ events: refusal }) }, steps)))
  .map(([before, fleet, after]) => [
    ...before.filter(isHarmless),
    { events: [answered, beat, proved] },
    { fleet },
    { events: [{ type: 'restart' }] },
    ...after.flatMap((step): Step[] => [step, { pass: 4_000 }]),
    { pass: 20_000 },
  ]);

const RUNS = { numRuns: 400 };

/** Like `expect(is).toEqual(should)`, but fast enough for every step of a history. */
function check(is: unknown, should: unknown, { now, event }: Observation): void {
  if (is === should) return;
  throw new Error(`at ${now} ms, after ${event?.type ?? 'time'}: it is ${String(is)}, and should be ${String(should)}`);
}

describe('any history of an instance', () => {
  it('follows the table of the protocol: phase, cause, removal, and the use of permits', () => {
    const property = fc.property(fc.oneof(histories, restarts), (history) => {
      run(history, (observation) => {
        const { phase, cause } = observation.real.vitals;
        const { removed, permits } = observation.real;
        const { model } = observation;
        const should = `${model.phase} ${model.cause} ${model.removed} ${model.permits}`;
        check(`${phase} ${cause} ${removed} ${permits}`, should, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('never makes an instance HEALTHY that was not proved both ways since it registered its address', () => {
    const property = fc.property(histories, (history) => {
      let isProved = false;
      run(history, (observation) => {
        const { real, event } = observation;
        if (event?.type === 'proved') isProved = true;
        if (event?.type === 'register' && event.moved && real.vitals.phase !== 'LEAVING') isProved = false;
        if (real.vitals.phase === 'HEALTHY') check(isProved, true, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('never removes an instance by silence or proof within an interval after a sign of life', () => {
    const property = fc.property(histories, (history) => {
      let heardAt = 0;
      run(history, (observation) => {
        const { now, real, event } = observation;
        if (event !== null && SIGNS_OF_LIFE.has(event.type)) heardAt = now;
        if (real.removed === 'gone') check(now - heardAt >= INTERVAL, true, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('never goes on from CRITICAL while only one direction works', () => {
    const alone = fc.constantFrom([answered], [beat]);
    const property = fc.property(histories, alone, (history, events) => {
      const steady = Array.from({ length: 60 }, (): Step[] => [{ pass: 5_000 }, { events }]);
      run([...history.filter(isHarmless), ...steady.flat()], (observation) => {
        if (observation.now >= INTERVAL * 4 + lengthOf(history))
          check(observation.real.vitals.phase === 'DEREGISTERING', false, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('ends once it is LEAVING, and no event reverts that', () => {
    const property = fc.property(histories, (history) => {
      run(history, (observation) => {
        const { before, real } = observation;
        if (before.phase !== 'LEAVING') return;
        check(real.vitals.phase, 'LEAVING', observation);
        check(real.removed === 'gone', false, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('saves a DEREGISTERING instance only by its own message, or if the registry doubts its own network', () => {
    const property = fc.property(histories, (history) => {
      run(history, (observation) => {
        const { before, real, event } = observation;
        const { phase } = real.vitals;
        if (before.phase !== 'DEREGISTERING' || phase === 'DEREGISTERING' || real.removed !== null) return;
        check((SAVED_BY[phase] ?? []).includes(event?.type), true, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('while self-preservation holds, removes by silence only an instance that was never proved and is silent both ways', () => {
    const held: Fleet = { ...STEADY_FLEET, permit: { ...STEADY_FLEET.permit, held: 'too many are silent' } };
    const property = fc.property(histories, (history) => {
      const withoutFleetChanges = history.filter((step) => !('fleet' in step));
      run([{ fleet: held }, ...withoutFleetChanges], (observation) => {
        const { before, real, event } = observation;
        check(real.permits, 0, observation);
        if (event !== null || before.phase === 'CRITICAL' || real.vitals.phase !== 'CRITICAL') return;
        check(before.proved, false, observation);
        check(real.vitals.cause === 'one-way', false, observation);
      });
    });
    fc.assert(property, RUNS);
  });

  it('keeps counting consecutive proofs while self-preservation updates the reason for its hold, since no probe has failed', () => {
    const held: Fleet = {
      ...STEADY_FLEET,
      otherHealthy: false,
      permit: { ...STEADY_FLEET.permit, held: 'too many are silent' },
    };
    const proof: readonly Event[] = [answered, beat, proved];
    const history: Step[] = [{ fleet: held }, { events: proof }, { pass: 12_000 }, { events: proof }, { pass: 17_000 }];
    let last: Vitals | null = null;
    run([...history, { events: proof }], ({ real }) => (last = real.vitals));
    expect(last).toMatchObject({ phase: 'HEALTHY' });
  });
});

/** Events that count as a message of the instance, or that restart its clocks. */
const SIGNS_OF_LIFE: ReadonlySet<string> = new Set(['heartbeat-1', 'heartbeat-2', 'register', 'restart']);

/** The transitions that lead out of DEREGISTERING. */
const SAVED_BY: Partial<Record<Phase, readonly (string | undefined)[]>> = {
  UNHEALTHY: ['heartbeat-2', 'register', 'doubt'],
  CRITICAL: ['heartbeat-1'],
  LEAVING: ['drain'],
};

/** Histories without an end event and without a refusal that counts as a death. */
const isHarmless = (step: Step): boolean =>
  !('events' in step) || step.events.every(({ type }) => type !== 'drain' && type !== 'end');

/** The duration of a history, ms. */
const lengthOf = (history: readonly Step[]): number =>
  history.reduce((sum, step) => sum + ('pass' in step ? step.pass : 'pausedMs' in step ? step.pausedMs : 0), 0);
