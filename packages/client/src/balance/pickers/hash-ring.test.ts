import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { createBalancer, createFleet, createPickArgs } from '../balance.fixture.js';
import type { Balancer } from '../balancer.js';
import type { Node } from '../nodes/node.js';
import { HashRing } from './hash-ring.js';

const KEYS = Array.from({ length: 4_000 }, (_, i) => `customer ${i}`);

function build(seed = 5): Balancer<Node> {
  const random = seededRandom(seed);
  return createBalancer({ picker: new HashRing(random), random });
}

/** The instance for each key while all instances are idle. */
function homes(balancer: Balancer<Node>, now = 0): ReadonlyMap<string, string> {
  return new Map(KEYS.map((hashKey) => [hashKey, balancer.pick(createPickArgs({ now, hashKey }))?.id ?? '']));
}

function countOf(places: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const place of places) counts.set(place, (counts.get(place) ?? 0) + 1);
  return counts;
}

describe('the hash ring', () => {
  it('sends a key to the same instance for every caller and any order of the instances', () => {
    const [one, other] = [build(1), build(2)];
    one.update(createFleet(20), 0);
    other.update(createFleet(20).toReversed(), 0);
    expect(homes(one)).toEqual(homes(other));
  });

  it('moves only the keys of an instance that leaves, and for a new instance only the keys that it takes', () => {
    const balancer = build();
    balancer.update(createFleet(20), 0);
    const before = homes(balancer);
    balancer.update(createFleet(19), 0);
    for (const [key, home] of homes(balancer)) {
      if (before.get(key) !== 'orders-19') expect(home).toBe(before.get(key));
    }
    balancer.update(createFleet(20), 0);
    // the slow start is over
    expect(homes(balancer, 20_000)).toEqual(before);
  });

  it('spreads keys by weight, within a third', () => {
    const balancer = build();
    balancer.update(
      [100, 200, 300].map((weight, i) => createInstance({ id: `w${i}`, weight })),
      0,
    );
    const counts = countOf(homes(balancer).values());
    for (const [i, share] of [1 / 6, 1 / 3, 1 / 2].entries()) {
      const picked = (counts.get(`w${i}`) ?? 0) / KEYS.length;
      expect(picked / share).toBeGreaterThan(2 / 3);
      expect(picked / share).toBeLessThan(4 / 3);
    }
  });

  it('gives no instance more than 1.25 × its share of the calls under way, for any keys', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(fc.nat(20), { maxLength: 200 }), (count, keys) => {
        const balancer = build();
        balancer.update(createFleet(count), 0);
        keys.forEach((key, i) => {
          const node = balancer.pick(createPickArgs({ hashKey: String(key) }));
          if (node === null) throw new Error('no instance was picked');
          node.begin(0, false);
          expect(node.inFlight).toBeLessThanOrEqual(Math.ceil((1.25 * (i + 1)) / count));
        });
      }),
    );
  });

  it('picks the same second instance when the first was tried', () => {
    const balancer = build();
    balancer.update(createFleet(10), 0);
    const first = balancer.pick(createPickArgs({ hashKey: 'a' }));
    const next = balancer.pick(createPickArgs({ hashKey: 'a', tried: first }));
    expect(next).not.toBe(first);
    for (let i = 0; i < 20; i += 1) expect(balancer.pick(createPickArgs({ hashKey: 'a', tried: first }))).toBe(next);
  });
});
