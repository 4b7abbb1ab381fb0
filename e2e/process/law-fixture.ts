import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { urlOf } from './plain-requests.js';
import { freePort } from './free-port.js';
import { launch } from './launch.js';
import type { Child } from './launch.js';
import { LawCaller, PROTOCOLS } from './law-caller.js';
import type { Client, Over, Rates, Report, Terms, Verb } from './law-caller.js';
import { PROGRAMS } from './spawn.js';

/** Where a process runs: `enter` is the command that runs another one there, `host` the address of its servers. */
export interface Place {
  readonly enter: readonly string[];
  readonly host: string;
}

/** One instance, and its addresses for a client without a registry. */
export interface LawInstance {
  readonly child: Child;
  readonly place: Place;
  readonly zone: string;
  readonly ports: Readonly<Record<Over, number>>;
}

export interface CallerOptions {
  readonly place?: Place;
  readonly zone?: string;
  /** The option `calls` of the client. Default: none, as the defaults are tested. */
  readonly calls?: object;
}

/** The default of an application. */
const INTERVAL_MS = 5_000;
const SERVICE = 'orders';
const LOCAL_PLACE: Place = { enter: [], host: '127.0.0.1' };
/** If calls are made later than this, ms, the test measures its own process. */
const FAIR_LAG_MS = 200;
const WARM_UP = { rounds: 5, calls: 10 };
const FAILURES_SHOWN = 3;
const CHARACTERS_SHOWN = 120;

/** A registry, instances of one service over all protocols, and callers: each a process of its own. */
export class LawFixture {
  readonly url: string;
  readonly registry: Child;
  readonly instances: LawInstance[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'rollcall-law-'));
  readonly #notes = join(this.#folder, 'notes');
  readonly #otherChildren: Child[] = [];
  readonly #callers: Child[] = [];
  #names = 0;

  constructor(registry: Child, url: string) {
    this.registry = registry;
    this.url = url;
    writeFileSync(this.#notes, '');
  }

  /** Starts one more instance, which listens when this resolves. */
  async launch(place: Place = LOCAL_PLACE, zone = ''): Promise<LawInstance> {
    const [tcp, http, grpc] = await Promise.all([freePort(), freePort(), freePort()]);
    const instance = { place, zone, ports: { tcp, http, grpc } };
    const started = { ...instance, child: this.#startInstance(instance) };
    this.instances.push(started);
    await started.child.line(/^listening /);
    return started;
  }

  /**
   * Starts other services, separated by commas: one process that lets one listen after the other, and prints `listening
   * <service>`.
   */
  startServices(services: string, env: NodeJS.ProcessEnv = {}): Child {
    const child = startAt(LOCAL_PLACE, 'law service', [], {
      ROLLCALL_URL: this.url,
      SERVICE: services,
      NOTES: this.#notes,
      ...env,
    });
    this.#otherChildren.push(child);
    return child;
  }

  /** Starts the instance again, at the same ports, after its process has ended. */
  async relaunch(instance: LawInstance): Promise<LawInstance> {
    const restarted = { ...instance, child: this.#startInstance(instance) };
    this.instances.splice(this.instances.indexOf(instance), 1, restarted);
    await restarted.child.line(/^listening /);
    return restarted;
  }

  /** A process that calls over one protocol and knows the instances. */
  async caller(
    client: Client,
    over: Over,
    { place = LOCAL_PLACE, zone = '', calls = {} }: CallerOptions = {},
  ): Promise<LawCaller> {
    this.#names += 1;
    const name = `${client}-${over}-${this.#names}`;
    const targets = this.instances.map(({ place: { host }, ports }) => ({ host, port: ports[over] }));
    const child = startAt(place, 'law caller', [], {
      CLIENT: client,
      OVER: over,
      ROLLCALL_URL: this.url,
      SERVICE,
      NAME: name,
      CALLS: JSON.stringify(calls),
      ZONE: zone,
      TARGETS: JSON.stringify(targets),
    });
    this.#callers.push(child);
    const caller = new LawCaller({ child, client, over, name });
    await caller.ready(this.instances.length > 0);
    return caller;
  }

  /** Rollcall and the bare client, under the same conditions. */
  async pair(over: Over, options: CallerOptions = {}): Promise<Pair> {
    const [rollcall, bare] = await Promise.all([
      this.caller('rollcall', over, options),
      this.caller('bare', over, options),
    ]);
    return { over, rollcall, bare };
  }

  /** Ends all callers. */
  async endCallers(): Promise<void> {
    const callers = this.#callers.splice(0);
    for (const child of callers) child.kill('SIGKILL');
    await Promise.all(callers.map(({ exited }) => exited));
  }

  /** Ids in the order in which their executions began. */
  executed(verb: string): readonly string[] {
    const lines = readFileSync(this.#notes, 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(`${verb} `)).map((line) => line.slice(verb.length + 1));
  }

  /** Calls that must not be executed twice and were. */
  get executedTwice(): readonly string[] {
    const seen = new Set<string>();
    return this.executed('book').filter((id) => seen.size === seen.add(id).size);
  }

  async close(): Promise<void> {
    await this.endCallers();
    const all = [...this.#otherChildren, ...this.instances.map(({ child }) => child), this.registry];
    for (const child of all) child.kill('SIGKILL');
    await Promise.all(all.map(({ exited }) => exited));
    rmSync(this.#folder, { recursive: true });
  }

  #startInstance({ place, zone, ports }: Omit<LawInstance, 'child'>): Child {
    const child = startAt(place, 'law service', [], {
      ROLLCALL_URL: this.url,
      ROLLCALL_ZONE: zone,
      SERVICE,
      NOTES: this.#notes,
      HOST: place.host,
      PORTS: PROTOCOLS.map((over) => ports[over]).join(),
    });
    this.#otherChildren.push(child);
    return child;
  }
}

/** The callers over one protocol. */
export interface Pair {
  readonly over: Over;
  readonly rollcall: LawCaller;
  readonly bare: LawCaller;
}

export interface PairReport {
  readonly over: Over;
  readonly rollcall: Report;
  readonly bare: Report;
}

/** The load of each caller meanwhile. */
export interface Load {
  /** Calls per second. */
  readonly rates: Rates;
  readonly terms: Readonly<Partial<Record<Verb, Terms>>>;
}

/** The same command to both callers at the same time. */
export async function runConcurrently(
  { over, rollcall, bare }: Pair,
  command: (caller: LawCaller) => Promise<Report>,
): Promise<PairReport> {
  const [ours, theirs] = await Promise.all([command(rollcall), command(bare)]);
  return { over, rollcall: ours, bare: theirs };
}

/** The same command to one after the other, for what needs the whole machine. */
export async function runSequentially(
  { over, rollcall, bare }: Pair,
  command: (caller: LawCaller) => Promise<Report>,
): Promise<PairReport> {
  const theirs = await command(bare);
  return { over, rollcall: await command(rollcall), bare: theirs };
}

/**
 * Runs a scenario for each of the pairs, prints the figures and returns the violations that `findViolations` finds; none are
 * expected. A run in which calls were made late proves little: if it has violations, other than guesses, which a slow
 * machine does not excuse, it is repeated once, and then only guesses count.
 */
export async function compare(
  scenario: string,
  run: () => Promise<PairReport | readonly PairReport[]>,
  { findViolations = findShortfalls, details = () => '' }: CompareOptions = {},
): Promise<readonly string[]> {
  for (let isFirst = true; ; isFirst = false) {
    const reports = [await run()].flat();
    for (const report of reports) printFigures(scenario, report, details(report));
    const lagMs = Math.max(...reports.flatMap(({ rollcall, bare }) => [rollcall.lagMs, bare.lagMs]));
    const found = reports.flatMap(findViolations);
    const guesses = reports.flatMap(findGuesses);
    if (found.length === 0 || guesses.length > 0 || lagMs <= FAIR_LAG_MS) return found;
    if (!isFirst) {
      console.warn(`${scenario} is checked for guesses only: calls were made up to ${lagMs} ms late.`);
      return guesses;
    }
    console.warn(`${scenario} is repeated once: calls were made up to ${lagMs} ms late.`);
  }
}

export interface CompareOptions {
  /** Returns the violations as texts. Default: `findShortfalls`. */
  readonly findViolations?: (report: PairReport) => readonly string[];
  /** Further output. */
  readonly details?: (report: PairReport) => string;
}

/** Opens connections and runs code that is slow on its first run. */
export async function warmUp(pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const terms = { deadlineMs: 10_000, idempotent: true };
  const callers = pairs.flatMap(({ rollcall, bare }) => [rollcall, bare]);
  for (let round = 0; round < WARM_UP.rounds; round += 1) {
    await Promise.all(callers.map((caller) => caller.burst('find', WARM_UP.calls, terms)));
  }
  return pairs;
}

/** All callers make calls while `run` runs. */
export async function runUnderLoad(
  pairs: readonly Pair[],
  { rates, terms }: Load,
  run: () => Promise<void>,
): Promise<readonly PairReport[]> {
  const callers = pairs.flatMap(({ rollcall, bare }) => [rollcall, bare]);
  await Promise.all(callers.map((caller) => caller.start('load', rates, terms)));
  await run();
  return Promise.all(pairs.map((pair) => runConcurrently(pair, (caller) => caller.stop('load'))));
}

/** A registry and `instances` instances of one service. */
export async function startLawFixture(instances: number, place: Place = LOCAL_PLACE): Promise<LawFixture> {
  const args = ['up', '--json', '--port', '0', '--interval', String(INTERVAL_MS), '--memory'];
  const open = place === LOCAL_PLACE ? [] : ['--host', place.host, '--insecure'];
  const registry = startAt(place, 'rollcall', [...args, ...open]);
  const fixture = new LawFixture(registry, await urlOf(registry));
  await Promise.all(Array.from({ length: instances }, () => fixture.launch(place)));
  return fixture;
}

function startAt(
  { enter }: Place,
  program: keyof typeof PROGRAMS,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Child {
  const [command = process.execPath, ...rest] = [...enter, process.execPath, PROGRAMS[program], ...args];
  return launch(command, rest, { env, hasInput: program === 'law caller' });
}

const failuresText = (failed: Report['failed']): string =>
  `{${Object.entries(failed)
    .map(([code, count]) => `${code}:${count}`)
    .join(',')}}`;

const durationsText = ({ ms: { p50, p99, max } }: Report): string => `${p50}/${p99}/${max}`;

/** Prints one line: the number of failures, by code, and those of the bare client; p50, p99 and the maximum of each. */
export function printFigures(scenario: string, { over, rollcall, bare }: PairReport, details = ''): void {
  const ours = `calls=${rollcall.calls} failed=${failuresText(rollcall.failed)}`;
  const theirs = `bare_calls=${bare.calls} bare_failed=${failuresText(bare.failed)}`;
  const all = `${ours} ${theirs} ms=${durationsText(rollcall)} bare_ms=${durationsText(bare)} lag_ms=${rollcall.lagMs}`;
  console.log(`LAW ${scenario} ${over} ${all} ${details}`.trimEnd());
}

export const failedOf = ({ failed }: Report): number => Object.values(failed).reduce((sum, one) => sum + one, 0);

/** The number of failures among the calls due in each second: `0 0 12 0`. */
export const failedBySecond = ({ rollcall: { seconds } }: PairReport): string =>
  `by_second="${seconds.map((counts) => counts['failed'] ?? 0).join(' ')}"`;

/**
 * The codes of calls that Rollcall did not attempt, or not again, by its own decision: no call may end so before its
 * deadline.
 */
const GUESSES: ReadonlySet<string> = new Set([
  'OVERLOADED',
  'ALL_EJECTED',
  'BULKHEAD_FULL',
  'NO_CATALOG',
  'NO_INSTANCE',
]);

/** Violations, as texts: calls that failed by such a decision. */
export const findGuesses = (report: PairReport): readonly string[] =>
  Object.keys(report.rollcall.failed).some((code) => GUESSES.has(code)) ? describeReport(report) : [];

/** The same, and whether a larger share of our calls failed than of the bare client's beside them. */
export const findShortfalls = (report: PairReport): readonly string[] =>
  failedOf(report.rollcall) / report.rollcall.calls > failedOf(report.bare) / report.bare.calls
    ? describeReport(report)
    : findGuesses(report);

/** Violations, as texts: any of our calls that failed. */
export const findFailures = (report: PairReport): readonly string[] =>
  failedOf(report.rollcall) > 0 ? describeReport(report) : [];

function describeReport({ over, rollcall, bare }: PairReport): readonly string[] {
  const first = rollcall.failures
    .slice(0, FAILURES_SHOWN)
    .map(({ dueMs, text, attempts }) => `${dueMs} ms: ${text.slice(0, CHARACTERS_SHOWN)} [${attempts.join(', ')}]`);
  return [
    `${over}: ${failuresText(rollcall.failed)} of ${rollcall.calls}, bare ${failuresText(bare.failed)} of ${bare.calls}`,
    ...first,
  ];
}
