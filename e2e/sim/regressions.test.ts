import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'vitest';
import type { SimulationPlan } from './plan.js';
import { runPlan } from './replay.js';

/** A plan that once broke an invariant. */
interface Regression {
  /** The defect, in one line. */
  readonly why: string;
  readonly plan: SimulationPlan;
}

const folder = new URL('regressions/', import.meta.url);

describe('does not regress:', { timeout: 60_000 }, () => {
  for (const file of readdirSync(folder).toSorted()) {
    const { why, plan } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Regression;
    it(`${file.replace('.json', '')} ${why}`, async () => {
      await runPlan(plan);
    });
  }
});
