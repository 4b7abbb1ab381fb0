import type { Protocol } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rollcallClient } from './clients.js';
import { GUARANTEE_WORLDS } from './guarantee-worlds.js';
import { worlds } from './guarantee.fixture.js';
import { findBreaches, chanceAllowance, compare, countSuccesses } from './guarantee.js';
import type { CreateClock } from './guarantee.js';
import { rollcallOverSockets } from './sockets.fixture.js';
import type { WorldClient } from './world.js';

/** Seeds of the random stage. To search further, change both; a failure reports its seed and path, which replay it. */
const FIRST_SEED = 1;
const RUNS = 150;
const TIMEOUT_MS = 120_000;

const clockFactory =
  (seed: number): CreateClock =>
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
      const found = await compare(world, protocol, clockFactory(SEEDS[protocol]), client);
      expect(findBreaches(world, found)).toEqual([]);
    });
  });
});

describe('in worlds drawn at random', () => {
  it(
    'loses no call that a bare client makes, except by chance, and none in the sum',
    async () => {
      const sums = { ours: 0, bare: 0 };
      const story = fc.tuple(worlds, fc.constantFrom(...PROTOCOLS), fc.nat(1_000_000));
      await fc.assert(
        fc.asyncProperty(story, async ([world, protocol, seed]) => {
          const found = await compare(world, protocol, clockFactory(seed), clientOf(protocol));
          sums.ours += countSuccesses(found.ours);
          sums.bare += found.bareSuccesses;
          expect(findBreaches(world, found, chanceAllowance(world, found))).toEqual([]);
        }),
        { seed: FIRST_SEED, numRuns: RUNS, interruptAfterTimeLimit: TIMEOUT_MS / 2 },
      );
      expect(sums.ours).toBeGreaterThanOrEqual(sums.bare);
    },
    TIMEOUT_MS,
  );
});
