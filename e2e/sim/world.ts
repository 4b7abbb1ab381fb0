import { checkDelay } from '@rollcall/core';
import type { Random, Time, Timer, TimerOptions } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';

/** The initial wall-clock time of the simulation, ms since 1970: September 2026. */
const WALL_MS = 1_790_000_000_000;
/** After this many events the event loop gets its turn, so that the test runner can communicate. */
const EVENTS_PER_TURN = 20_000;

/** A scheduled event. `run` is null once it has run, or was cancelled. */
interface ScheduledEvent {
  readonly at: number;
  readonly sequence: number;
  run: (() => void) | null;
}

/**
 * Virtual time: a heap of (time, sequence). Whatever happens in the simulation is an event here. After each event all
 * promises that it moved settle before the next event, so that a seed and a schedule determine a run.
 */
export class World {
  readonly seed: number;
  /**
   * For the simulation itself; processes have their own, so that one more draw in one of them does not change all
   * others.
   */
  readonly random: Random;
  /** The number of events so far. */
  events = 0;
  readonly #heap: ScheduledEvent[] = [];
  #sequence = 0;
  #nowMs = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
  }

  /** Virtual ms since the beginning. */
  get now(): number {
    return this.#nowMs;
  }

  /** The number of scheduled events, with those that were cancelled and not yet removed. */
  get pending(): number {
    return this.#heap.length;
  }

  /** A generator of its own for one process. */
  fork(): Random {
    return seededRandom(Math.floor(this.random.unit() * 2 ** 53));
  }

  /** Runs `run` in `ms` (≥ 0). */
  after(ms: number, run: () => void): Timer {
    const event: ScheduledEvent = { at: this.#nowMs + ms, sequence: this.#sequence, run };
    this.#sequence += 1;
    this.#put(event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  /** Advances the time by `ms`. Rejects with what an event throws: real code must not throw. */
  pass(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    return new Promise((resolve, reject) => {
      let left = EVENTS_PER_TURN;
      const next = (): void => {
        const event = this.#take(until);
        if (event === null) {
          this.#nowMs = until;
          resolve();
          return;
        }
        try {
          event();
        } catch (error) {
          reject(error);
          return;
        }
        left -= 1;
        if (left > 0) return settle(next);
        left = EVENTS_PER_TURN;
        turn(next);
      };
      settle(next);
    });
  }

  #take(until: number): (() => void) | null {
    for (let first = this.#heap[0]; first !== undefined && first.at <= until; first = this.#heap[0]) {
      this.#shift();
      const { run } = first;
      if (run === null) continue;
      first.run = null;
      this.#nowMs = first.at;
      this.events += 1;
      return run;
    }
    return null;
  }

  #put(added: ScheduledEvent): void {
    let index = this.#heap.push(added) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || isBefore(parent, added)) break;
      this.#heap[index] = parent;
      index = above;
    }
    this.#heap[index] = added;
  }

  /** Removes the first event. */
  #shift(): void {
    const moved = this.#heap.pop();
    if (moved === undefined || this.#heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      if (left === undefined) break;
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (isBefore(moved, child)) break;
      this.#heap[index] = child;
      index = child === left ? 2 * index + 1 : 2 * index + 2;
    }
    this.#heap[index] = moved;
  }
}

const isBefore = (a: ScheduledEvent, b: ScheduledEvent): boolean =>
  a.at < b.at || (a.at === b.at && a.sequence < b.sequence);

/**
 * Calls back when no promise can settle any more. Node runs every microtask, however long their chains, before it looks
 * for another tick; a tick requested from a microtask costs 0.3 µs, a turn of the event loop 10.
 */
function settle(next: () => void): void {
  void Promise.resolve().then(() => process.nextTick(next));
}

/** Calls back in another turn of the event loop. */
function turn(next: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.addEventListener('message', () => {
    port1.close();
    next();
  });
  port1.start();
  port2.postMessage(null);
}

/** A computer: what its processes share. */
export class Machine {
  readonly world: World;
  readonly name: string;
  /** An IP address. */
  readonly address: string;
  isOn = true;
  /** How far its wall clock is off. */
  skewMs = 0;
  readonly processes = new Set<Process>();

  constructor(world: World, name: string, address: string) {
    this.world = world;
    this.name = name;
    this.address = address;
  }
}

/**
 * One process, and the only clock that the code in it sees. Its monotonic time begins anywhere; timers run on whole
 * milliseconds as Node's do, so up to one too early; while it is stopped (SIGSTOP) nothing runs in it, and due timers
 * run when it continues.
 */
export class Process implements Time {
  readonly machine: Machine;
  readonly name: string;
  readonly #originMs: number;
  isAlive = true;
  isStopped = false;
  /** When it last continued after a stop, virtual ms. */
  resumedAt = -Infinity;
  /** When it died, virtual ms; Infinity while it lives. */
  diedAt = Infinity;
  /** Timers that are set and have not run. */
  timers = 0;
  /** Called when it dies, before anything else happens. `hasPower`: the kernel lives on and closes its sockets. */
  onDeath: (hasPower: boolean) => void = () => {};
  #lateTimers: (() => void)[] = [];
  #arrived: (() => void)[] = [];

  constructor(machine: Machine, name: string) {
    this.machine = machine;
    this.name = name;
    this.#originMs = Math.floor(machine.world.random.unit() * 1_000_000);
    machine.processes.add(this);
  }

  get isRunning(): boolean {
    return this.isAlive && !this.isStopped;
  }

  now(): number {
    return this.#originMs + this.machine.world.now;
  }

  wall(): number {
    return WALL_MS + Math.floor(this.machine.world.now) + this.machine.skewMs;
  }

  setTimer(ms: number, run: () => void, _options?: TimerOptions): Timer {
    checkDelay(ms);
    let isOff = false;
    this.timers += 1;
    const off = (): void => {
      if (!isOff) this.timers -= 1;
      isOff = true;
    };
    const due = (): void => {
      if (!this.isAlive || isOff) return;
      if (this.isStopped) {
        this.#lateTimers.push(due);
        return;
      }
      off();
      run();
    };
    const task = this.machine.world.after(Math.max(1, Math.trunc(ms)), due);
    return {
      cancel: () => {
        off();
        task.cancel();
      },
    };
  }

  /** An external event: the process sees it at once, when it continues, or never. */
  deliver(run: () => void): void {
    if (!this.isAlive) return;
    if (this.isStopped) this.#arrived.push(() => this.deliver(run));
    else run();
  }

  /** SIGSTOP. The kernel continues to accept connections and data. */
  stop(): void {
    this.isStopped = true;
  }

  /** SIGCONT: due timers run first, or received events, depending on where it was stopped. */
  resume(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    const { world } = this.machine;
    this.resumedAt = world.now;
    const timersFirst = world.random.unit() < 0.5;
    const waiting = timersFirst ? [...this.#lateTimers, ...this.#arrived] : [...this.#arrived, ...this.#lateTimers];
    this.#lateTimers = [];
    this.#arrived = [];
    for (const run of waiting) world.after(0, run);
  }

  /** SIGKILL, or a power failure. May be called twice. */
  die(hasPower: boolean): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.diedAt = this.machine.world.now;
    this.machine.processes.delete(this);
    this.onDeath(hasPower);
  }
}
