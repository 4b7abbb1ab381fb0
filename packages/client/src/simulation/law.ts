import type { Protocol, Random } from '@rollcall/core';
import { bareOver, rollcallOver } from './clients.js';
import { isServing, live } from './world.js';
import type { CallRecord, SteppedTime, World, WorldClient } from './world.js';

/**
 * The law of the call path: while the deadline has time and nobody refused for good, a call is not failed by our own guesses. Beside a
 * bare client in the same world there are never fewer successes, and what is not idempotent is never executed twice.
 */
export interface LawCase {
  readonly ours: readonly CallRecord[];
  /** Of a bare client that takes all addresses in turn. */
  readonly bare: readonly CallRecord[];
  /** Its successes, or those of one whose callers have an address each, if these are more: the mean over which has which. */
  readonly bareSuccesses: number;
}

/** A fresh clock and the same chance for each contestant. */
export type Chances = () => { readonly time: SteppedTime; readonly random: Random };

/** Lets all contestants live in the world. `client`: whom the law is asked of; default: this package over a model of the transport. */
export async function compare(
  world: World,
  protocol: Protocol,
  chances: Chances,
  client = rollcallOver(protocol),
): Promise<LawCase> {
  const run = (one: WorldClient): Promise<readonly CallRecord[]> => live(world, one, chances());
  const ours = await run(client);
  const bare = await run(bareOver(protocol, 'round-robin'));
  let fixed = 0;
  if (world.hosts > 1) {
    for (let offset = 0; offset < world.hosts; offset += 1) {
      fixed += clearSuccesses(world, await run(bareOver(protocol, { offset }))) / world.hosts;
    }
  }
  return { ours, bare, bareSuccesses: Math.max(clearSuccesses(world, bare), Math.floor(fixed)) };
}

export const successes = (records: readonly CallRecord[]): number =>
  records.filter(({ code }) => code === 'success').length;

/** Round trips that a bare client saves: it does not ask who answers. */
const SAVED_TRIPS = 2;
/** As exact as deadlines are. */
const TICK_MS = 20;

/**
 * But for those by a hair. Who asks who answers, and learns of the addresses from a registry, is later by that: then the deadline had
 * passed, or a fault had begun.
 */
function clearSuccesses(world: World, records: readonly CallRecord[]): number {
  const hairMs = 2 * SAVED_TRIPS * slowestWayMs(world) + TICK_MS;
  const isClear = ({ planned: { load, workMs }, beganMs, endedMs }: CallRecord): boolean => {
    const laterMs = endedMs + knownAt(world, beganMs) - beganMs + hairMs;
    // what was served just before it began was served in time
    const servedMs = endedMs - slowestWayMs(world) - workMs;
    const isCaught = world.faults.some(({ fromMs }) => servedMs <= fromMs && fromMs <= laterMs);
    return laterMs <= beganMs + load.deadlineMs && !isCaught;
  };
  return records.filter((record) => record.code === 'success' && isClear(record)).length;
}

/** How often each error ended a call, most frequent first: `OVERLOADED 120, TRANSPORT unreachable 3`. */
export function errorsOf(records: readonly CallRecord[]): string {
  const counts = new Map<string, number>();
  for (const record of records) {
    if (record.code === 'success') continue;
    const words = record.code === 'TRANSPORT' ? `TRANSPORT ${record.attempts.at(-1)}` : record.code;
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  const sorted = [...counts].toSorted(([, one], [, other]) => other - one);
  return sorted.map(([words, count]) => `${words} ${count}`).join(', ');
}

/**
 * Calls that chance may cost one of two contestants of several instances, of which some are in trouble: which call meets it is chance.
 * Three deviations. In the sum of many worlds it counts for nothing.
 */
export function chanceOf({ hosts, faults }: World, { bare }: LawCase): number {
  const isPartial = faults.some((fault) => fault.kind !== 'caller-pause' && fault.hosts.length < hosts);
  return isPartial ? 3 + 3 * Math.sqrt(bare.length - successes(bare)) : 0;
}

/** Our successes, with those calls that nobody can say that of, beside a bare client’s. 1 if neither has any. */
export function ratioOf({ ours, bareSuccesses }: LawCase): number {
  const mine = successes(ours) + ours.filter(isUnavoidable).length;
  return bareSuccesses === 0 ? 1 : mine / bareSuccesses;
}

/** Calls that are not idempotent and were executed twice. */
export const executedTwice = (records: readonly CallRecord[]): readonly CallRecord[] =>
  records.filter(({ planned, executions }) => !planned.load.isIdempotent && executions > 1);

/** Breaches of the law, a sentence each; none: it holds. `chance`: so many successes may be missing. */
export function breaches(world: World, { ours, bareSuccesses }: LawCase, chance = 0): readonly string[] {
  const found: string[] = [];
  const mine = successes(ours);
  const unavoidable = ours.filter(isUnavoidable).length;
  if (mine + unavoidable + chance < fewest(world, bareSuccesses)) {
    found.push(
      `${mine} of ${ours.length} calls succeed (${unavoidable} more broke off after they were written), beside ${bareSuccesses} of a bare client: ${errorsOf(ours)}`,
    );
  }
  const twice = executedTwice(ours);
  if (twice.length > 0)
    found.push(`${twice.length} calls that are not idempotent were executed twice, the first is ${nameOf(twice)}`);
  const guessed = ours.filter((record) => isGuess(world, record) && couldBeServed(world, record));
  if (guessed.length > 0)
    found.push(
      `${guessed.length} calls ended by a guess before their deadline: ${errorsOf(guessed)}; the first is ${nameOf(guessed)}`,
    );
  const late = ours.filter((record) => isLate(world, record));
  if (late.length > 0)
    found.push(`${late.length} calls ended after their deadline, or never; the first is ${nameOf(late)}`);
  return found;
}

/** Whom a bare client serves while more is asked than can be served is chance: then nearly as many will do. */
export const NEARLY = 0.97;

const fewest = ({ isShort }: World, bareSuccesses: number): number =>
  isShort === true ? NEARLY * bareSuccesses : bareSuccesses;

function nameOf(records: readonly CallRecord[]): string {
  const [first] = records;
  if (first === undefined) return 'none';
  const { planned, beganMs, endedMs, code } = first;
  return `call ${planned.number} (${planned.load.method}, from ${beganMs.toFixed(1)} to ${endedMs.toFixed(1)} ms, ${code})`;
}

/** It may have been executed and may not be repeated: nobody can say that it succeeded. */
const isUnavoidable = ({ planned, code, attempts }: CallRecord): boolean =>
  !planned.load.isIdempotent && code === 'TRANSPORT' && attempts.at(-1) === 'closed';

/** What this package says because of what it believes of the instances, not because an instance said so. */
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
/** Above what connections and the work itself take. */
const MARGIN_MS = 300;

/** Between the end of a call and its deadline: would somebody who is known have had the time to serve it? */
function couldBeServed(world: World, { planned, beganMs, endedMs }: CallRecord): boolean {
  const needMs = 8 * slowestWayMs(world) + 2 * planned.workMs + MARGIN_MS;
  const deadlineMs = beganMs + planned.load.deadlineMs;
  for (let host = 0; host < world.hosts; host += 1) {
    let sinceMs = endedMs;
    for (let atMs = endedMs; atMs <= deadlineMs; atMs += STEP_MS) {
      if (!isServing(world, host, atMs) || !isListed(world, host, atMs)) sinceMs = atMs + STEP_MS;
      else if (atMs - sinceMs >= needMs) return true;
    }
  }
  return false;
}

function slowestWayMs({ delayMs, faults }: World): number {
  return Math.max(delayMs, ...faults.map((fault) => (fault.kind === 'delay' ? fault.ms : 0)));
}

const CALLABLE: ReadonlySet<string> = new Set(['HEALTHY', 'REGISTERING', 'UNHEALTHY']);

/** Do callers know of the process that is there? */
function isListed({ catalog, faults }: World, host: number, atMs: number): boolean {
  const word = catalog.findLast((one) => one.atMs <= atMs && one.says !== 'lost');
  if (word?.says !== 'list') return false;
  const deaths = faults.filter((one) => one.kind === 'dead' && one.fromMs <= atMs && one.hosts.includes(host)).length;
  return word.instances.some((one) => one.host === host && one.deaths === deaths && CALLABLE.has(one.state));
}

/** When, from that time on, somebody is known who is there. */
function knownAt(world: World, fromMs: number): number {
  const times = world.catalog.map(({ atMs }) => atMs).filter((atMs) => atMs > fromMs);
  const births = world.faults.flatMap((fault) => (fault.kind === 'dead' && fault.toMs > fromMs ? [fault.toMs] : []));
  const sorted = [fromMs, ...times, ...births].toSorted((one, other) => one - other);
  const isKnown = (atMs: number): boolean =>
    Array.from({ length: world.hosts }, (_, host) => host).some((host) => isListed(world, host, atMs));
  return sorted.find(isKnown) ?? Infinity;
}

/** An alarm may ring a tick late, and after a pause of its process when that is over. */
const LATE_MS = 50;

function isLate({ faults }: World, { planned, beganMs, endedMs }: CallRecord): boolean {
  const deadlineMs = beganMs + planned.load.deadlineMs;
  const pause = faults.find(
    (one) => one.kind === 'caller-pause' && one.fromMs <= deadlineMs + LATE_MS && one.toMs > deadlineMs,
  );
  return endedMs > Math.max(deadlineMs, pause?.toMs ?? 0) + LATE_MS;
}
