import { noBugs } from './bugs.js';
import type { Bugs } from './bugs.js';
import type { Violation } from './ledger.js';
import type { TownPlan } from './plan.js';
import { Town } from './town.js';

const MOST_SHOWN = 5;

/** Lives a plan. Throws with what was broken, and with the line that replays it; returns the town for further questions. */
export async function live(plan: TownPlan, bugs: Bugs = noBugs): Promise<Town> {
  const town = new Town(plan, bugs);
  try {
    await town.run();
  } catch (error) {
    throw new Error(`An event threw at ${Math.round(town.now)} ms.\n${replayLine(plan)}`, { cause: error });
  }
  const { violations, trace } = town.ledger;
  if (violations.length > 0 && process.env['SIM_TRACE'] !== undefined) console.log(trace.join('\n'));
  if (violations.length > 0) throw new Error(`${told(violations)}\n${replayLine(plan)}`);
  return town;
}

/** In full: paste it into a file of `regressions/`. */
export const replayLine = (plan: TownPlan): string => `replay: ${JSON.stringify({ why: '', plan })}`;

function told(violations: readonly Violation[]): string {
  const lines = violations.slice(0, MOST_SHOWN).map(({ name, at, text }) => `${name} at ${at} ms: ${text}`);
  const more = violations.length - lines.length;
  return more === 0 ? lines.join('\n') : `${lines.join('\n')}\n(and ${more} more)`;
}
