import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import type { TownPlan } from './plan.js';
import { replayLine } from './replay.js';
import { plans } from './schedule.js';
import { fromEnvironment, search } from './search.js';
import { Town } from './town.js';

const SEED = 20_260_101;
const RUNS = isShort ? 150 : 600;
const RUNS_OF_CLOCKS = isShort ? 15 : 40;

describe('by chance, the same each time', { timeout: 300_000 }, () => {
  it('nothing breaks an invariant', { timeout: 3_600_000 }, async () => {
    const seconds = fromEnvironment('SIM_SECONDS');
    expect(await search({ seed: SEED, runs: RUNS, seconds })).toBeGreaterThan(0);
  });

  it('S10: a wall clock that jumps changes no decision', { timeout: 300_000 }, async () => {
    const some = fc.sample(plans({ kinds: ['wall', 'wall', 'crash', 'cut', 'block-in', 'block-out', 'stop'] }), {
      seed: SEED,
      numRuns: RUNS_OF_CLOCKS,
    });
    for (const plan of some) {
      const faults = plan.faults.map((fault) =>
        fault.kind === 'wall' ? { ...fault, kind: 'nothing' as const } : fault,
      );
      expect(await traceOf(plan), replayLine(plan)).toEqual(await traceOf({ ...plan, faults }));
    }
  });

  it('a seed and a schedule are a run: twice the same', async () => {
    for (const plan of fc.sample(plans(), { seed: SEED, numRuns: 10 })) {
      expect(await traceOf(plan)).toEqual(await traceOf(plan));
    }
  });
});

async function traceOf(plan: TownPlan): Promise<readonly string[]> {
  const town = new Town(plan);
  await town.run();
  return [...town.ledger.trace, `${town.world.events} events`];
}
