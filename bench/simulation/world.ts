import type { Random, State, Time } from '@rollcall/core';
import { Host } from './host.js';
import { isWithin, Loop, Network } from './network.js';
import type { Fault } from './network.js';
import { Chance } from './simulation.js';
import type { SimulatedTime } from './simulation.js';

// Whole worlds as plain data: processes, the network between them, the catalog of a registry, and the calls.
// `simulation.ts` measures the quality of calls among servers with queues; this file shows whether a call is lost that
// a bare client would have made.

/** A process as the registry reports it: the one that listens on the host after `deaths` deaths. */
export interface Listed {
  readonly host: number;
  readonly deaths: number;
  readonly state: State;
}

/** The message that every caller gets from the registry at a time. `list`: all known instances. */
export type CatalogEntry =
  | { readonly atMs: number; readonly kind: 'list'; readonly instances: readonly Listed[] }
  /** The registry has settled and does not know the service. */
  | { readonly atMs: number; readonly kind: 'unknown' }
  /** The registry is unreachable: callers keep their copy. */
  | { readonly atMs: number; readonly kind: 'lost' };

/** Calls of one kind. */
export interface Traffic {
  readonly fromMs: number;
  readonly toMs: number;
  /** Calls in exponential gaps, each from any caller. */
  readonly perSecond?: number;
  /** The number of calls at `fromMs`, all from one caller. */
  readonly atOnce?: number;
  readonly method: string;
  readonly deadlineMs: number;
  /** True if the caller may repeat the method. */
  readonly isIdempotent: boolean;
  /** The mean duration of the handler, ms. */
  readonly workMs: number;
  /** True: every call takes the mean. Else the durations are lognormal with sigma 0.5. */
  readonly isSteady?: boolean;
  /** True: the handler ends with an error of its own. */
  readonly isRefused?: boolean;
}

export interface World {
  readonly hosts: number;
  /** Requests that a process handles at once. */
  readonly workers: number;
  readonly callers: number;
  /** The network delay each way, ms. */
  readonly delayMs: number;
  readonly seconds: number;
  readonly faults: readonly Fault[];
  readonly catalog: readonly CatalogEntry[];
  readonly loads: readonly Traffic[];
  /** True if the load exceeds the capacity for a while: then refusing some of it is not a guess. */
  readonly isShort?: boolean;
  /** The client option `calls`, in worlds that need other values than the defaults. */
  readonly options?: object;
}

/** One call of a world. It is the same for every client. */
export interface PlannedCall {
  readonly number: number;
  readonly atMs: number;
  readonly caller: number;
  readonly load: Traffic;
  readonly workMs: number;
}

/** How a call ended for its caller. */
export interface Ending {
  /** `success`, or the code of the error. */
  readonly code: string;
  /** How each attempt ended, in order. */
  readonly attempts: readonly string[];
}

/** One process that calls. */
export interface WorldCaller {
  /** Resolves when it can make calls: a library is loaded. The clock stands still meanwhile. */
  ready(): Promise<void>;
  /** `ended` is called once. */
  call(planned: PlannedCall, ended: (ending: Ending) => void): void;
  close(): Promise<void>;
}

/** The parameters with which a caller is created. */
export interface WorldSite {
  readonly world: World;
  readonly number: number;
  readonly loop: Loop;
  readonly random: Random;
  readonly network: Network;
  readonly hosts: readonly Host[];
}

/** Creates callers: one way to make calls. */
export interface WorldClient {
  /**
   * Lets pending work of the caller proceed between two events. Null: nothing it starts needs a turn of the event loop.
   */
  readonly turn: (() => Promise<void>) | null;
  caller(site: WorldSite): WorldCaller;
}

/** The result of one call. */
export interface CallRecord extends Ending {
  readonly planned: PlannedCall;
  /** ms of the run; a call of a paused caller begins when the pause ends. */
  readonly beganMs: number;
  /** Infinity: it never ended. */
  readonly endedMs: number;
  /** How often its handler ran. */
  readonly executions: number;
}

const SIGMA = 0.5;
/** A run ends this long after the last deadline, ms. */
const AFTER_MS = 1_000;
/**
 * Upper bound for the chain of promises between two events; the longest is a batch of frames
 * (transport/tcp-connection.ts).
 */
const TURNS = 40;

/** Lets code proceed that waits for promises alone. */
export async function settlePromises(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await Promise.resolve();
}

/** All calls of a world, in order of time. */
export function callsOf(world: World, random: Random): readonly PlannedCall[] {
  const chance = new Chance(random);
  const calls: Omit<PlannedCall, 'number'>[] = [];
  for (const load of world.loads) {
    const workMs = (): number => (load.isSteady === true ? load.workMs : chance.lognormal(load.workMs, SIGMA));
    const caller = (): number => Math.floor(chance.unit() * world.callers);
    const one = caller();
    for (let i = 0; i < (load.atOnce ?? 0); i += 1)
      calls.push({ atMs: load.fromMs, caller: one, load, workMs: workMs() });
    const gapMs = 1_000 / (load.perSecond ?? 0);
    if (gapMs === Infinity) continue;
    for (let atMs = load.fromMs + chance.exponential(gapMs); atMs < load.toMs; atMs += chance.exponential(gapMs)) {
      calls.push({ atMs, caller: caller(), load, workMs: workMs() });
    }
  }
  return calls.toSorted((one, other) => one.atMs - other.atMs).map((call, number) => ({ ...call, number }));
}

export interface RunParts {
  readonly time: SteppedTime;
  readonly random: Random;
}

/** A clock that is moved by hand from event to event. */
export interface SteppedTime extends SimulatedTime {
  nextAt(): number | null;
}

/**
 * Runs a world without waiting: the same run for the same random numbers. It has the clock, which starts at 0, for
 * itself.
 */
export async function live(
  world: World,
  client: WorldClient,
  { time, random }: RunParts,
): Promise<readonly CallRecord[]> {
  const calls = callsOf(world, random);
  const executions = new Uint32Array(calls.length);
  const network = new Network(time, world.delayMs, world.faults);
  const hosts = Array.from({ length: world.hosts }, (_, number) => hostOf(number, { world, time, calls, executions }));
  const pauses = world.faults.filter((fault) => fault.kind === 'caller-pause');
  const callers = Array.from({ length: world.callers }, (_, number) => {
    const loop = new Loop(time, pauses);
    return { loop, caller: client.caller({ world, number, loop, random, network, hosts }) };
  });
  await Promise.all(callers.map(({ caller }) => caller.ready()));
  const begun = new Map<PlannedCall, number>();
  const ended = new Map<PlannedCall, Ending & { readonly endedMs: number }>();
  schedule(calls, time, (planned) => {
    const at = callers[planned.caller];
    // a call is caused by data that arrived at a socket of its caller
    at?.loop.deliver(() => {
      begun.set(planned, time.now());
      at.caller.call(planned, (ending) => {
        if (ended.has(planned)) throw new Error(`The call ${planned.number} ended twice.`);
        ended.set(planned, { ...ending, endedMs: time.now() });
      });
    });
  });
  await advance(time, endOf(world), client.turn);
  // a call that ends only because its caller is closed has never ended
  const endings = new Map(ended);
  await Promise.all(callers.map(({ caller }) => caller.close()));
  return calls.map((planned) => ({
    planned,
    beganMs: begun.get(planned) ?? planned.atMs,
    ...(endings.get(planned) ?? NEVER_ENDED),
    executions: executions[planned.number] ?? 0,
  }));
}

const NEVER_ENDED = { code: 'NONE', attempts: [], endedMs: Infinity };

/** Keeps one timer at a time: thousands of them would be sorted repeatedly. */
function schedule(calls: readonly PlannedCall[], time: Time, make: (planned: PlannedCall) => void): void {
  let place = 0;
  const next = (): void => {
    for (let planned = calls[place]; planned !== undefined; planned = calls[place]) {
      if (planned.atMs > time.now()) return void time.setTimer(planned.atMs - time.now(), next);
      place += 1;
      make(planned);
    }
  };
  next();
}

interface HostSetting {
  readonly world: World;
  readonly time: Time;
  readonly calls: readonly PlannedCall[];
  readonly executions: Uint32Array;
}

function hostOf(number: number, { world, time, calls, executions }: HostSetting): Host {
  return new Host({
    number,
    time,
    workers: world.workers,
    faults: world.faults,
    workOf: (call) => {
      const planned = calls[call];
      return { ms: planned?.workMs ?? 0, outcome: planned?.load.isRefused === true ? 'remote' : 'answer' };
    },
    executed: (call) => (executions[call] = (executions[call] ?? 0) + 1),
  });
}

function endOf({ loads, faults, seconds }: World): number {
  const longestMs = Math.max(0, ...loads.map(({ deadlineMs }) => deadlineMs));
  const wakeMs = Math.max(0, ...faults.filter(({ kind }) => kind === 'caller-pause').map(({ toMs }) => toMs));
  return Math.max(1_000 * seconds, wakeMs) + longestMs + AFTER_MS;
}

async function advance(time: SteppedTime, untilMs: number, turn: WorldClient['turn']): Promise<void> {
  if (turn === null) return time.advance(untilMs - time.now());
  for (let at = time.nextAt(); at !== null && at <= untilMs; at = time.nextAt()) {
    // the sum of both may be slightly less than `at`
    time.advance(Math.max(0, at - time.now()) + 1e-9);
    await turn();
  }
}

/** True if a new request to the host could be answered at that time, as far as faults go. */
export function isServing(world: World, host: number, atMs: number): boolean {
  return !world.faults.some((fault) => {
    if (fault.kind === 'caller-pause' || !isWithin(fault, atMs) || !fault.hosts.includes(host)) return false;
    return fault.kind === 'cut' || fault.kind === 'pause' || fault.kind === 'dead' || fault.kind === 'overloaded';
  });
}
