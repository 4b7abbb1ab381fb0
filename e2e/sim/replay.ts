import { Town } from './town.js';
import type { TownPlan } from './town.js';
import type { Bugs } from './bugs.js';

/** Runs a plan and throws with what was broken and how to see it again; returns the town for further questions. */
export async function live(plan: TownPlan, bugs?: Bugs): Promise<Town> {
  const town = new Town(plan, bugs);
  await town.run();
  const { violations } = town.checker;
  if (violations.length === 0) return town;
  if (process.env['SIM_TRACE'] !== undefined) console.log(town.checker.trace.join('\n'));
  const lines = violations.slice(0, 5).map(({ name, at, text }) => `${name} at ${at} ms: ${text}`);
  throw new Error(`${lines.join('\n')}\nreplay: ${JSON.stringify(plan)}`);
}
