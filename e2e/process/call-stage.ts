import { Rollcall } from '@rollcall/client';
import type { InstanceExplanation, OneCall } from '@rollcall/client';
import type { Instance, Protocol } from '@rollcall/core';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startRegistry, urlOf } from './by-hand.js';
import { Run } from './call-run.js';
import type { Note } from './call-run.js';
import { OpenLoop } from './open-loop.js';
import type { Ask, Rates, Verb } from './open-loop.js';
import { start } from './spawn.js';
import type { Child } from './spawn.js';
import { until } from './until.js';
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
const BOOKS = 0.2;
/** On a machine that is too slow for the load, the load is halved at most this many times. */
const MOST_HALVINGS = 2;
/** The machine carries the load when this share of calls takes at most this long, … */
const CARRIED = { share: 0.9, ms: 50 };
/** … except for those in flight. */
const CARRIED_UNDER_WAY = 20;
const WARM_UP = { rounds: 30, calls: 20 };
/** The duration of the load before a fault and after its effects are over, s. */
const CALM_S = 0.7;
const AFTERMATH_S = 0.5;

const WELL: readonly (WorkerFault | null)[] = [null, null, null];

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
  readonly #others: Child[] = [];
  readonly #rates = new Map<Over, Rates>();
  #loads = 0;

  constructor(registry: Child, url: string, { faults = WELL, bookDeadlineMs }: CallStageOptions) {
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
    const more = fault === null ? {} : { FAULT: fault };
    const child = start('worker', [], { ...this.#environment(SERVICE), ...more });
    this.#workers.push(child);
    return child;
  }

  /** Starts one more, which implements the wire protocol itself; resolves when it is HEALTHY. */
  async launchWire(fault: WireFault): Promise<Child> {
    const child = start('wire', [this.url, SERVICE, this.#notes, fault]);
    this.#others.push(child);
    const isHealthy = ({ id, state }: Instance): boolean => id === this.idOf(child) && state === 'HEALTHY';
    await until('the wire is HEALTHY', () => this.caller.service(SERVICE).instances.some(isHealthy));
    return child;
  }

  /** Starts another service, which listens at `port` as soon as it gets SIGUSR2. */
  async launchTenant(port: number): Promise<Child> {
    const more = { FAULT: 'move-in', PORT: String(port) };
    const child = start('worker', [], { ...this.#environment('tenant'), ...more });
    this.#others.push(child);
    await child.line(/^waiting$/);
    return child;
  }

  /** The live workers, the oldest first. */
  get living(): readonly Child[] {
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
  async whole(): Promise<void> {
    const view = this.caller.service(SERVICE);
    const isHealthy = (child: Child): boolean =>
      view.instances.some(({ id, state }) => state === 'HEALTHY' && id === this.idOf(child));
    await until('everything is HEALTHY', () => this.living.every(isHealthy)).catch((error: unknown) => {
      const facts = this.living.map(
        (child) => `${child.pid} ${this.instanceOf(child)?.state} ${child.err.slice(-3).join(' | ')}`,
      );
      throw new Error([String(error), ...facts].join('\n'));
    });
  }

  /** Restores the initial number of workers, HEALTHY, and no other instances, whatever happened before. */
  async restore(): Promise<void> {
    this.version = undefined;
    const others = this.#others.splice(0);
    for (const other of others) other.kill('SIGKILL');
    await Promise.all(others.map(({ exited }) => exited));
    while (this.living.length < this.#size) this.launch();
    const isOurs = ({ metadata }: Instance): boolean => this.living.some(({ pid }) => String(pid) === metadata['pid']);
    await until('the others are removed', () => this.witness.instances.every(isOurs));
    await this.whole();
  }

  /** The caller's view of an instance over one protocol. */
  sight(id: string, over: Over): InstanceExplanation | undefined {
    return this.caller
      .explain(SERVICE)
      .protocols.find(({ protocol }) => protocol === over)
      ?.instances.find((one) => one.id === id);
  }

  /** Resolves as soon as `calls` calls are in flight at the instance, with their number. */
  async busy(id: string, over: Over, calls: number): Promise<number> {
    return until(`${id} has ${calls} calls in hand`, () => {
      const { callsUnderWay = 0 } = this.sight(id, over) ?? {};
      return callsUnderWay >= calls && callsUnderWay;
    });
  }

  /** Resolves as soon as the instance has answered a call. */
  async met(id: string, over: Over): Promise<void> {
    await until(`${id} answers`, () => (this.sight(id, over)?.lastSuccessMsAgo ?? null) !== null);
  }

  /** Resolves as soon as the balancer prefers others, for whatever reason, and no call is in flight there. */
  async shunned(id: string, over: Over): Promise<void> {
    await until(`${id} gets no calls`, () => {
      const sight = this.sight(id, over);
      return sight !== undefined && sight.callsUnderWay === 0 && (sight.ejected !== null || sight.state !== 'HEALTHY');
    });
  }

  /** Resolves when the load has run for `seconds`, by the clock of its calls. */
  async seen(load: OpenLoop, seconds: number): Promise<void> {
    const enough = load.outcomes.length + seconds * (load.rates.find + load.rates.book);
    await until(`${seconds} s of it have been seen`, () => load.outcomes.length >= enough);
  }

  /** Runs the load for a while, then `fault` under load, then the load for a while again. */
  async under(over: Over, fault: (load: OpenLoop) => Promise<void>): Promise<Run> {
    const rates = this.#rates.get(over) ?? (await this.#affordable(over));
    const load = this.#load(over, rates, this.caller);
    let faultAt = Infinity;
    try {
      await this.seen(load, CALM_S);
      faultAt = performance.now();
      await fault(load);
      await this.seen(load, AFTERMATH_S);
    } finally {
      await load.stop();
    }
    const run = new Run({ load, faultAt, service: SERVICE, notes: this.#read() });
    // kept even if the run is repeated
    expect.soft(run.unexcused.slice(0, 10), run.figures).toEqual([]);
    if (!run.isFair)
      console.warn(`Durations of calls are not judged: calls were made up to ${load.lagMs.toFixed(0)} ms late.`);
    return run;
  }

  async close(): Promise<void> {
    this.witness.close();
    await this.caller.close();
    const all = [...this.#workers, ...this.#others, this.registry];
    for (const child of all) child.kill('SIGKILL');
    await Promise.all(all.map(({ exited }) => exited));
    rmSync(this.#folder, { recursive: true });
  }

  #environment(service: string): NodeJS.ProcessEnv {
    return { ROLLCALL_URL: this.url, SERVICE: service, NOTES: this.#notes };
  }

  /** Halves the load until the machine carries it; logs that if needed. */
  async #affordable(over: Over): Promise<Rates> {
    await this.#warm(over);
    let rates = ratesOf(PER_SECOND[over]);
    let halvings = 0;
    for (; halvings < MOST_HALVINGS && !(await this.#isCarried(over, rates)); halvings += 1) {
      rates = ratesOf(rates.find / 2);
    }
    if (halvings > 0) console.warn(`${rates.find} calls/s over ${over}: this machine carries no more.`);
    this.#rates.set(over, rates);
    return rates;
  }

  /** Code that runs for the first time may be slow. */
  async #warm(over: Over): Promise<void> {
    const ask = this.#ask(over, this.caller);
    for (let round = 0; round < WARM_UP.rounds; round += 1) {
      const ids = Array.from({ length: WARM_UP.calls }, (_, turn) => `warm-${over}-${round}-${turn}`);
      await Promise.all(ids.map((id) => ask('find', id)));
    }
  }

  /** With a caller of its own, so that an overload costs the tested caller none of its retries. */
  async #isCarried(over: Over, rates: Rates): Promise<boolean> {
    const caller = new Rollcall({ registry: this.url });
    await caller.ready(SERVICE);
    const load = this.#load(over, rates, caller);
    await until('there is enough to judge by', () => load.made >= 0.5 * rates.find);
    const inTime = load.outcomes.filter(({ verb, ms }) => verb === 'book' || ms <= CARRIED.ms).length;
    const isCarried = inTime >= CARRIED.share * load.made - CARRIED_UNDER_WAY;
    await caller.close();
    await load.stop();
    return isCarried;
  }

  #load(over: Over, rates: Rates, caller: Rollcall): OpenLoop {
    this.#loads += 1;
    return new OpenLoop(`${over}-${this.#loads}`, this.#ask(over, caller), rates);
  }

  #ask(over: Over, caller: Rollcall): Ask {
    const wishes = (verb: Verb): OneCall => ({
      version: this.version,
      idempotent: verb === 'find',
      deadlineMs: verb === 'find' ? undefined : this.#bookDeadlineMs,
    });
    if (over === 'tcp') {
      return async (verb, id) => instanceIn(await caller.call(SERVICE, verb, { id }, wishes(verb)));
    }
    return async (verb, id) => {
      const method = verb === 'find' ? 'GET' : 'POST';
      const response = await caller.fetch(SERVICE, `/${verb}?id=${id}`, { method }, wishes(verb));
      if (!response.ok) throw new Error(`HTTP status ${response.status}`);
      return instanceIn(await response.json());
    };
  }

  #read(): readonly Note[] {
    const lines = readFileSync(this.#notes, 'utf8').trimEnd().split('\n');
    return lines.map((line) => {
      const [service = '', verb = '', id = ''] = line.split(' ');
      return { service, verb, id };
    });
  }
}

const ratesOf = (find: number): Rates => ({ find, book: find * BOOKS });

function instanceIn(answer: unknown): string {
  if (typeof answer === 'object' && answer !== null && 'instance' in answer) return String(answer.instance);
  throw new Error(`No answer of ours: ${JSON.stringify(answer)}`);
}

/** Resolves when everything runs and is HEALTHY, in the caller's view too. */
export async function openCallStage(options: CallStageOptions): Promise<CallStage> {
  const registry = startRegistry(options.intervalMs, ['--memory']);
  const stage = new CallStage(registry, await urlOf(registry), options);
  stage.caller.start();
  for (const fault of options.faults ?? WELL) stage.launch(fault);
  await stage.whole();
  return stage;
}
