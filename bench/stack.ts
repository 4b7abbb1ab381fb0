import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { median, paired, single } from './harness.js';
import type { Bench, Report } from './harness.js';
import { instance, FakeRegistryClient, createClient, Tick, tickTransport } from './stack-caller.js';
import { bare, cockatiel, mollitia, nestjsResilience, opossum, ours } from './stack-candidates.js';
import type { Candidate } from './stack-candidates.js';
import { CountingMeter } from './stack-meter.js';

// The calls of all candidates are answered in the next turn of the event loop. The result is the overhead: the time of
// a call minus that of one without any library, in the same round. It is CPU time, of all threads: garbage collection
// counts, other load on the machine does not.

const INSTANCES = 1_000;
const CONCURRENT = 64;
const ROUNDS = 9;
const CALLS = 192_000;
const CALLS_OF_SLOW = 19_200;
const WARM_UP = 64_000;
const BATCHES = 101;
const CALLS_OF_BATCH = 512;
const PER_SECOND = 50_000;
/** After this, statistics of the last 10 s are full. */
const WARM_SECONDS = 10;
const STALL_SECONDS = 13;
const STALL_ROUNDS = 2;
/** Calls that were missed in a stall are made up for in turns of this many, so that no bulkhead is full. */
const MAX_CONCURRENT = 200;

const ROLLCALL = 'rollcall, with metrics';
const WITHOUT_METRICS = 'rollcall, without metrics';

/** CPU time per call, ns, with 64 concurrent. */
async function measureCpu({ call }: Candidate, calls: number): Promise<number> {
  const caller = async (): Promise<void> => {
    for (let left = calls / CONCURRENT; left > 0; left -= 1) await call();
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: CONCURRENT }, caller));
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / calls;
}

/** The others take too long for the same number. */
const callsOf = ({ name }: Candidate): number => (/library|rollcall|opossum/.test(name) ? CALLS : CALLS_OF_SLOW);

async function compareCpu(candidates: readonly Candidate[], report: Report): Promise<void> {
  for (const candidate of candidates) await measureCpu(candidate, Math.min(WARM_UP, callsOf(candidate)));
  const taken = new Map(candidates.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const turn = round % candidates.length;
    const order = [...candidates.slice(turn), ...candidates.slice(0, turn)];
    const took = new Map<string, number>();
    for (const candidate of order) took.set(candidate.name, await measureCpu(candidate, callsOf(candidate)));
    const floor = took.get('no library') ?? 0;
    for (const [name, ns] of took) taken.get(name)?.push(name === 'no library' ? ns : ns - floor);
  }
  const of = (name: string): readonly number[] => taken.get(name) ?? [];
  report(single('a call without any library', 'ns', of('no library')));
  report(single(`price of a call: ${ROLLCALL}`, 'ns', of(ROLLCALL), '<= 1500 ns'));
  report(single(`price of a call: ${WITHOUT_METRICS}`, 'ns', of(WITHOUT_METRICS), '<= 1000 ns'));
  for (const { name } of candidates) {
    if (name === 'no library' || name === ROLLCALL || name === WITHOUT_METRICS) continue;
    const pairs = of(ROLLCALL).map((ns, round) => ({ ours: ns, theirs: of(name)[round] ?? Number.NaN }));
    report(paired(`price of a call: rollcall, beside ${name}`, 'ns', pairs));
  }
}

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/**
 * Bytes that a call allocates: the heap’s growth over so few calls that mostly no collection happens, which would
 * shrink it; the median of many. No collection is forced before each: after the last call of a kind V8 forgets its type
 * feedback, and runs the next ones unoptimised.
 */
async function measureAllocation({ call }: Candidate): Promise<number> {
  const batches: number[] = [];
  const caller = async (): Promise<void> => {
    for (let left = CALLS_OF_BATCH / CONCURRENT; left > 0; left -= 1) await call();
  };
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const before = process.memoryUsage().heapUsed;
    await Promise.all(Array.from({ length: CONCURRENT }, caller));
    batches.push((process.memoryUsage().heapUsed - before) / CALLS_OF_BATCH);
  }
  return median(batches.filter((bytes) => bytes > 0));
}

async function compareAllocations(candidates: readonly Candidate[], report: Report): Promise<void> {
  for (const candidate of candidates) {
    await measureCpu(candidate, callsOf(candidate) / 4);
    const runs: number[] = [];
    for (let round = 0; round < 3; round += 1) runs.push(await measureAllocation(candidate));
    report(single(`allocated by a call: ${candidate.name}`, 'B', runs));
  }
}

/** The longest turn of the event loop in each second, in ms of CPU time, at this many calls a second. */
async function measureStalls({ call }: Candidate): Promise<readonly number[]> {
  // collects the garbage of others first
  if (typeof collectGarbage === 'function') collectGarbage();
  const longest: number[] = [];
  const startedAt = performance.now();
  let made = 0;
  let before = process.cpuUsage();
  for (let now = startedAt; now < startedAt + STALL_SECONDS * 1_000; now = performance.now()) {
    const due = Math.min(Math.floor(((now - startedAt) * PER_SECOND) / 1_000) - made, MAX_CONCURRENT);
    for (let n = 0; n < due; n += 1) void call();
    made += due;
    await new Promise((resolve) => setImmediate(resolve));
    const after = process.cpuUsage();
    const second = Math.floor((now - startedAt) / 1_000);
    const turnMs = (after.user - before.user + after.system - before.system) / 1_000;
    longest[second] = Math.max(longest[second] ?? 0, turnMs);
    before = after;
  }
  return longest.slice(WARM_SECONDS, STALL_SECONDS);
}

async function compareStalls(candidates: readonly Candidate[], report: Report): Promise<void> {
  const taken = new Map(candidates.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < STALL_ROUNDS; round += 1) {
    for (const candidate of candidates) taken.get(candidate.name)?.push(median(await measureStalls(candidate)));
  }
  const floors = taken.get('no library') ?? [];
  for (const { name } of candidates.slice(1)) {
    const pairs = (taken.get(name) ?? []).map((ms, round) => ({ ours: ms, theirs: floors[round] ?? Number.NaN }));
    const target = name === ROLLCALL ? '< 1 ms more' : undefined;
    report(paired(`longest stall a second at 50,000/s: ${name}`, 'ms', pairs, target));
  }
}

async function run(report: Report): Promise<void> {
  const tick = new Tick();
  const transports = { tcp: tickTransport('tcp', tick), http: tickTransport('http', tick) };
  const instances = Array.from({ length: INSTANCES }, (_, n) => instance(n));
  const meter = new CountingMeter();
  const metered = await createClient(new FakeRegistryClient(instances), transports, { ports: { meter } });
  const plain = await createClient(new FakeRegistryClient(instances), transports);
  const none = bare(tick.callBare);
  const counted = ours(ROLLCALL, metered);
  const breaker = opossum(tick.callBare);
  const others = [cockatiel(tick.callBare), mollitia(tick.callBare), nestjsResilience(tick.callBare)];
  const all = [none, counted, ours(WITHOUT_METRICS, plain), breaker, ...others];
  try {
    await compareCpu(all, report);
    await compareAllocations([none, counted, breaker, ...others], report);
    await compareStalls([none, counted, breaker], report);
    if (meter.recorded('rollcall_call_seconds') < ROUNDS * CALLS) throw new Error('Not every call was counted.');
  } finally {
    for (const candidate of all) candidate.close();
  }
}

export const stack: Bench = {
  name: 'stack',
  question: 'What is the overhead of a call (the happy path), compared with other libraries?',
  run,
};
