import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { createBalancer, createPickArgs } from '../balance.fixture.js';
import { WeightedRoundRobin } from './weighted-round-robin.js';

it('keeps the count of each instance within one turn of its own and one of each other of its share', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.integer(), weights, (seed, all) => {
      const random = seededRandom(seed);
      const balancer = createBalancer({ picker: new WeightedRoundRobin(random), random });
      balancer.update(
        all.map((weight, i) => createInstance({ id: String(i), weight })),
        0,
      );
      const sum = all.reduce((left, right) => left + right, 0);
      const counts = all.map(() => 0);
      for (let picks = 1; picks <= 300; picks += 1) {
        const place = Number(balancer.pick(createPickArgs())?.id);
        counts[place] = (counts[place] ?? 0) + 1;
        const isOff = all.some((weight, i) => {
          const share = weight / sum;
          return Math.abs((counts[i] ?? 0) - picks * share) > 1 + all.length * share;
        });
        expect(isOff).toBe(false);
      }
    }),
  );
});
