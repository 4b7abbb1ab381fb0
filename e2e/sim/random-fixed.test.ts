import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import type { SimulationPlan } from './plan.js';
import { replayLine } from './replay.js';
import { plans } from './schedule.js';
import { readPositiveInteger, search } from './search.js';
import { Simulation } from './simulation.js';

const SEED = 20_260_101;
const RUNS = isShort ? 100 : 600;
const RUNS_OF_CLOCKS = isShort ? 15 : 40;

describe('random plans of a fixed seed', { timeout: 300_000 }, () => {
  it('break no invariant', { timeout: 3_600_000 }, async () => {
    const seconds = readPositiveInteger('SIM_SECONDS');
    expect(await search({ seed: SEED, runs: RUNS, seconds })).toBeGreaterThan(0);
  });

  it('lead to the same decisions when wall clocks jump (S10)', { timeout: 300_000 }, async () => {
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

  it('run the same way twice', async () => {
    for (const plan of fc.sample(plans(), { seed: SEED, numRuns: 10 })) {
      expect(await traceOf(plan)).toEqual(await traceOf(plan));
    }
  });
});

async function traceOf(plan: SimulationPlan): Promise<readonly string[]> {
  const sim = new Simulation(plan);
  await sim.run();
  return [...sim.ledger.trace, `${sim.world.events} events`];
}
