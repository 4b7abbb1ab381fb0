import type { Instance, State } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBalancer, createFleet, createPickArgs } from './balance.fixture.js';
import type { Balancer } from './balancer.js';
import type { Node } from './nodes/node.js';
import type { PickArgs } from './pickers/picker.js';
import { PowerOfTwo } from './pickers/pickers.js';

type Ending = 'good' | 'bad' | 'absent';

/** One step of a history: a call with its result and duration, a ping, a report of the registry, or a pause. */
type Step =
  | { readonly what: 'call'; readonly ending: Ending; readonly probes: PickArgs['probes']; readonly lastsMs: number }
  | { readonly what: 'wait'; readonly ms: number }
  | { readonly what: 'registry'; readonly place: number; readonly state: State };

interface UnderWay {
  readonly node: Node;
  readonly isProbe: boolean;
  readonly ending: Ending;
  readonly endsAt: number;
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant('call'),
      ending: fc.constantFrom<Ending>('good', 'bad', 'bad', 'absent', 'absent'),
      probes: fc.constantFrom<PickArgs['probes']>('repeatable', 'once', 'never'),
      lastsMs: fc.constantFrom(1, 5, 400, 3_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('wait'), ms: fc.constantFrom(1, 100, 1_000, 7_000, 31_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('registry'),
      place: fc.nat(7),
      state: fc.constantFrom<State>('HEALTHY', 'UNHEALTHY', 'CRITICAL', 'REGISTERING'),
    }),
  },
);

/** A caller that checks the guarantees of the circuit breaker after each step. */
class Caller {
  readonly balancer: Balancer<Node>;
  readonly #pinged = new Set<Node>();
  readonly #probed = new Set<Node>();
  #underWay: readonly UnderWay[] = [];
  #fleet: readonly Instance[];
  #now = 0;

  constructor(count: number, seed: number) {
    const random = seededRandom(seed);
    const ping = (node: Node): void => {
      this.#beginProbe(node);
      this.#pinged.add(node);
    };
    this.balancer = createBalancer({ picker: new PowerOfTwo(random), random, parts: { ping } });
    this.#fleet = createFleet(count);
    this.balancer.update(this.#fleet, 0);
  }

  follow(next: Step): void {
    if (next.what === 'wait') this.#pass(next.ms);
    else if (next.what === 'call') this.#call(next);
    else {
      const place = next.place % this.#fleet.length;
      this.#fleet = this.#fleet.map((one, i) => (i === place ? { ...one, state: next.state } : one));
      this.balancer.update(this.#fleet, this.#now);
    }
    this.#answerPings();
    this.#pass(1);
  }

  #call({ ending, probes, lastsMs }: Extract<Step, { what: 'call' }>): void {
    const open = this.#callable().filter((node) => node.admits(this.#now));
    const args = createPickArgs({ now: this.#now, probes });
    const node = this.balancer.pick(args);
    if (open.length > 0) expect(node).not.toBeNull();
    if (node === null) return;
    expect(this.#callable()).toContain(node);
    if (args.isProbe) this.#beginProbe(node);
    else if (open.length > 0) expect(open).toContain(node);
    // all were full: a limit that was only a guess has given way
    else expect(node.admits(this.#now)).toBe(true);
    node.begin(this.#now, true);
    const call: UnderWay = { node, isProbe: args.isProbe, ending, endsAt: this.#now + lastsMs };
    this.#underWay = [...this.#underWay, call].toSorted((one, other) => one.endsAt - other.endsAt);
  }

  #pass(ms: number): void {
    const until = this.#now + ms;
    for (let [next] = this.#underWay; next !== undefined && next.endsAt <= until; [next] = this.#underWay) {
      this.#underWay = this.#underWay.slice(1);
      this.#now = next.endsAt;
      this.#end(next);
    }
    this.#now = until;
  }

  #end({ node, isProbe, ending }: UnderWay): void {
    node.end();
    if (isProbe) {
      this.#probed.delete(node);
      this.balancer.endProbe(node);
    }
    const before = node.breaker.cause;
    if (ending === 'good') this.balancer.succeeded(node, this.#now);
    else if (ending === 'bad') this.balancer.failed(node, this.#now);
    else this.balancer.absent(node, this.#now);
    if (before === null && node.breaker.cause === 'errors') this.#expectRoom();
  }

  /** An instance that was just ejected for errors is within the allowed share and is not the last one. */
  #expectRoom(): void {
    const callable = this.#callable();
    const ejected = callable.filter((node) => node.breaker.cause !== null).length;
    expect(ejected).toBeLessThanOrEqual(Math.max(1, Math.floor(callable.length / 2)));
    expect(ejected).toBeLessThan(callable.length);
  }

  #beginProbe(node: Node): void {
    expect(this.#probed).not.toContain(node);
    expect(node.breaker.cause).not.toBeNull();
    this.#probed.add(node);
  }

  #answerPings(): void {
    for (const node of this.#pinged) {
      this.#probed.delete(node);
      this.balancer.pinged(node);
    }
    this.#pinged.clear();
  }

  #callable(): readonly Node[] {
    const states: readonly State[] = ['HEALTHY', 'REGISTERING', 'UNHEALTHY'];
    return [...this.balancer.nodes].filter((node) => states.includes(node.instance.state));
  }
}

describe('the guarantees of the circuit breaker', () => {
  it('hold in any history: at most half and never the last ejected for errors, one probe at a time', () => {
    // calls mostly come in runs with the same result; other steps come between the runs
    const run = fc
      .record({ ending: fc.constantFrom<Ending>('good', 'bad', 'absent'), length: fc.integer({ min: 2, max: 7 }) })
      .map(({ ending, length }): Step[] => {
        return Array.from({ length }, () => ({ what: 'call', ending, probes: 'never', lastsMs: 1 }));
      });
    const history = fc
      .array(
        fc.oneof(
          run,
          step.map((one) => [one]),
        ),
        { minLength: 10, maxLength: 100 },
      )
      .map((all) => all.flat());
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer(), history, (count, seed, steps) => {
        const caller = new Caller(count, seed);
        for (const next of steps) caller.follow(next);
      }),
      { numRuns: 200 },
    );
  });

  it('shuts instances that cannot be connected to, then fails fast, and recovers within a second of the first good probe', () => {
    const fields = {
      count: fc.integer({ min: 1, max: 6 }),
      seed: fc.integer(),
      backAtMs: fc.integer({ min: 2_000, max: 60_000 }),
    };
    fc.assert(
      fc.property(
        fc.record(fields),
        fc.constantFrom<PickArgs['probes']>('repeatable', 'once', 'never'),
        (world, probes) => {
          const { count, seed, backAtMs } = world;
          const random = seededRandom(seed);
          const balancer = createBalancer({ picker: new PowerOfTwo(random), random });
          balancer.update(createFleet(count), 0);
          let [refused, goodAt] = [0, Infinity];
          for (let now = 0; now < backAtMs + 60_000; now += 20) {
            const args = createPickArgs({ now, probes });
            const node = balancer.pick(args);
            // while no instance can be called, calls fail at once, except for one call a second and calls that serve as a due probe
            if (node === null) refused += 1;
            if (node === null) expect(now).toBeLessThan(goodAt + 1_000);
            if (node === null) continue;
            if (args.isProbe) balancer.endProbe(node);
            if (now < backAtMs) balancer.absent(node, now);
            else {
              goodAt = Math.min(goodAt, now);
              balancer.succeeded(node, now);
            }
          }
          expect(refused).toBeGreaterThan(0);
          // the instance was found by the one call a second, or when its ejection ended
          expect(goodAt).toBeLessThanOrEqual(backAtMs + 1_020);
        },
      ),
      { numRuns: 50 },
    );
  });
});
