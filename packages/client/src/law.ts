import type { Protocol, Random } from '@rollcall/core';
import { bareOver, rollcallOver } from './simulation-clients.js';
import { isServing, live } from './simulation-world.js';
import type { CallRecord, SteppedTime, World, WorldClient } from './simulation-world.js';

/**
 * The law of the call path: while the deadline has time and nobody refused for good, a call is not failed by our own guesses. Beside a
 * bare client in the same world there are never fewer successes, and what is not idempotent is never executed twice.
 */
export interface LawCase {
  readonly ours: readonly CallRecord[];
  /** Of the better bare client: one address for each caller, or all in turn. */
  readonly bare: readonly CallRecord[];
}

/** A fresh clock and the same chance for each contestant. */
export type Chances = () => { readonly time: SteppedTime; readonly random: Random };

/** Lets all contestants live in the world. */
export async function compare(world: World, protocol: Protocol, chances: Chances): Promise<LawCase> {
  const run = (client: WorldClient): Promise<readonly CallRecord[]> => live(world, client, chances());
  const ours = await run(rollcallOver(protocol));
  const fixed = await run(bareOver(protocol, 'fixed'));
  const inTurn = world.hosts > 1 ? await run(bareOver(protocol, 'round-robin')) : fixed;
  return { ours, bare: successes(fixed) >= successes(inTurn) ? fixed : inTurn };
}

export const successes = (records: readonly CallRecord[]): number =>
  records.filter(({ code }) => code === 'success').length;

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

/** Breaches of the law, a sentence each; none: it holds. */
export function breaches(world: World, { ours, bare }: LawCase): readonly string[] {
  const found: string[] = [];
  const [mine, theirs] = [successes(ours), successes(bare)];
  const unavoidable = ours.filter(isUnavoidable).length;
  if (mine + unavoidable < theirs) {
    found.push(
      `${mine} of ${ours.length} calls succeed (${unavoidable} more broke off after they were written), beside ${theirs} of a bare client: ${errorsOf(ours)}`,
    );
  }
  const twice = ours.filter(({ planned, executions }) => !planned.load.isIdempotent && executions > 1);
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
  'UNKNOWN_SERVICE',
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

/** An alarm may ring a tick late, and after a pause of its process when that is over. */
const LATE_MS = 50;

function isLate({ faults }: World, { planned, beganMs, endedMs }: CallRecord): boolean {
  const deadlineMs = beganMs + planned.load.deadlineMs;
  const pause = faults.find(
    (one) => one.kind === 'caller-pause' && one.fromMs <= deadlineMs + LATE_MS && one.toMs > deadlineMs,
  );
  return endedMs > Math.max(deadlineMs, pause?.toMs ?? 0) + LATE_MS;
}
