import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { bareRoundRobin, rollcall } from './callers.js';
import {
  BEYOND_ROUND_ROBIN,
  NONE_SLOW,
  ONE_FAILS_FAST,
  ONE_FROZEN,
  ONE_SLOW,
  OUTAGE,
  OVERLOAD,
  RANDOM_ERRORS,
  SIX_OF_TEN_FAIL,
} from './scenarios.js';
import type { Play } from './scenarios.js';
import { simulate } from './simulation.js';
import type { Contestant, Outcome } from './simulation.js';

// The scenarios of `bench sim`, with one seed each and a margin: here they keep what was reached, there they say how much it is.

function run(play: Play, contestant: Contestant = rollcall(play.options), seed = 5): Promise<Outcome> {
  return simulate(play.scenario, contestant, { time: new ManualTime(), random: seededRandom(seed) });
}

/** The same for some seconds only. */
function shortened(play: Play, seconds: number): Play {
  return { ...play, scenario: { ...play.scenario, seconds } };
}

/** Of the calls that were made while one was slow. */
const p99Ms = (outcome: Outcome): number => outcome.quantileMs(0.99, ...ONE_SLOW.trouble);

describe('the quality of calls', () => {
  it('with one of 11 servers at 2 s for a while: 99.95 % end within a second (Linkerd, Beyond Round Robin; its best: 99.9)', async () => {
    const outcome = await run(BEYOND_ROUND_ROBIN);
    expect(outcome.successRatio(1_000)).toBeGreaterThan(0.9995);
  });

  it('with one of 10 failing fast: 99.99 % succeed, with 1 % more attempts', async () => {
    const outcome = await run(shortened(ONE_FAILS_FAST, 15));
    expect(outcome.successRatio()).toBeGreaterThan(0.9999);
    expect(outcome.attempts / outcome.made).toBeLessThan(1.01);
  });

  it('with 6 of 10 failing: 99.9 % succeed', async () => {
    const outcome = await run(shortened(SIX_OF_TEN_FAIL, 18));
    expect(outcome.successRatio()).toBeGreaterThan(0.999);
  });

  it('with one of 10 five times slower at 60 % load: the p99 is a fifth of round robin’s, and near that of a healthy fleet', async () => {
    const [slow, healthy] = [shortened(ONE_SLOW, 12), shortened(NONE_SLOW, 12)];
    const [ours, none] = [p99Ms(await run(slow)), p99Ms(await run(healthy))];
    const bare = p99Ms(await run(slow, bareRoundRobin({ timeoutMs: 500 })));
    expect(ours * 5).toBeLessThan(Math.min(bare, 500));
    expect(ours).toBeLessThan(1.2 * none);
  });

  it('with all 2.2 × slower for a while: half of the calls succeed meanwhile, and all of them soon after', async () => {
    const outcome = await run(shortened(OVERLOAD, 15));
    const [from, to] = OVERLOAD.trouble;
    expect(outcome.successRatio(1_000, from, to)).toBeGreaterThan(0.5);
    expect(outcome.successRatio(1_000, to + 2)).toBeGreaterThan(0.99);
  });

  it('with everything failing: at most 1.25 attempts a call', async () => {
    const outcome = await run(OUTAGE);
    expect(outcome.attempts / outcome.made).toBeLessThan(1.25);
  });

  it('with one request in 200 failing everywhere: nobody is ejected, and the calls succeed', async () => {
    const outcome = await run(shortened(RANDOM_ERRORS, 8));
    expect(outcome.ejections).toBe(0);
    expect(outcome.successRatio()).toBeGreaterThan(0.9999);
  });

  it('with one of 3 frozen: nothing fails, and at most 8 calls take over 500 ms', async () => {
    const outcome = await run(ONE_FROZEN);
    expect(outcome.successRatio()).toBe(1);
    expect(Math.round((1 - outcome.successRatio(500)) * outcome.made)).toBeLessThanOrEqual(8);
  });

  it('is the same run for the same seed', async () => {
    const play = shortened(ONE_FAILS_FAST, 6);
    const [one, other] = [await run(play), await run(play)];
    expect([other.made, other.attempts, other.quantileMs(0.5)]).toEqual([one.made, one.attempts, one.quantileMs(0.5)]);
    expect((await run(play, undefined, 6)).quantileMs(0.5)).not.toBe(one.quantileMs(0.5));
  });
});
