import { noBugs } from './bugs.js';
import type { Bugs } from './bugs.js';
import type { Violation } from './ledger.js';
import type { SimulationPlan } from './plan.js';
import { Simulation } from './simulation.js';

const MOST_SHOWN = 5;

/** Runs a plan. Throws with the violations, and with the line that replays it; returns the run for further checks. */
export async function runPlan(plan: SimulationPlan, bugs: Bugs = noBugs): Promise<Simulation> {
  const sim = new Simulation(plan, bugs);
  try {
    await sim.run();
  } catch (error) {
    throw new Error(`An event threw at ${Math.round(sim.now)} ms.\n${replayLine(plan)}`, { cause: error });
  }
  const { violations, trace } = sim.ledger;
  if (violations.length > 0 && process.env['SIM_TRACE'] !== undefined) console.log(trace.join('\n'));
  if (violations.length > 0) throw new Error(`${describe(violations)}\n${replayLine(plan)}`);
  return sim;
}

/** In full: paste it into a file of `regressions/`. */
export const replayLine = (plan: SimulationPlan): string => `replay: ${JSON.stringify({ why: '', plan })}`;

function describe(violations: readonly Violation[]): string {
  const lines = violations.slice(0, MOST_SHOWN).map(({ name, at, text }) => `${name} at ${at} ms: ${text}`);
  const more = violations.length - lines.length;
  return more === 0 ? lines.join('\n') : `${lines.join('\n')}\n(and ${more} more)`;
}
