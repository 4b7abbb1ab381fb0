import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { bugsOf, MUTANTS, replaced } from './mutants.js';
import { plans } from './schedule.js';
import { Town } from './town.js';

vi.mock('@rollcall/core', async (importOriginal) => {
  const core = await importOriginal<typeof import('@rollcall/core')>();
  const forgive: typeof core.forgive = (...args) => (replaced.forgive ?? core.forgive)(...args);
  return { ...core, forgive };
});

const SEED = 20_260_101;
const MOST_RUNS = 60;

describe('a planted bug is found:', () => {
  for (const mutant of MUTANTS) {
    it(mutant.name, { timeout: 60_000 }, async () => {
      const pull = mutant.plant?.() ?? (() => {});
      try {
        const t0 = performance.now();
        let runs = 0;
        const seen = new Map<string, number>();
        for (const plan of fc.sample(plans(mutant.kinds), { seed: SEED, numRuns: MOST_RUNS })) {
          runs += 1;
          const town = new Town(plan, bugsOf(mutant));
          await town.run();
          for (const { name } of town.checker.violations) seen.set(name, (seen.get(name) ?? 0) + 1);
          if (town.checker.violations.some(({ name }) => mutant.breaks.includes(name))) break;
        }
        console.log(mutant.name, runs, [...seen], performance.now() - t0);
        expect([...seen.keys()].filter((n) => mutant.breaks.includes(n))).not.toEqual([]);
      } finally {
        pull();
      }
    });
  }
});
