import type { Random, State, Time } from '@rollcall/core';
import { Host } from './host.js';
import { isWithin, Loop, Network } from './network.js';
import type { Fault } from './network.js';
import { Chance } from './simulation.js';
import type { SimulatedTime } from './simulation.js';

// Whole worlds: processes, the network between them, a registry's word about them, and what callers ask, as plain data. `simulation.ts`
// asks how good calls are among servers with queues; here it is whether a call is lost that a bare client would have made.

/** What the registry says of a process: the one that listens at the host after so many deaths. */
export interface Listed {
  readonly host: number;
  readonly deaths: number;
  readonly state: State;
}

/** What every caller hears at a moment. `list`: all that the registry knows. */
export type CatalogWord =
  | { readonly atMs: number; readonly says: 'list'; readonly instances: readonly Listed[] }
  /** The registry is settled and knows no such service. */
  | { readonly atMs: number; readonly says: 'unknown' }
  /** The registry is gone: the copy stays. */
  | { readonly atMs: number; readonly says: 'lost' };

/** Calls of one kind. */
export interface Traffic {
  readonly fromMs: number;
  readonly toMs: number;
  /** In exponential gaps, from any caller. */
  readonly perSecond?: number;
  /** So many at `fromMs`, all from one caller. */
  readonly atOnce?: number;
  readonly method: string;
  readonly deadlineMs: number;
  /** Is the caller told that the method may be repeated? */
  readonly isIdempotent: boolean;
  /** The mean time that a handler takes. */
  readonly workMs: number;
  /** Do all take as long? Else the times are lognormal with sigma 0.5. */
  readonly isSteady?: boolean;
  /** The handler's last word is an error of its own. */
  readonly isRefused?: boolean;
}

export interface World {
  readonly hosts: number;
  /** Requests that a process works on at once. */
  readonly workers: number;
  readonly callers: number;
  /** Each way. */
  readonly delayMs: number;
  readonly seconds: number;
  readonly faults: readonly Fault[];
  readonly catalog: readonly CatalogWord[];
  readonly loads: readonly Traffic[];
  /** Is more asked than can be served, for a while? Then it is no guess to refuse some of it. */
  readonly isShort?: boolean;
  /** The client's option `calls`, where a world needs others than the defaults. */
  readonly options?: object;
}

/** One call of a world. It is the same for every contestant. */
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
  /** Resolves when it can call: a library is loaded. The clock stands still meanwhile. */
  ready(): Promise<void>;
  /** `ended` comes once. */
  call(planned: PlannedCall, ended: (ending: Ending) => void): void;
  close(): Promise<void>;
}

/** What a caller is made of. */
export interface WorldSite {
  readonly world: World;
  readonly number: number;
  readonly loop: Loop;
  readonly random: Random;
  readonly network: Network;
  readonly hosts: readonly Host[];
}

/** A way to call. */
export interface WorldClient {
  /** Lets what the caller has begun get on, between two events. Null: it begins nothing that waits for a turn of the event loop. */
  readonly turn: (() => Promise<void>) | null;
  caller(site: WorldSite): WorldCaller;
}

/** What became of one call. */
export interface CallRecord extends Ending {
  readonly planned: PlannedCall;
  /** ms of the run; a call whose caller stood still begins when it goes on. */
  readonly beganMs: number;
  /** Infinity: it never ended. */
  readonly endedMs: number;
  /** How often its handler ran. */
  readonly executions: number;
}

const SIGMA = 0.5;
/** So long after the last deadline a run is over. */
const AFTER_MS = 1_000;
/** Chains of promises between two events are not longer; the longest is a batch of frames (transport/tcp-connection.ts). */
const TURNS = 40;

/** A turn for whoever waits for promises alone. */
export async function settlePromises(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await Promise.resolve();
}

/** All that is asked in a world, by time. */
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

/** A clock that is moved by hand, from event to event. */
export interface SteppedTime extends SimulatedTime {
  nextAt(): number | null;
}

/** Plays a world: the same run for the same chance, in no time. The world has the clock for itself, which begins at 0. */
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
  atTheirTimes(calls, time, (planned) => {
    const at = callers[planned.caller];
    // what makes a caller call has arrived at one of its sockets
    at?.loop.deliver(() => {
      begun.set(planned, time.now());
      at.caller.call(planned, (ending) => {
        if (ended.has(planned)) throw new Error(`The call ${planned.number} ended twice.`);
        ended.set(planned, { ...ending, endedMs: time.now() });
      });
    });
  });
  await advance(time, endOf(world), client.turn);
  // what ends only because its caller is closed has never ended
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

/** One timer at a time: thousands of them would be sorted in again and again. */
function atTheirTimes(calls: readonly PlannedCall[], time: Time, make: (planned: PlannedCall) => void): void {
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
      return { ms: planned?.workMs ?? 0, word: planned?.load.isRefused === true ? 'remote' : 'answer' };
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
    // the sum of both may be a hair less than `at`
    time.advance(Math.max(0, at - time.now()) + 1e-9);
    await turn();
  }
}

/** Could a new request to the host be answered at that time, as far as faults go? */
export function isServing(world: World, host: number, atMs: number): boolean {
  return !world.faults.some((fault) => {
    if (fault.kind === 'caller-pause' || !isWithin(fault, atMs) || !fault.hosts.includes(host)) return false;
    return fault.kind === 'cut' || fault.kind === 'pause' || fault.kind === 'dead' || fault.kind === 'overloaded';
  });
}
