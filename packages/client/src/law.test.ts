import type { Protocol } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { breaches, compare } from './law.js';
import { LAW_WORLDS } from './law-worlds.js';

const PROTOCOLS: readonly Protocol[] = ['tcp', 'http', 'grpc'];
const SEEDS = [1, 2];

describe.each(PROTOCOLS)('over %s', (protocol) => {
  describe.each(LAW_WORLDS)('$name', (law) => {
    it.each(law.hosts)('with %i instances, no call is lost that a bare client makes', async (count) => {
      const here = law.world(count);
      for (const seed of SEEDS) {
        const chances = () => ({ time: new ManualTime(), random: seededRandom(seed) });
        expect(breaches(here, await compare(here, protocol, chances)), `seed ${seed}`).toEqual([]);
      }
    });
  });
});
