import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { live } from './replay.js';
import { plans } from './schedule.js';
import { Town } from './town.js';

const seed = Number(process.env['SIM_SEED'] ?? 1);
const runs = Number(process.env['SIM_RUNS'] ?? 100);

describe('x', () => {
  it('runs', { timeout: 1e6 }, async () => {
    const t0 = performance.now();
    let hours = 0;
    let events = 0;
    await fc.assert(
      fc.asyncProperty(plans(), async (plan) => {
        const town = await live(plan);
        hours += town.world.now / 3_600_000;
        events += town.world.events;
      }),
      { seed, numRuns: runs, endOnFailure: process.env['SIM_SHRINK'] === undefined },
    ).finally(() => {
    const ms = performance.now() - t0;
    console.log(hours, 'h', events, 'events', ms, 'ms', (hours * 3_600_000) / ms, 'x');
    });
  });
});
