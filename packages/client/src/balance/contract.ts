import type { State } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anInstance } from '../link/link.fixture.js';
import type { Balancer } from './balancer.js';
import type { BalancerName } from './balancers.js';
import { BALANCERS } from './balancers.js';
import { TypicalLatency } from './loads.js';
import type { Node } from './node.js';
import { aBalancer, aFleet, anAsk } from './balance.fixture.js';

const PICKS = 6_000;
const CALL_MS = 5;

function build(name: BalancerName, seed: number): Balancer<Node> {
  const random = seededRandom(seed);
  const typical = new TypicalLatency();
  typical.observe(CALL_MS);
  const balancing = BALANCERS[name];
  return aBalancer({ picker: balancing.picker(random), random, load: () => balancing.load(typical) });
}

/** How often each instance was picked, every call taking the same time. */
function shares(balancer: Balancer<Node>, picks = PICKS): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let now = 0; now < picks; now += 1) {
    const node = balancer.pick(anAsk({ now }));
    if (node === null) throw new Error('nobody was picked');
    counts.set(node.id, (counts.get(node.id) ?? 0) + 1);
    node.load.observe(CALL_MS, now);
  }
  return counts;
}

function shut(node: Node | undefined): void {
  for (let i = 0; i < 5; i += 1) node?.breaker.absence(0, () => true);
}

/** What every row of `BALANCERS` promises, whatever its picker and load. */
export function balancerContract(name: BalancerName): void {
  describe(`the balancer ${name}`, () => {
    itShares(name);
    itKeepsToGatesAndTiers(name);
    itStartsSlowly(name);
  });
}

function itShares(name: BalancerName): void {
  it('picks nobody when there is nobody', () => {
    expect(build(name, 1).pick(anAsk())).toBeNull();
  });

  it('gives equal instances equal shares, within a tenth', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 7 }), (seed, count) => {
        const balancer = build(name, seed);
        balancer.update(aFleet(count), 0);
        const counts = shares(balancer);
        expect(counts.size).toBe(count);
        for (const picked of counts.values()) expect(Math.abs(picked * count - PICKS)).toBeLessThan(PICKS / 10);
      }),
      { numRuns: 25 },
    );
  });
}

function itKeepsToGatesAndTiers(name: BalancerName): void {
  it('picks somebody who admits the call, and was not tried, as long as there is one', () => {
    const fleet = fc.array(fc.record({ isShut: fc.boolean(), isTried: fc.boolean() }), { maxLength: 12 });
    fc.assert(
      fc.property(fc.integer(), fleet, (seed, members) => {
        const balancer = build(name, seed);
        balancer.update(aFleet(members.length), 0);
        const nodes = [...balancer.nodes];
        members.forEach(({ isShut }, i) => isShut && shut(nodes[i]));
        const tried = nodes.filter((_, i) => members.at(i)?.isTried === true).slice(0, 2);
        const ask = anAsk({ now: 1, tried: tried[0] ?? null, triedToo: tried[1] ?? null });
        const open = nodes.filter((node) => node.admits(1) && !tried.includes(node));
        for (let i = 0; i < 5; i += 1) {
          const picked = balancer.pick({ ...ask });
          if (open.length > 0) expect(open).toContain(picked);
        }
      }),
    );
  });

  it('uses the lowest tier that holds anybody', () => {
    const states: readonly State[] = ['HEALTHY', 'REGISTERING', 'UNHEALTHY'];
    const fleet = fc.array(fc.constantFrom<State>(...states, 'CRITICAL', 'DEREGISTERING'), { maxLength: 10 });
    fc.assert(
      fc.property(fc.integer(), fleet, (seed, members) => {
        const balancer = build(name, seed);
        balancer.update(
          members.map((state, i) => anInstance({ id: `orders-${i}`, state })),
          0,
        );
        const best = states.find((state) => members.includes(state));
        expect(balancer.pick(anAsk({ now: 1 }))?.instance.state).toBe(best);
      }),
    );
  });
}

function itStartsSlowly(name: BalancerName): void {
  it('starts a new instance slowly, and gives it its share after 10 s', () => {
    const balancer = build(name, 7);
    balancer.update(aFleet(3), 0);
    balancer.update(aFleet(4), 1_000);
    const share = (from: number): number => {
      let picked = 0;
      for (let i = 0; i < PICKS; i += 1) {
        const node = balancer.pick(anAsk({ now: from }));
        node?.load.observe(CALL_MS, from);
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
