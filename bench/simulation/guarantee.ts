import type { Protocol, Random } from '@rollcall/core';
import { bareClient, rollcallClient } from './clients.js';
import { isServing, runWorld } from './world.js';
import type { CallRecord, SteppedTime, World, WorldClient } from './world.js';

/**
 * The guarantee of the call path: as long as the deadline has time and no final refusal came, our own estimates do not fail a
 * call. Beside a bare client in the same world there are never fewer successes, and a call that is not idempotent is
 * never executed twice.
 */
export interface Comparison {
  readonly ours: readonly CallRecord[];
  /** The calls of a bare client that uses all addresses in turn. */
  readonly bare: readonly CallRecord[];
  /** The larger of its successes and the mean successes of bare callers that use one address each. */
  readonly bareSuccesses: number;
}

/** Creates a fresh clock, and the same random numbers, for each client. */
export type CreateClock = () => { readonly time: SteppedTime; readonly random: Random };

/**
 * Runs each client in the same simulated world. `client`: the one to check; default: this package over a model of the
 * transport.
 */
export async function compare(
  world: World,
  protocol: Protocol,
  createClock: CreateClock,
  client = rollcallClient(protocol),
): Promise<Comparison> {
  const run = (one: WorldClient): Promise<readonly CallRecord[]> => runWorld(world, one, createClock());
  const ours = await run(client);
  const bare = await run(bareClient(protocol, 'round-robin'));
  let fixedSuccesses = 0;
  if (world.hosts > 1) {
    for (let offset = 0; offset < world.hosts; offset += 1) {
      fixedSuccesses += clearSuccesses(world, await run(bareClient(protocol, { offset }))) / world.hosts;
    }
  }
  return { ours, bare, bareSuccesses: Math.max(clearSuccesses(world, bare), Math.floor(fixedSuccesses)) };
}

export const countSuccesses = (records: readonly CallRecord[]): number =>
  records.filter(({ code }) => code === 'success').length;

/** Round trips that a bare client saves because it does not check the identity of its peer. */
const SAVED_TRIPS = 2;
/** The resolution of deadlines. */
const TICK_MS = 20;

/**
 * The successes of a bare client that would remain successes with `overheadMs` more, the delay by identity checks and
 * discovery: before the deadline, and before a fault begins.
 */
function clearSuccesses(world: World, records: readonly CallRecord[]): number {
  const overheadMs = 2 * SAVED_TRIPS * maxDelayMs(world) + TICK_MS;
  const isClear = ({ planned: { load, workMs }, beganMs, endedMs }: CallRecord): boolean => {
    const laterMs = endedMs + knownAt(world, beganMs) - beganMs + overheadMs;
    // a call that was served just before a fault began was served in time
    const servedMs = endedMs - maxDelayMs(world) - workMs;
    const isNearFault = world.faults.some(({ fromMs }) => servedMs <= fromMs && fromMs <= laterMs);
    return laterMs <= beganMs + load.deadlineMs && !isNearFault;
  };
  return records.filter((record) => record.code === 'success' && isClear(record)).length;
}

/** The number of calls per error, most frequent first: `OVERLOADED 120, TRANSPORT unreachable 3`. */
export function describeErrors(records: readonly CallRecord[]): string {
  const counts = new Map<string, number>();
  for (const record of records) {
    if (record.code === 'success') continue;
    const name = record.code === 'TRANSPORT' ? `TRANSPORT ${record.attempts.at(-1)}` : record.code;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sorted = [...counts].toSorted(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ');
}

/**
 * Successes that one of two clients may lose by chance when some of several instances are in trouble: which call
 * meets them is random. Three standard deviations. It does not apply to the sum of many worlds.
 */
export function chanceAllowance({ hosts, faults }: World, { bare }: Comparison): number {
  const isPartial = faults.some((fault) => fault.kind !== 'caller-pause' && fault.hosts.length < hosts);
  return isPartial ? 3 + 3 * Math.sqrt(bare.length - countSuccesses(bare)) : 0;
}

/**
 * Our successes relative to those of a bare client; calls with an unknown result count as successes. 1 if neither has
 * any.
 */
export function ratioOf({ ours, bareSuccesses }: Comparison): number {
  const ownSuccesses = countSuccesses(ours) + ours.filter(isResultUnknown).length;
  return bareSuccesses === 0 ? 1 : ownSuccesses / bareSuccesses;
}

/** Calls that are not idempotent and were executed twice. */
export const findExecutedTwice = (records: readonly CallRecord[]): readonly CallRecord[] =>
  records.filter(({ planned, executions }) => !planned.load.isIdempotent && executions > 1);

/** Breaches of the guarantee, one sentence each; empty if it holds. `allowance`: the number of successes that may be missing. */
export function findBreaches(world: World, { ours, bareSuccesses }: Comparison, allowance = 0): readonly string[] {
  const found: string[] = [];
  const ownSuccesses = countSuccesses(ours);
  const unavoidable = ours.filter(isResultUnknown).length;
  if (ownSuccesses + unavoidable + allowance < requiredSuccesses(world, bareSuccesses)) {
    found.push(
      `${ownSuccesses} of ${ours.length} calls succeed (${unavoidable} more broke off after they were written), beside ${bareSuccesses} of a bare client: ${describeErrors(ours)}`,
    );
  }
  const executedTwice = findExecutedTwice(ours);
  if (executedTwice.length > 0)
    found.push(
      `${executedTwice.length} calls that are not idempotent were executed twice, the first is ${describeFirst(executedTwice)}`,
    );
  const guessed = ours.filter((record) => isGuess(world, record) && couldBeServed(world, record));
  if (guessed.length > 0)
    found.push(
      `${guessed.length} calls ended by a guess before their deadline: ${describeErrors(guessed)}; the first is ${describeFirst(guessed)}`,
    );
  const late = ours.filter((record) => isLate(world, record));
  if (late.length > 0)
    found.push(`${late.length} calls ended after their deadline, or never; the first is ${describeFirst(late)}`);
  return found;
}

/** Under a shortage, which calls a bare client serves is random: this share of its successes is enough. */
export const MIN_SHORTAGE_RATIO = 0.97;

const requiredSuccesses = ({ isShort }: World, bareSuccesses: number): number =>
  isShort === true ? MIN_SHORTAGE_RATIO * bareSuccesses : bareSuccesses;

function describeFirst(records: readonly CallRecord[]): string {
  const [first] = records;
  if (first === undefined) return 'none';
  const { planned, beganMs, endedMs, code } = first;
  return `call ${planned.number} (${planned.load.method}, from ${beganMs.toFixed(1)} to ${endedMs.toFixed(1)} ms, ${code})`;
}

/** The call may have been executed and may not be repeated, so its result is unknown. */
const isResultUnknown = ({ planned, code, attempts }: CallRecord): boolean =>
  !planned.load.isIdempotent && code === 'TRANSPORT' && attempts.at(-1) === 'closed';

/** Errors that come from this package’s own view of the instances, not from an instance. */
const GUESSES: ReadonlySet<string> = new Set([
  'OVERLOADED',
  'ALL_EJECTED',
  'BULKHEAD_FULL',
  'NO_CATALOG',
  'NO_INSTANCE',
]);
/** Nothing was executed, so another attempt does no harm. */
const NOT_EXECUTED: ReadonlySet<string> = new Set(['unreachable', 'refused', 'unsent', 'misdirected', 'congested']);

function isGuess({ isShort }: World, { planned, code, attempts, beganMs, endedMs }: CallRecord): boolean {
  if (endedMs >= beganMs + planned.load.deadlineMs - 1) return false;
  if (isShort === true && code === 'OVERLOADED') return false;
  return GUESSES.has(code) || (code === 'TRANSPORT' && NOT_EXECUTED.has(attempts.at(-1) ?? ''));
}

const STEP_MS = 50;
/** Added to the time for connections and for the work itself. */
const MARGIN_MS = 300;

/** True if a listed instance had time to serve the call between its end and its deadline. */
function couldBeServed(world: World, { planned, beganMs, endedMs }: CallRecord): boolean {
  const requiredMs = 8 * maxDelayMs(world) + 2 * planned.workMs + MARGIN_MS;
  const deadlineMs = beganMs + planned.load.deadlineMs;
  for (let host = 0; host < world.hosts; host += 1) {
    let servingSinceMs = endedMs;
    for (let atMs = endedMs; atMs <= deadlineMs; atMs += STEP_MS) {
      if (!isServing(world, host, atMs) || !isListed(world, host, atMs)) servingSinceMs = atMs + STEP_MS;
      else if (atMs - servingSinceMs >= requiredMs) return true;
    }
  }
  return false;
}

function maxDelayMs({ delayMs, faults }: World): number {
  return Math.max(delayMs, ...faults.map((fault) => (fault.kind === 'delay' ? fault.ms : 0)));
}

const CALLABLE: ReadonlySet<string> = new Set(['HEALTHY', 'REGISTERING', 'UNHEALTHY']);

/** True if callers know the process that runs on the host. */
function isListed({ catalog, faults }: World, host: number, atMs: number): boolean {
  const update = catalog.findLast((one) => one.atMs <= atMs && one.kind !== 'lost');
  if (update?.kind !== 'list') return false;
  const deaths = faults.filter((one) => one.kind === 'dead' && one.fromMs <= atMs && one.hosts.includes(host)).length;
  return update.instances.some((one) => one.host === host && one.deaths === deaths && CALLABLE.has(one.state));
}

/** The first time from `fromMs` on at which a running instance is listed. */
function knownAt(world: World, fromMs: number): number {
  const times = world.catalog.map(({ atMs }) => atMs).filter((atMs) => atMs > fromMs);
  const restarts = world.faults.flatMap((fault) => (fault.kind === 'dead' && fault.toMs > fromMs ? [fault.toMs] : []));
  const sorted = [fromMs, ...times, ...restarts].toSorted((one, other) => one - other);
  const isKnown = (atMs: number): boolean =>
    Array.from({ length: world.hosts }, (_, host) => host).some((host) => isListed(world, host, atMs));
  return sorted.find(isKnown) ?? Infinity;
}

/** A timer may fire one tick late, or after a pause of its process. */
const LATE_MS = 50;

function isLate({ faults }: World, { planned, beganMs, endedMs }: CallRecord): boolean {
  const deadlineMs = beganMs + planned.load.deadlineMs;
  const pause = faults.find(
    (one) => one.kind === 'caller-pause' && one.fromMs <= deadlineMs + LATE_MS && one.toMs > deadlineMs,
  );
  return endedMs > Math.max(deadlineMs, pause?.toMs ?? 0) + LATE_MS;
}
