import type { State } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { createBalancer, createFleet, createPickArgs } from './balance.fixture.js';
import type { Balancer } from './balancer.js';
import type { Balancing } from './balancers.js';
import { TypicalLatency } from './nodes/loads.js';
import type { Node } from './nodes/node.js';

const PICKS = 6_000;
const CALL_MS = 5;

/** A balancer under test. */
export interface Candidate {
  readonly name: string;
  readonly balancing: Balancing;
  /** True if it honours weights. */
  readonly isWeighted: boolean;
}

function build({ balancing }: Candidate, seed: number): Balancer<Node> {
  const random = seededRandom(seed);
  const typical = new TypicalLatency();
  typical.observe(CALL_MS);
  return createBalancer({ picker: balancing.picker(random), random, load: balancing.load(typical) });
}

/** How often each instance was picked if all calls take the same time and each ends before the next. */
function shares(balancer: Balancer<Node>, picks = PICKS): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let now = 0; now < picks; now += 1) {
    const node = balancer.pick(createPickArgs({ now }));
    if (node === null) throw new Error('no instance was picked');
    counts.set(node.id, (counts.get(node.id) ?? 0) + 1);
    node.observe(CALL_MS, now, true);
  }
  return counts;
}

/** Five standard deviations of a random share: one run in a million exceeds them. */
const deviation = (share: number): number => 5 * Math.sqrt(PICKS * share * (1 - share)) + 1;

function shut(node: Node | undefined): void {
  for (let i = 0; i < 5; i += 1) node?.breaker.connectFailure(0, () => true);
}

/** Starts calls on a node up to its limit. */
function fill(node: Node | undefined): void {
  node?.limit.overloaded(0, 0, 20);
  for (let left = node?.limit.gate ?? 0; left > 0; left -= 1) node?.begin(0, false);
}

/** Three calls without an answer, while another one answered. */
function freeze(node: Node | undefined, another: Node | undefined): void {
  for (let i = 0; i < 3; i += 1) node?.begin(0, true);
  another?.answered(500);
}

/** The contract of every row of `BALANCERS` and of every custom balancer, with any picker and load. */
export function balancerContract(candidate: Candidate): void {
  describe(`the balancer ${candidate.name}`, () => {
    itShares(candidate);
    itStarvesNoInstance(candidate);
    itKeepsToGates(candidate);
    itKeepsToTiers(candidate);
    itStartsSlowly(candidate);
    itPicksEveryInstance(candidate);
  });
}

function itShares(candidate: Candidate): void {
  it('picks nothing when there is no instance', () => {
    expect(build(candidate, 1).pick(createPickArgs())).toBeNull();
  });

  it('gives equal instances equal shares', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 7 }), (seed, count) => {
        const balancer = build(candidate, seed);
        balancer.update(createFleet(count), 0);
        const counts = shares(balancer);
        expect(counts.size).toBe(count);
        const max = deviation(1 / count);
        for (const picked of counts.values()) expect(Math.abs(picked - PICKS / count)).toBeLessThanOrEqual(max);
      }),
      { numRuns: 25 },
    );
  });

  it.runIf(candidate.isWeighted)('honours weights, and leaves out instances of weight 0', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.integer(), weights, (seed, all) => {
        const balancer = build(candidate, seed);
        balancer.update(
          [0, ...all].map((weight, i) => createInstance({ id: `w${i}`, weight })),
          0,
        );
        const sum = all.reduce((left, right) => left + right, 0);
        const counts = shares(balancer);
        expect(counts.get('w0')).toBeUndefined();
        all.forEach((weight, i) => {
          const share = weight / sum;
          const picked = counts.get(`w${i + 1}`) ?? 0;
          expect(Math.abs(picked - share * PICKS)).toBeLessThanOrEqual(deviation(share));
        });
      }),
      { numRuns: 25 },
    );
  });
}

function itStarvesNoInstance(candidate: Candidate): void {
  it('keeps calling each instance, however slow it was and however often the fleet changes', () => {
    const member = fc.record({ ms: fc.integer({ min: 1, max: 200 }), weight: fc.integer({ min: 50, max: 100 }) });
    const fleet = fc.array(member, { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(fc.integer(), fleet, fc.integer({ min: 0, max: 5 }), (seed, members, changed) => {
        const balancer = build(candidate, seed);
        const instances = members.map(({ weight }, i) => createInstance({ id: String(i), weight }));
        const counts = new Map<string, number>();
        for (let now = 0; now < 120_000; now += 50) {
          // the records of the others change, and with them the lists
          const revision = 1 + Math.floor(now / 1_000);
          const current = instances.map((one, i) => (i === changed % members.length ? { ...one, revision } : one));
          if (now % 1_000 === 0) balancer.update(current, now);
          const node = balancer.pick(createPickArgs({ now }));
          if (node === null) throw new Error('no instance was picked');
          node.observe(members[Number(node.id)]?.ms ?? 0, now, true);
          if (now >= 60_000) counts.set(node.id, (counts.get(node.id) ?? 0) + 1);
        }
        expect(counts.size).toBe(members.length);
      }),
      { numRuns: 20 },
    );
  });
}

function itKeepsToGates(candidate: Candidate): void {
  it('picks an untried instance that admits the call, as long as there is one', () => {
    const member = fc.record({
      gate: fc.constantFrom('open', 'open', 'shut', 'full', 'frozen'),
      isTried: fc.boolean(),
      weight: fc.constantFrom(100, 100, 300),
    });
    fc.assert(
      fc.property(fc.integer(), fc.array(member, { maxLength: 12 }), fc.string(), (seed, members, hashKey) => {
        const balancer = build(candidate, seed);
        balancer.update(
          members.map(({ weight }, i) => createInstance({ id: `orders-${i}`, weight })),
          0,
        );
        const nodes = [...balancer.nodes];
        members.forEach(({ gate }, i) => {
          if (gate === 'shut') shut(nodes[i]);
          if (gate === 'full') fill(nodes[i]);
          if (gate === 'frozen') freeze(nodes[i], nodes[(i + 1) % nodes.length]);
        });
        const tried = nodes.filter((_, i) => members.at(i)?.isTried === true).slice(0, 2);
        const now = 900;
        const fields = { now, tried: tried[0] ?? null, triedToo: tried[1] ?? null };
        const open = nodes.filter((node) => node.admits(now) && !tried.includes(node));
        for (const key of [null, hashKey]) {
          const args = createPickArgs({ ...fields, hashKey: key });
          const picked = balancer.pick(args);
          if (open.length > 0) expect(open).toContain(picked);
          // none is left: at most the one call that probes whether that is still so
          else expect(picked === null || args.isProbe).toBe(true);
        }
      }),
    );
  });
}

function itKeepsToTiers(candidate: Candidate): void {
  it('uses the lowest tier with an instance', () => {
    const states: readonly State[] = ['HEALTHY', 'REGISTERING', 'UNHEALTHY'];
    const fleet = fc.array(fc.constantFrom<State>(...states, 'CRITICAL', 'DEREGISTERING'), { maxLength: 10 });
    fc.assert(
      fc.property(fc.integer(), fleet, fc.option(fc.string()), (seed, members, hashKey) => {
        const balancer = build(candidate, seed);
        balancer.update(
          members.map((state, i) => createInstance({ id: `orders-${i}`, state })),
          0,
        );
        const best = states.find((state) => members.includes(state));
        expect(balancer.pick(createPickArgs({ now: 1, hashKey }))?.instance.state).toBe(best);
      }),
    );
  });
}

function itStartsSlowly(candidate: Candidate): void {
  it('starts a new instance slowly, and gives it its share after 10 s', () => {
    const balancer = build(candidate, 7);
    balancer.update(createFleet(3), 0);
    balancer.update(createFleet(4), 1_000);
    const share = (from: number): number => {
      let picked = 0;
      for (let i = 0; i < PICKS; i += 1) {
        const node = balancer.pick(createPickArgs({ now: from }));
        node?.observe(CALL_MS, from, true);
        if (node?.id === 'orders-3') picked += 1;
      }
      return picked / PICKS;
    };
    expect(share(1_000)).toBeGreaterThan(0.005);
    expect(share(1_000)).toBeLessThan(0.06);
    expect(share(11_000)).toBeGreaterThan(0.2);
    expect(share(11_000)).toBeLessThan(0.3);
  });
}

function itPicksEveryInstance(candidate: Candidate): void {
  it('keeps the measurements of each instance that a change does not remove', () => {
    const step = fc.record({ touched: fc.nat(7), isGone: fc.boolean(), isNew: fc.boolean() });
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { maxLength: 20 }), (seed, steps) => {
        const balancer = build(candidate, seed);
        let fleet = createFleet(8);
        balancer.update(fleet, 0);
        steps.forEach(({ touched, isGone, isNew }, i) => {
          const before = new Map([...balancer.nodes].map((node) => [node.id, node]));
          const at = touched % Math.max(1, fleet.length);
          const changed = fleet.map((one, place) => (place === at ? { ...one, revision: 2 + i } : one));
          fleet = [...(isGone ? changed.toSpliced(at, 1) : changed), ...createFleet(isNew ? 1 : 0, 'HEALTHY', 100 + i)];
          balancer.update(fleet, i);
          expect([...balancer.nodes].map(({ id }) => id).toSorted()).toEqual(fleet.map(({ id }) => id).toSorted());
          for (const node of balancer.nodes) {
            if (before.has(node.id)) expect(node).toBe(before.get(node.id));
            expect(node.instance).toBe(fleet.find(({ id }) => id === node.id));
          }
        });
      }),
      { numRuns: 50 },
    );
  });
}
