import * as fc from 'fast-check';
import { runPlan } from './replay.js';
import { plans } from './schedule.js';

export interface Search {
  /** The same seed, the same plans. */
  readonly seed: number;
  /** Plans. Where they take longer than `MAX_SECONDS` it is fewer: a busy machine must not fail because it is slow. */
  readonly runs: number;
  /** Instead of `runs`: continues with further plans for this long. */
  readonly seconds?: number | undefined;
}

/** This many plans take a second or three; each such batch has a seed of its own. */
const RUNS_AT_ONCE = 50;
const MAX_SECONDS = 30;

/** Looks for a plan that breaks an invariant, and shrinks it. Returns the number of plans that ran. */
export async function search({ seed, runs, seconds }: Search): Promise<number> {
  const startedAt = performance.now();
  const tookSeconds = (): number => (performance.now() - startedAt) / 1_000;
  const most = seconds === undefined ? runs : Infinity;
  let simulatedHours = 0;
  let done = 0;
  const property = fc.asyncProperty(plans(), async (plan) => {
    const sim = await runPlan(plan);
    simulatedHours += sim.world.now / 3_600_000;
  });
  for (; done < most && tookSeconds() < (seconds ?? MAX_SECONDS); done += RUNS_AT_ONCE) {
    await fc.assert(property, { seed: seed + done, numRuns: RUNS_AT_ONCE });
  }
  const speed = simulatedHours / tookSeconds();
  console.log(
    `SIM_SEED=${seed}: ${done} plans, ${simulatedHours.toFixed(0)} virtual hours, ${speed.toFixed(1)} in a second`,
  );
  return done;
}

/** A whole number above 0 from the environment. */
export function readPositiveInteger(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`${name} has to be a whole number above 0, received "${text}".`);
}
