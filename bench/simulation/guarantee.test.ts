import type { Protocol } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rollcallClient } from './clients.js';
import { GUARANTEE_WORLDS } from './guarantee-worlds.js';
import { worlds } from './guarantee.fixture.js';
import { breaches, chanceOf, compare, successes } from './guarantee.js';
import type { Chances } from './guarantee.js';
import { rollcallOverSockets } from './sockets.fixture.js';
import type { WorldClient } from './world.js';

/** Seeds of the random stage. To search further, change both; a failure reports its seed and path, which replay it. */
const FIRST_SEED = 1;
const RUNS = 150;
const PATIENCE_MS = 120_000;

const chancesOf =
  (seed: number): Chances =>
  () => ({ time: new ManualTime(), random: seededRandom(seed) });

const PROTOCOLS: readonly Protocol[] = ['tcp', 'http', 'grpc'];
/** A seed for each protocol. */
const SEEDS: Readonly<Record<Protocol, number>> = { tcp: 1, http: 2, grpc: 3 };

/** TCP and HTTP run this package’s own transports over simulated sockets; gRPC is a model. */
const clientOf = (protocol: Protocol): WorldClient =>
  protocol === 'grpc' ? rollcallClient(protocol) : rollcallOverSockets(protocol);

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const client = clientOf(protocol);
  describe.each(GUARANTEE_WORLDS)('$name', (guarantee) => {
    it.each(guarantee.hosts)('loses no call with %i instances that a bare client makes', async (count) => {
      const world = guarantee.world(count);
      const found = await compare(world, protocol, chancesOf(SEEDS[protocol]), client);
      expect(breaches(world, found)).toEqual([]);
    });
  });
});

describe('in worlds drawn at random', () => {
  it(
    'loses no call that a bare client makes, except by chance, and none in the sum',
    async () => {
      const sums = { ours: 0, bare: 0 };
      const worldAndSeed = fc.tuple(worlds, fc.constantFrom(...PROTOCOLS), fc.nat(1_000_000));
      await fc.assert(
        fc.asyncProperty(worldAndSeed, async ([world, protocol, seed]) => {
          const found = await compare(world, protocol, chancesOf(seed), clientOf(protocol));
          sums.ours += successes(found.ours);
          sums.bare += found.bareSuccesses;
          expect(breaches(world, found, chanceOf(world, found))).toEqual([]);
        }),
        { seed: FIRST_SEED, numRuns: RUNS, interruptAfterTimeLimit: PATIENCE_MS / 2 },
      );
      expect(sums.ours).toBeGreaterThanOrEqual(sums.bare);
    },
    PATIENCE_MS,
  );
});
