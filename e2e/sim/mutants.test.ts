import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { JUDGING } from './mutants-judging.js';
import { KEEPING } from './mutants-keeping.js';
import type { TownPlan } from './plan.js';
import { bugsOf, replaced } from './planting.js';
import type { Mutant } from './planting.js';
import { live } from './replay.js';
import { plans } from './schedule.js';
import { Town } from './town.js';

vi.mock('@rollcall/core', async (importOriginal) => {
  const core = await importOriginal<typeof import('@rollcall/core')>();
  const forgive: typeof core.forgive = (...args) => (replaced.forgive ?? core.forgive)(...args);
  return { ...core, forgive };
});

const SEED = 20_260_101;
/** A planted bug is found within so many plans. */
const MOST_RUNS = 40;

function plansFor(mutant: Mutant): readonly TownPlan[] {
  return fc.sample(plans(mutant.diet), { seed: SEED, numRuns: MOST_RUNS });
}

/** The invariants that the first plan broke which broke any of those that the bug has to break. */
async function caught(mutant: Mutant): Promise<{ readonly plans: number; readonly names: readonly string[] }> {
  const pull = mutant.plant?.() ?? (() => {});
  try {
    for (const [index, plan] of plansFor(mutant).entries()) {
      const town = new Town(plan, bugsOf(mutant));
      await town.run();
      const names = town.ledger.violations.map(({ name }) => name);
      if (names.some((name) => mutant.breaks.includes(name))) return { plans: index + 1, names };
    }
    return { plans: MOST_RUNS, names: [] };
  } finally {
    pull();
  }
}

describe('the checker finds', () => {
  for (const mutant of [...JUDGING, ...KEEPING]) {
    it(`${mutant.name}, and nothing in the real code under the same plans`, { timeout: 60_000 }, async () => {
      const found = await caught(mutant);
      expect(found.names, `not found in ${MOST_RUNS} plans`).not.toEqual([]);
      for (const plan of plansFor(mutant).slice(0, found.plans)) await live(plan);
    });
  }
});
