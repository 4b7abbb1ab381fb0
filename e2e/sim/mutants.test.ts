import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { isShort } from '../variants.js';
import { JUDGING } from './mutants-judging.js';
import { KEEPING } from './mutants-keeping.js';
import type { SimulationPlan } from './plan.js';
import { bugsOf, replaced } from './planting.js';
import type { Mutant } from './planting.js';
import { runPlan } from './replay.js';
import { plans } from './schedule.js';
import { Simulation } from './simulation.js';

vi.mock('@rollcall/core', async (importOriginal) => {
  const core = await importOriginal<typeof import('@rollcall/core')>();
  const forgive: typeof core.forgive = (...args) => (replaced.forgive ?? core.forgive)(...args);
  return { ...core, forgive };
});

const SEED = 20_260_101;
/** The number of plans within which a planted bug must be found. */
const MAX_RUNS = 40;

/** `npm test` runs the real code under random plans only. */
const REAL_CODE = isShort ? '' : ', and nothing in the real code under the same plans';

function plansFor(mutant: Mutant): readonly SimulationPlan[] {
  return fc.sample(plans(mutant.constraints), { seed: SEED, numRuns: MAX_RUNS });
}

/** The invariants broken by the first plan that broke any of those that the bug has to break. */
async function findViolations(mutant: Mutant): Promise<{ readonly plans: number; readonly names: readonly string[] }> {
  const pull = mutant.plant?.() ?? (() => {});
  try {
    for (const [index, plan] of plansFor(mutant).entries()) {
      const sim = new Simulation(plan, bugsOf(mutant));
      await sim.run();
      const names = sim.ledger.violations.map(({ name }) => name);
      if (names.some((name) => mutant.breaks.includes(name))) return { plans: index + 1, names };
    }
    return { plans: MAX_RUNS, names: [] };
  } finally {
    pull();
  }
}

describe('the checker finds', () => {
  for (const mutant of [...JUDGING, ...KEEPING]) {
    it(`${mutant.name}${REAL_CODE}`, { timeout: 60_000 }, async () => {
      const found = await findViolations(mutant);
      expect(found.names, `not found in ${MAX_RUNS} plans`).not.toEqual([]);
      if (isShort) return;
      for (const plan of plansFor(mutant).slice(0, found.plans)) await runPlan(plan);
    });
  }
});
