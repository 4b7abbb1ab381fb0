import { paired, quantile } from './harness.js';
import type { Report } from './harness.js';

export type Call = (n: number) => Promise<unknown>;

/** The duration of each measurement, and the number of rounds. */
export interface Plan {
  readonly concurrent: readonly number[];
  readonly rounds: number;
  readonly roundMs: number;
}

interface Sample {
  readonly perSecond: number;
  readonly p50: number;
  readonly p999: number;
  /** CPU time of this process per call: other load on the machine hardly changes it. */
  readonly cpuUs: number;
}

/** Two candidates, and how their comparison is reported. */
export interface Match {
  /** Before each row's name: `HTTP, fetch`. */
  readonly title: string;
  readonly ours: string;
  readonly theirs: string;
  /** By row: `throughput, 64 concurrent`. */
  readonly targets: Readonly<Record<string, string>>;
}

/** Closed loop: `concurrent` callers, each sends its next call when it has the answer of the last. */
async function runClosedLoop(call: Call, concurrent: number, ms: number): Promise<Sample> {
  const took: number[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const until = startedAt + ms;
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at < until;) {
      await call(took.length);
      const now = performance.now();
      took.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: concurrent }, caller));
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const cpuUs = (user + system) / took.length;
  return { perSecond: took.length / seconds, p50: quantile(took, 0.5), p999: quantile(took, 0.999), cpuUs };
}

/** All candidates in turns, in an order that is reversed each time: later ones find a warmer machine. */
async function measureInTurns<Measure>(
  candidates: Readonly<Record<string, Call>>,
  rounds: number,
  measure: (call: Call) => Promise<Measure>,
): Promise<ReadonlyMap<string, readonly Measure[]>> {
  const names = Object.keys(candidates);
  const measures = new Map<string, Measure[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? names : names.toReversed();
    for (const name of order) {
      const call = candidates[name];
      if (call !== undefined) measures.get(name)?.push(await measure(call));
    }
  }
  return measures;
}

function pairsOf<Measure>(
  measures: ReadonlyMap<string, readonly Measure[]>,
  { ours, theirs }: Match,
  of: (measure: Measure) => number,
): { ours: number; theirs: number }[] {
  const theirMeasures = measures.get(theirs) ?? [];
  return (measures.get(ours) ?? []).flatMap((measure, round) => {
    const other = theirMeasures[round];
    return other === undefined ? [] : [{ ours: of(measure), theirs: of(other) }];
  });
}

const WARM_UP_CALLS = 8_000;
const WARM_UP_CALLERS = 16;

/** Enough calls to measure a process that has run for a while: with few, the larger code is still being compiled. */
async function warmUp(call: Call): Promise<void> {
  const caller = async (): Promise<void> => {
    for (let n = 0; n < WARM_UP_CALLS / WARM_UP_CALLERS; n += 1) await call(n);
  };
  await Promise.all(Array.from({ length: WARM_UP_CALLERS }, caller));
}

/** Throughput, latency and CPU of each match, at each concurrency. */
export async function compare(
  candidates: Readonly<Record<string, Call>>,
  matches: readonly Match[],
  plan: Plan,
  report: Report,
): Promise<void> {
  for (const call of Object.values(candidates)) await warmUp(call);
  for (const concurrent of plan.concurrent) {
    for (const call of Object.values(candidates)) await runClosedLoop(call, concurrent, 300);
    const samples = await measureInTurns(candidates, plan.rounds, (call) =>
      runClosedLoop(call, concurrent, plan.roundMs),
    );
    for (const match of matches) {
      const row = (name: string, unit: string, of: (sample: Sample) => number): void => {
        const key = `${name}, ${concurrent} concurrent`;
        report(paired(`${match.title}${key}`, unit, pairsOf(samples, match, of), match.targets[key]));
      };
      row('throughput', 'calls/s', (sample) => sample.perSecond);
      row('p50', 'ms', (sample) => sample.p50);
      row('p99.9', 'ms', (sample) => sample.p999);
      row('the caller’s CPU for a call', 'us', (sample) => sample.cpuUs);
    }
  }
}

/** A handler that sends several requests to one service at once, on a warm connection; ms until it has all answers. */
export async function burst(call: Call, size: number): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < 30; i += 1) {
    const at = performance.now();
    await Promise.all(Array.from({ length: size }, (_, n) => call(n)));
    took.push(performance.now() - at);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return quantile(took, 0.5);
}

const BATCH = 64;
const BATCHES = 300;

/**
 * Bytes that a call leaves for the garbage collector, on the heap and outside: the median over batches of calls, so
 * that batches with a collection do not count.
 */
async function measureAllocation(call: Call): Promise<number> {
  const samplesOfBytes: number[] = [];
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const before = process.memoryUsage();
    for (let n = 0; n < BATCH; n += 1) await call(n);
    const after = process.memoryUsage();
    samplesOfBytes.push((after.heapUsed + after.external - before.heapUsed - before.external) / BATCH);
  }
  return quantile(
    samplesOfBytes.filter((bytes) => bytes > 0),
    0.5,
  );
}

/** The allocation of a call in this process; calls run in sequence. */
export async function compareAllocation(
  candidates: Readonly<Record<string, Call>>,
  matches: readonly Match[],
  report: Report,
): Promise<void> {
  const measures = await measureInTurns(candidates, 3, measureAllocation);
  for (const match of matches) {
    report(
      paired(`${match.title}allocated per call`, 'bytes', pairsOf(measures, match, Number), match.targets['allocated']),
    );
  }
}

/** Whole bursts, compared with each other. */
export async function compareBursts(
  candidates: Readonly<Record<string, Call>>,
  match: Match,
  sizes: readonly number[],
  report: Report,
): Promise<void> {
  for (const size of sizes) {
    const measures = await measureInTurns(candidates, 3, (call) => burst(call, size));
    report(
      paired(
        `${match.title}burst of ${size} calls, whole burst p50`,
        'ms',
        pairsOf(measures, match, Number),
        '<= 1 ms',
      ),
    );
  }
}
