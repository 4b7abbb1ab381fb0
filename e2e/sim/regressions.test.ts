import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'vitest';
import type { TownPlan } from './plan.js';
import { live } from './replay.js';

/** A plan that once broke something. */
interface Regression {
  /** What was broken, in one line. */
  readonly why: string;
  readonly plan: TownPlan;
}

const folder = new URL('regressions/', import.meta.url);

describe('what was once broken stays whole:', { timeout: 60_000 }, () => {
  for (const file of readdirSync(folder).toSorted()) {
    const { why, plan } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Regression;
    it(`${file.replace('.json', '')} ${why}`, async () => {
      await live(plan);
    });
  }
});
