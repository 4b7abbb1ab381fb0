import { Rollcall } from '@rollcall/client';
import type { InstanceExplanation, OneCall } from '@rollcall/client';
import type { Instance, Protocol } from '@rollcall/core';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { Run } from './call-run.js';
import type { Execution } from './call-run.js';
import { OpenLoop } from './open-loop.js';
import type { Ask, Rates, Verb } from './open-loop.js';
import { start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';
import { Witness } from './witness.js';

/** The fault that SIGUSR2 turns on: see `programs/worker.mjs`. */
export type WorkerFault = 'slow' | 'unavailable' | 'refuse';
/** See `programs/wire.mjs`. */
export type WireFault = 'half' | 'mute' | 'full';
export type Over = Extract<Protocol, 'tcp' | 'http'>;

export interface CallStageOptions {
  readonly intervalMs: number;
  /** One instance for each fault, which SIGUSR2 turns on; null: no fault. Default: three without. */
  readonly faults?: readonly (WorkerFault | null)[];
  /** The deadline of a call that must not be repeated, ms. Default: that of every call. */
  readonly bookDeadlineMs?: number;
}

const SERVICE = 'orders';
/** Idempotent calls per second: the rate that two cores carry beside the processes that answer them. */
const PER_SECOND: Readonly<Record<Over, number>> = { tcp: 1_000, http: 500 };
/** Non-idempotent calls beside them, per idempotent call. */
const BOOKS_PER_FIND = 0.2;
/** On a machine that is too slow for the load, the load is halved at most this many times. */
const MAX_HALVINGS = 2;
/** The machine carries the load when this share of calls takes at most this long, … */
const CARRIED = { share: 0.9, ms: 50 };
/** … except for those in flight. */
const CARRIED_IN_FLIGHT = 20;
const WARM_UP = { rounds: 30, calls: 20 };
/** The duration of the load before a fault and after its effects are over, s. */
const CALM_S = 0.7;
const AFTER_FAULT_S = 0.5;

const NO_FAULTS: readonly (WorkerFault | null)[] = [null, null, null];

/** A registry, instances of one service in processes of their own, and a caller in this process. */
export class CallStage {
  readonly url: string;
  readonly registry: Child;
  readonly witness: Witness;
  readonly caller: Rollcall;
  /** Only instances of this version are called; undefined: all. Workers have 1, wires have 2. */
  version: string | undefined = undefined;
  readonly #bookDeadlineMs: number | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'rollcall-calls-'));
  readonly #notes = join(this.#folder, 'notes');
  readonly #size: number;
  readonly #workers: Child[] = [];
  readonly #otherChildren: Child[] = [];
  readonly #rates = new Map<Over, Rates>();
  #loads = 0;

  constructor(registry: Child, url: string, { faults = NO_FAULTS, bookDeadlineMs }: CallStageOptions) {
    this.registry = registry;
    this.url = url;
    this.#size = faults.length;
    this.#bookDeadlineMs = bookDeadlineMs;
    this.witness = new Witness(url);
    this.caller = new Rollcall({ registry: url });
    writeFileSync(this.#notes, '');
  }

  /** Starts one more instance. */
  launch(fault: WorkerFault | null = null): Child {
    const extra = fault === null ? {} : { FAULT: fault };
    const child = start('worker', [], { ...this.#environment(SERVICE), ...extra });
    this.#workers.push(child);
    return child;
  }

  /** Starts one more, which implements the wire protocol itself; resolves when it is HEALTHY. */
  async launchWire(fault: WireFault): Promise<Child> {
    const child = start('wire', [this.url, SERVICE, this.#notes, fault]);
    this.#otherChildren.push(child);
    const isHealthy = ({ id, state }: Instance): boolean => id === this.idOf(child) && state === 'HEALTHY';
    await waitFor('the wire is HEALTHY', () => this.caller.service(SERVICE).instances.some(isHealthy));
    return child;
  }

  /** Starts another service, which listens at `port` as soon as it gets SIGUSR2. */
  async launchOtherService(port: number): Promise<Child> {
    const extra = { FAULT: 'move-in', PORT: String(port) };
    const child = start('worker', [], { ...this.#environment('tenant'), ...extra });
    this.#otherChildren.push(child);
    await child.line(/^waiting$/);
    return child;
  }

  /** The live workers, the oldest first. */
  get liveWorkers(): readonly Child[] {
    return this.#workers.filter(({ isAlive }) => isAlive);
  }

  /** The record of a process, once it has registered. */
  instanceOf(child: Child): Instance | undefined {
    return this.witness.instances.find(({ metadata }) => metadata['pid'] === String(child.pid));
  }

  /** The id of a registered instance. */
  idOf(child: Child): string {
    return this.instanceOf(child)?.id ?? '';
  }

  portOf(child: Child, over: Over): number {
    return this.instanceOf(child)?.endpoints.find(({ protocol }) => protocol === over)?.port ?? 0;
  }

  /** Resolves when every live worker is HEALTHY, for the caller too. */
  async waitUntilHealthy(): Promise<void> {
    const view = this.caller.service(SERVICE);
    const isHealthy = (child: Child): boolean =>
      view.instances.some(({ id, state }) => state === 'HEALTHY' && id === this.idOf(child));
    await waitFor('everything is HEALTHY', () => this.liveWorkers.every(isHealthy)).catch((error: unknown) => {
      const facts = this.liveWorkers.map(
        (child) => `${child.pid} ${this.instanceOf(child)?.state} ${child.err.slice(-3).join(' | ')}`,
      );
      throw new Error([String(error), ...facts].join('\n'));
    });
  }

  /** Restores the initial number of workers, HEALTHY, and no other instances, whatever happened before. */
  async restore(): Promise<void> {
    this.version = undefined;
    const others = this.#otherChildren.splice(0);
    for (const other of others) other.kill('SIGKILL');
    await Promise.all(others.map(({ exited }) => exited));
    while (this.liveWorkers.length < this.#size) this.launch();
    const isWorker = ({ metadata }: Instance): boolean =>
      this.liveWorkers.some(({ pid }) => String(pid) === metadata['pid']);
    await waitFor('all other instances are removed', () => this.witness.instances.every(isWorker));
    await this.waitUntilHealthy();
  }

  /** The caller's view of an instance over one protocol. */
  viewOf(id: string, over: Over): InstanceExplanation | undefined {
    return this.caller
      .explain(SERVICE)
      .protocols.find(({ protocol }) => protocol === over)
      ?.instances.find((one) => one.id === id);
  }

  /** Resolves as soon as `calls` calls are in flight at the instance, with their number. */
  async waitUntilBusy(id: string, over: Over, calls: number): Promise<number> {
    return waitFor(`${id} has ${calls} calls in flight`, () => {
      const { callsUnderWay = 0 } = this.viewOf(id, over) ?? {};
      return callsUnderWay >= calls && callsUnderWay;
    });
  }

  /** Resolves as soon as the instance has answered a call. */
  async waitUntilAnswered(id: string, over: Over): Promise<void> {
    await waitFor(`${id} answers`, () => (this.viewOf(id, over)?.lastSuccessMsAgo ?? null) !== null);
  }

  /** Resolves as soon as the balancer prefers others, for whatever reason, and no call is in flight there. */
  async waitUntilAvoided(id: string, over: Over): Promise<void> {
    await waitFor(`${id} gets no calls`, () => {
      const view = this.viewOf(id, over);
      return view !== undefined && view.callsUnderWay === 0 && (view.ejected !== null || view.state !== 'HEALTHY');
    });
  }

  /** Resolves when the load has run for `seconds`, by the clock of its calls. */
  async waitForLoad(load: OpenLoop, seconds: number): Promise<void> {
    const enough = load.outcomes.length + seconds * (load.rates.find + load.rates.book);
    await waitFor(`${seconds} s of the load are over`, () => load.outcomes.length >= enough);
  }

  /** Runs the load for a while, then `fault` under load, then the load for a while again. */
  async runUnderLoad(over: Over, fault: (load: OpenLoop) => Promise<void>): Promise<Run> {
    const rates = this.#rates.get(over) ?? (await this.#findRates(over));
    const load = this.#startLoad(over, rates, this.caller);
    let faultAt = Infinity;
    try {
      await this.waitForLoad(load, CALM_S);
      faultAt = performance.now();
      await fault(load);
      await this.waitForLoad(load, AFTER_FAULT_S);
    } finally {
      await load.stop();
    }
    const run = new Run({ load, faultAt, service: SERVICE, executions: this.#readExecutions() });
    // kept even if the run is repeated
    expect.soft(run.strictViolations.slice(0, 10), run.figures).toEqual([]);
    if (!run.isFair)
      console.warn(`Durations of calls are not judged: calls were made up to ${load.lagMs.toFixed(0)} ms late.`);
    return run;
  }

  async close(): Promise<void> {
    this.witness.close();
    await this.caller.close();
    const all = [...this.#workers, ...this.#otherChildren, this.registry];
    for (const child of all) child.kill('SIGKILL');
    await Promise.all(all.map(({ exited }) => exited));
    rmSync(this.#folder, { recursive: true });
  }

  #environment(service: string): NodeJS.ProcessEnv {
    return { ROLLCALL_URL: this.url, SERVICE: service, NOTES: this.#notes };
  }

  /** Halves the load until the machine carries it; logs that if needed. */
  async #findRates(over: Over): Promise<Rates> {
    await this.#warmUp(over);
    let rates = ratesOf(PER_SECOND[over]);
    let halvings = 0;
    for (; halvings < MAX_HALVINGS && !(await this.#isCarried(over, rates)); halvings += 1) {
      rates = ratesOf(rates.find / 2);
    }
    if (halvings > 0) console.warn(`${rates.find} calls/s over ${over}: this machine carries no more.`);
    this.#rates.set(over, rates);
    return rates;
  }

  /** Code that runs for the first time may be slow. */
  async #warmUp(over: Over): Promise<void> {
    const ask = this.#createAsk(over, this.caller);
    for (let round = 0; round < WARM_UP.rounds; round += 1) {
      const ids = Array.from({ length: WARM_UP.calls }, (_, turn) => `warm-${over}-${round}-${turn}`);
      await Promise.all(ids.map((id) => ask('find', id)));
    }
  }

  /** With a caller of its own, so that an overload costs the tested caller none of its retries. */
  async #isCarried(over: Over, rates: Rates): Promise<boolean> {
    const caller = new Rollcall({ registry: this.url });
    await caller.ready(SERVICE);
    const load = this.#startLoad(over, rates, caller);
    await waitFor('half a second of the load is over', () => load.made >= 0.5 * rates.find);
    const inTime = load.outcomes.filter(({ verb, ms }) => verb === 'book' || ms <= CARRIED.ms).length;
    const isCarried = inTime >= CARRIED.share * load.made - CARRIED_IN_FLIGHT;
    await caller.close();
    await load.stop();
    return isCarried;
  }

  #startLoad(over: Over, rates: Rates, caller: Rollcall): OpenLoop {
    this.#loads += 1;
    return new OpenLoop(`${over}-${this.#loads}`, this.#createAsk(over, caller), rates);
  }

  #createAsk(over: Over, caller: Rollcall): Ask {
    const callOptions = (verb: Verb): OneCall => ({
      version: this.version,
      idempotent: verb === 'find',
      deadlineMs: verb === 'find' ? undefined : this.#bookDeadlineMs,
    });
    if (over === 'tcp') {
      return async (verb, id) => answeringInstance(await caller.call(SERVICE, verb, { id }, callOptions(verb)));
    }
    return async (verb, id) => {
      const method = verb === 'find' ? 'GET' : 'POST';
      const response = await caller.fetch(SERVICE, `/${verb}?id=${id}`, { method }, callOptions(verb));
      if (!response.ok) throw new Error(`HTTP status ${response.status}`);
      return answeringInstance(await response.json());
    };
  }

  #readExecutions(): readonly Execution[] {
    const lines = readFileSync(this.#notes, 'utf8').trimEnd().split('\n');
    return lines.map((line) => {
      const [service = '', verb = '', id = ''] = line.split(' ');
      return { service, verb, id };
    });
  }
}

const ratesOf = (find: number): Rates => ({ find, book: find * BOOKS_PER_FIND });

function answeringInstance(answer: unknown): string {
  if (typeof answer === 'object' && answer !== null && 'instance' in answer) return String(answer.instance);
  throw new Error(`Not an answer of a worker: ${JSON.stringify(answer)}`);
}

/** Resolves when everything runs and is HEALTHY, in the caller's view too. */
export async function openCallStage(options: CallStageOptions): Promise<CallStage> {
  const registry = startRegistry(options.intervalMs, ['--memory']);
  const stage = new CallStage(registry, await urlOf(registry), options);
  stage.caller.start();
  for (const fault of options.faults ?? NO_FAULTS) stage.launch(fault);
  await stage.waitUntilHealthy();
  return stage;
}
