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

/** What SIGUSR2 turns on: see `programs/worker.mjs`. */
export type WorkerFault = 'slow' | 'unavailable' | 'refuse';
/** See `programs/wire.mjs`. */
export type WireFault = 'half' | 'mute' | 'full';
export type Over = Extract<Protocol, 'tcp' | 'http'>;

export interface CallStageOptions {
  readonly intervalMs: number;
  /** An instance for each, which SIGUSR2 turns on; null: it has none. Default: three without. */
  readonly faults?: readonly (WorkerFault | null)[];
  /** Of a call that must not be repeated. Default: as with every call. */
  readonly bookDeadlineMs?: number;
}

const SERVICE = 'orders';
/** Idempotent calls for each second: what two cores carry beside the processes that answer them. */
const PER_SECOND: Readonly<Record<Over, number>> = { tcp: 1_000, http: 500 };
/** Others beside them, for each of those. */
const BOOKS = 0.2;
/** A machine that is too slow for the load gets half of it, or half of that, and no less. */
const MOST_HALVINGS = 2;
/** It is not, when this share of calls takes no longer, … */
const CARRIED = { share: 0.9, ms: 50 };
/** … but for those that are under way. */
const CARRIED_UNDER_WAY = 20;
const WARM_UP = { rounds: 30, calls: 20 };
/** How long the load goes on before a fault and after it was dealt with, in seconds. */
const CALM_S = 0.7;
const AFTERMATH_S = 0.5;

const WELL: readonly (WorkerFault | null)[] = [null, null, null];

/** A registry, instances of one service in processes of their own, and a caller here. */
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

  /** One more instance. */
  launch(fault: WorkerFault | null = null): Child {
    const more = fault === null ? {} : { FAULT: fault };
    const child = start('worker', [], { ...this.#environment(SERVICE), ...more });
    this.#workers.push(child);
    return child;
  }

  /** One more that speaks the wire's language by itself, HEALTHY. */
  async launchWire(fault: WireFault): Promise<Child> {
    const child = start('wire', [this.url, SERVICE, this.#notes, fault]);
    this.#others.push(child);
    const isHealthy = ({ id, state }: Instance): boolean => id === this.idOf(child) && state === 'HEALTHY';
    await until('the wire is HEALTHY', () => this.caller.service(SERVICE).instances.some(isHealthy));
    return child;
  }

  /** Another service, which listens at `port` as soon as it gets SIGUSR2. */
  async launchTenant(port: number): Promise<Child> {
    const more = { FAULT: 'move-in', PORT: String(port) };
    const child = start('worker', [], { ...this.#environment('tenant'), ...more });
    this.#others.push(child);
    await child.line(/^waiting$/);
    return child;
  }

  /** The workers that live, the oldest first. */
  get living(): readonly Child[] {
    return this.#workers.filter(({ isAlive }) => isAlive);
  }

  /** The record of a process, as soon as it has registered. */
  instanceOf(child: Child): Instance | undefined {
    return this.witness.instances.find(({ metadata }) => metadata['pid'] === String(child.pid));
  }

  /** The id of one that is registered. */
  idOf(child: Child): string {
    return this.instanceOf(child)?.id ?? '';
  }

  portOf(child: Child, over: Over): number {
    return this.instanceOf(child)?.endpoints.find(({ protocol }) => protocol === over)?.port ?? 0;
  }

  /** Every worker that lives is HEALTHY, to the caller too. */
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

  /** As many workers as there were at first, HEALTHY, and nobody else, whatever happened before. */
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

  /** How the caller sees an instance over one protocol. */
  sight(id: string, over: Over): InstanceExplanation | undefined {
    return this.caller
      .explain(SERVICE)
      .protocols.find(({ protocol }) => protocol === over)
      ?.instances.find((one) => one.id === id);
  }

  /** Resolves as soon as so many calls are under way there, which it returns. */
  async busy(id: string, over: Over, calls: number): Promise<number> {
    return until(`${id} has ${calls} calls in hand`, () => {
      const { callsUnderWay = 0 } = this.sight(id, over) ?? {};
      return callsUnderWay >= calls && callsUnderWay;
    });
  }

  /** Resolves as soon as it was called and answered. */
  async met(id: string, over: Over): Promise<void> {
    await until(`${id} answers`, () => (this.sight(id, over)?.lastSuccessMsAgo ?? null) !== null);
  }

  /** Resolves as soon as others are preferred to it, by whatever is known of it, and no call is under way there. */
  async shunned(id: string, over: Over): Promise<void> {
    await until(`${id} gets no calls`, () => {
      const sight = this.sight(id, over);
      return sight !== undefined && sight.callsUnderWay === 0 && (sight.ejected !== null || sight.state !== 'HEALTHY');
    });
  }

  /** Resolves when the load has gone on for so many seconds, as the clock of its calls counts them. */
  async seen(load: OpenLoop, seconds: number): Promise<void> {
    const enough = load.outcomes.length + seconds * (load.rates.find + load.rates.book);
    await until(`${seconds} s of it have been seen`, () => load.outcomes.length >= enough);
  }

  /** Calls go out for a while, then `fault` while they go on, then they go on for a while. */
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
    // stays, also if the run is repeated
    expect.soft(run.misdeeds.slice(0, 10), run.figures).toEqual([]);
    if (!run.isFair)
      console.warn(`How long calls took is not judged: they were made up to ${load.lagMs.toFixed(0)} ms late.`);
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

  /** Halves the load until the machine carries it; says so if that was needed. */
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

  /** Code that runs for the first time is slow, here and there. */
  async #warm(over: Over): Promise<void> {
    const ask = this.#ask(over, this.caller);
    for (let round = 0; round < WARM_UP.rounds; round += 1) {
      const ids = Array.from({ length: WARM_UP.calls }, (_, turn) => `warm-${over}-${round}-${turn}`);
      await Promise.all(ids.map((id) => ask('find', id)));
    }
  }

  /** By somebody of its own, so that what is too much costs the caller none of its retries. */
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

/** Everything runs and is HEALTHY, and the caller knows it. */
export async function openCallStage(options: CallStageOptions): Promise<CallStage> {
  const registry = startRegistry(options.intervalMs, ['--memory']);
  const stage = new CallStage(registry, await urlOf(registry), options);
  stage.caller.start();
  for (const fault of options.faults ?? WELL) stage.launch(fault);
  await stage.whole();
  return stage;
}
