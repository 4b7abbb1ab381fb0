import { bareLeastLoaded, bareRoundRobin, rollcall } from './simulation/callers.js';
import { compare, executedTwice, NEARLY, ratioOf, successes } from './simulation/guarantee.js';
import type { Comparison } from './simulation/guarantee.js';
import { GUARANTEE_WORLDS } from './simulation/guarantee-worlds.js';
import type { GuaranteeWorld } from './simulation/guarantee-worlds.js';
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
} from './simulation/scenarios.js';
import type { Play } from './simulation/scenarios.js';
import { simulate } from './simulation/simulation.js';
import type { CallerFactory, Outcome } from './simulation/simulation.js';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { median } from './harness.js';
import type { Bench, Figure, Report } from './harness.js';

const SEEDS = [1, 2, 3, 4, 5];
const MANY_CALLS_S = 36;
/** For each world of the guarantee, over each protocol. */
const GUARANTEE_SEEDS = [1, 2];
const PROTOCOLS = ['tcp', 'http', 'grpc'] as const;

/** A measure of an outcome. */
interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly target?: string;
  readonly of: (outcome: Outcome) => number;
}

interface Row {
  readonly name: string;
  readonly play: Play;
  readonly measures: readonly Measure[];
  /** The healthy fleet with which the figures are compared, too. */
  readonly healthy?: Play;
  /** Attempts of a caller without a library; default 1. */
  readonly bareAttempts?: number;
  /** For the first measure, when calls are hedged. */
  readonly hedgedTarget?: string;
}

const percent = (ratio: number): number => 100 * ratio;
const attemptsPerCall = (outcome: Outcome): number => outcome.attempts / outcome.made;
const [overFrom, overTo] = OVERLOAD.trouble;
/** While one was slow. A failure without a library has waited for its timeout. */
const p99Ms = (outcome: Outcome): number =>
  Math.min(outcome.quantileMs(0.99, ...ONE_SLOW.trouble), ONE_SLOW.bareTimeoutMs);

const ROWS: readonly Row[] = [
  {
    name: 'Beyond Round Robin',
    play: BEYOND_ROUND_ROBIN,
    measures: [
      { name: 'within 1 s', unit: '%', target: '>= 99.95 %', of: (outcome) => percent(outcome.successRatio(1_000)) },
    ],
    hedgedTarget: '>= 99.99 %',
  },
  {
    name: 'one of 10 is 5 x slower',
    play: ONE_SLOW,
    healthy: NONE_SLOW,
    measures: [{ name: 'p99', unit: 'ms', target: '<= 0.2 x', of: p99Ms }],
  },
  {
    name: 'one of 10 fails fast',
    play: ONE_FAILS_FAST,
    measures: [
      { name: 'success', unit: '%', target: '>= 99.99 %', of: (outcome) => percent(outcome.successRatio()) },
      { name: 'attempts', unit: 'a call', target: '<= 1.01', of: attemptsPerCall },
    ],
  },
  {
    name: '6 of 10 fail',
    play: SIX_OF_TEN_FAIL,
    measures: [{ name: 'success', unit: '%', target: '>= 99.9 %', of: (outcome) => percent(outcome.successRatio()) }],
  },
  {
    name: '2.2 x overload for 5 s',
    play: OVERLOAD,
    bareAttempts: 3,
    measures: [
      {
        name: 'goodput meanwhile',
        unit: '%',
        target: '>= 50 %',
        of: (outcome) => percent(outcome.successRatio(1_000, overFrom, overTo)),
      },
      {
        name: 'success from 2 s after',
        unit: '%',
        target: '>= 99 %',
        of: (outcome) => percent(outcome.successRatio(1_000, overTo + 2)),
      },
    ],
  },
  {
    name: 'all fail',
    play: OUTAGE,
    bareAttempts: 3,
    measures: [{ name: 'attempts', unit: 'a call', target: '<= 1.25', of: attemptsPerCall }],
  },
  {
    name: 'one of 3 is frozen',
    play: ONE_FROZEN,
    measures: [{ name: 'success', unit: '%', target: '100 %', of: (outcome) => percent(outcome.successRatio()) }],
  },
];

const digits = (value: number): number => Number(value.toFixed(4));

/** The median of some runs; percentages near 100 need more digits than other benchmarks print. */
function exact(values: readonly number[]): { value: number; spread: [number, number] } {
  return { value: digits(median(values)), spread: [digits(Math.min(...values)), digits(Math.max(...values))] };
}

async function runPlay(of: Play, createCaller: CallerFactory): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const seed of SEEDS) {
    outcomes.push(await simulate(of.scenario, createCaller, { time: new ManualTime(), random: seededRandom(seed) }));
    // a turn of the event loop, so that the garbage of the run can be cleared
    await new Promise((resolve) => setImmediate(resolve));
  }
  return outcomes;
}

/** Our figure beside that of another. */
function compareOutcomes(
  metric: string,
  measure: Measure,
  ours: readonly Outcome[],
  rivals: readonly Outcome[],
): Figure {
  const ourValues = ours.map((outcome) => measure.of(outcome));
  const rivalValues = rivals.map((outcome) => measure.of(outcome));
  const ratios = exact(ourValues.map((value, index) => value / (rivalValues[index] ?? Number.NaN)));
  // a caller that reaches nothing has no ratio
  const compared = Number.isFinite(ratios.value) ? { ratio: ratios.value, ratioSpread: ratios.spread } : {};
  const target = measure.target === undefined ? {} : { target: measure.target };
  return {
    metric,
    unit: measure.unit,
    ...exact(ourValues),
    baseline: exact(rivalValues).value,
    ...compared,
    runs: ourValues.length,
    ...target,
  };
}

async function runRow(row: Row, report: Report): Promise<void> {
  const ours = await runPlay(row.play, rollcall(row.play.options));
  const bare = { timeoutMs: row.play.bareTimeoutMs, attempts: row.bareAttempts ?? 1 };
  const rivals = new Map<string, readonly Outcome[]>([
    ['round robin', await runPlay(row.play, bareRoundRobin(bare))],
    ['least loaded', await runPlay(row.play, bareLeastLoaded(bare))],
    // the same stack, with a picker that knows less
    ['our round robin', await runPlay(row.play, rollcall({ ...row.play.options, balancer: 'round-robin' }))],
    ['our least loaded', await runPlay(row.play, rollcall({ ...row.play.options, balancer: 'least-loaded' }))],
  ]);
  for (const measure of row.measures) {
    for (const [name, outcomes] of rivals) {
      const { unit, of } = measure;
      // the target is reported once
      const reported = name === 'round robin' ? measure : { name: measure.name, unit, of };
      report(compareOutcomes(`${row.name}: ${measure.name}, beside ${name}`, reported, ours, outcomes));
    }
  }
  if (row.hedgedTarget !== undefined) await reportHedged(row, row.hedgedTarget, ours, report);
  if (row.healthy === undefined) return;
  const healthy = await runPlay(row.healthy, rollcall(row.healthy.options));
  for (const measure of row.measures) {
    const target = { ...measure, target: '<= 1.15 x' };
    report(compareOutcomes(`${row.name}: ${measure.name}, beside a healthy fleet`, target, ours, healthy));
  }
}

async function reportHedged(row: Row, target: string, ours: readonly Outcome[], report: Report): Promise<void> {
  const outcomes = await runPlay(row.play, rollcall(row.play.options, { idempotent: true, hedge: true }));
  for (const measure of row.measures) {
    report(
      compareOutcomes(
        `${row.name}: ${measure.name} with hedges, beside without`,
        { ...measure, target },
        outcomes,
        ours,
      ),
    );
  }
  const attempts: Measure = { name: 'attempts', unit: 'a call', target: '<= 1.06', of: attemptsPerCall };
  report(compareOutcomes(`${row.name}: attempts with hedges, beside without`, attempts, outcomes, ours));
}

/** A million calls in all, none of which may eject an instance. */
async function reportFalseEjections(report: Report): Promise<void> {
  const { scenario, options } = RANDOM_ERRORS;
  const outcomes = await runPlay(
    { ...RANDOM_ERRORS, scenario: { ...scenario, seconds: MANY_CALLS_S } },
    rollcall(options),
  );
  const made = outcomes.reduce((sum, outcome) => sum + outcome.made, 0);
  const ejections = outcomes.reduce((sum, outcome) => sum + outcome.ejections, 0);
  report({
    metric: `0.5 % random errors: ejections in ${made} calls`,
    unit: '',
    value: ejections,
    spread: [ejections, ejections],
    runs: 1,
    target: '0',
  });
}

async function casesOf(guaranteeWorld: GuaranteeWorld): Promise<readonly Comparison[]> {
  const cases: Comparison[] = [];
  for (const count of guaranteeWorld.hosts) {
    for (const protocol of PROTOCOLS) {
      for (const seed of GUARANTEE_SEEDS) {
        const chances = () => ({ time: new ManualTime(), random: seededRandom(seed) });
        cases.push(await compare(guaranteeWorld.world(count), protocol, chances));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
  return cases;
}

/**
 * The share of calls that succeed, beside a bare client in the same world. The ratio is the lowest of all instances,
 * protocols and seeds.
 */
async function runGuaranteeWorld(guaranteeWorld: GuaranteeWorld, report: Report): Promise<number> {
  const cases = await casesOf(guaranteeWorld);
  const made = cases.reduce((sum, { ours }) => sum + ours.length, 0);
  const shares = exact(cases.map(({ ours }) => percent(successes(ours) / ours.length)));
  const ratios = exact(cases.map(ratioOf));
  const isShort = guaranteeWorld.hosts.some((count) => guaranteeWorld.world(count).isShort === true);
  report({
    metric: `law: ${guaranteeWorld.name}: success, beside a bare client, at worst`,
    unit: '%',
    value: digits(percent(cases.reduce((sum, { ours }) => sum + successes(ours), 0) / made)),
    spread: shares.spread,
    baseline: digits(percent(cases.reduce((sum, { bareSuccesses }) => sum + bareSuccesses, 0) / made)),
    ratio: ratios.spread[0],
    ratioSpread: ratios.spread,
    runs: cases.length,
    target: `>= ${isShort ? NEARLY : 1} x`,
  });
  return cases.reduce((sum, { ours }) => sum + executedTwice(ours).length, 0);
}

async function runGuaranteeWorlds(report: Report): Promise<void> {
  let twice = 0;
  for (const guaranteeWorld of GUARANTEE_WORLDS) twice += await runGuaranteeWorld(guaranteeWorld, report);
  const metric = 'law: executed twice, not being idempotent';
  report({ metric, unit: 'calls', value: twice, spread: [twice, twice], runs: 1, target: '0' });
}

async function run(report: Report): Promise<void> {
  for (const row of ROWS) await runRow(row, report);
  await reportFalseEjections(report);
  await runGuaranteeWorlds(report);
}

export const sim: Bench = {
  name: 'sim',
  question: 'How many calls does a fault behind a name reach, in simulation, beside round robin and least loaded?',
  run,
};
