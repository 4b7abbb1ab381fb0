import type { Time } from '@rollcall/core';
import { isWithin } from './network.js';
import type { Acceptor, Fault, FaultOf, Line, HostRequest, Outcome } from './network.js';

/** The work that the processes of a world do for a call: its amount, and its result. */
export interface Work {
  /** Time that the handler takes for the call with this number. */
  readonly ms: number;
  readonly outcome: 'answer' | 'remote';
}

export interface HostParts {
  readonly number: number;
  readonly time: Time;
  /** Requests that the process handles at once; the others queue in order. */
  readonly workers: number;
  readonly faults: readonly Fault[];
  workOf(call: number): Work;
  /** Called when the handler starts to run for the call with this number. */
  executed(call: number): void;
}

interface Job {
  readonly line: Line;
  readonly exchange: number;
  readonly call: number;
  readonly expiresAt: number;
}

/** The id of the process that listens on a host after `deaths` deaths. */
export function processId(host: number, deaths: number): string {
  return `host-${host}-${deaths}`;
}

/** One address, its kernel, and the process that listens there. */
export class Host implements Acceptor {
  readonly number: number;
  isUp = true;
  #deaths = 0;
  readonly #parts: HostParts;
  readonly #slow: readonly FaultOf<'slow'>[];
  readonly #overloaded: readonly FaultOf<'overloaded'>[];
  readonly #lines = new Set<Line>();
  #queue: Job[] = [];
  #busy = 0;
  /** Work that is deferred while the process is paused. */
  #held: (() => void)[] = [];
  #isPaused = false;

  constructor(parts: HostParts) {
    this.number = parts.number;
    this.#parts = parts;
    const hostFaults = parts.faults.filter(
      (fault) => fault.kind !== 'caller-pause' && fault.hosts.includes(parts.number),
    );
    this.#slow = hostFaults.filter((fault) => fault.kind === 'slow');
    this.#overloaded = hostFaults.filter((fault) => fault.kind === 'overloaded');
    for (const fault of hostFaults) {
      if (fault.kind === 'pause')
        this.#plan(
          fault,
          () => (this.#isPaused = true),
          () => this.#resume(),
        );
      if (fault.kind === 'dead')
        this.#plan(
          fault,
          () => this.#crash(),
          () => (this.isUp = true),
        );
    }
  }

  get id(): string {
    return processId(this.number, this.#deaths);
  }

  accept(line: Line): void {
    this.#lines.add(line);
  }

  forget(line: Line): void {
    this.#lines.delete(line);
  }

  take(line: Line, request: HostRequest): void {
    // a dead process has reset its connections already: drop what still arrives on them
    if (this.#lines.has(line)) this.#do(() => this.#handle(line, request));
  }

  #plan({ fromMs, toMs }: Fault, begin: () => void, end: () => void): void {
    this.#parts.time.setTimer(fromMs, begin);
    if (toMs < Infinity) this.#parts.time.setTimer(toMs, end);
  }

  #do(run: () => void): void {
    if (this.#isPaused) this.#held.push(run);
    else run();
  }

  #resume(): void {
    this.#isPaused = false;
    for (const run of this.#held.splice(0)) run();
  }

  #crash(): void {
    this.isUp = false;
    this.#deaths += 1;
    this.#queue = [];
    this.#held = [];
    this.#busy = 0;
    for (const line of this.#lines) line.hangUp(false);
    this.#lines.clear();
  }

  #handle(line: Line, request: HostRequest): void {
    const now = this.#parts.time.now();
    const { exchange } = request;
    if (request.kind === 'identity') return line.answer({ exchange, outcome: { is: 'identity', id: this.id } });
    if (request.kind === 'cancel') {
      this.#queue = this.#queue.filter((job) => job.line !== line || job.exchange !== exchange);
      return;
    }
    const overload = this.#overloaded.find((fault) => isWithin(fault, now));
    if (overload !== undefined) {
      const { retryAfterMs } = overload;
      return line.answer({ exchange, outcome: { is: 'overloaded', retryAfterMs } });
    }
    const job = { line, exchange, call: request.call, expiresAt: now + request.remainingMs };
    if (this.#busy < this.#parts.workers) this.#start(job);
    else this.#queue.push(job);
  }

  #start({ line, exchange, call }: Job): void {
    const { time } = this.#parts;
    const work = this.#parts.workOf(call);
    const deaths = this.#deaths;
    const factor = this.#slow.find((fault) => isWithin(fault, time.now()))?.factor ?? 1;
    const outcome: Outcome = { is: work.outcome };
    this.#busy += 1;
    this.#parts.executed(call);
    time.setTimer(work.ms * factor, () => {
      if (deaths !== this.#deaths) return;
      this.#do(() => {
        this.#busy -= 1;
        line.answer({ exchange, outcome });
        this.#next();
      });
    });
  }

  /** A request whose deadline has passed is refused before its handler runs: its caller does not wait any more. */
  #next(): void {
    const now = this.#parts.time.now();
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      if (job.expiresAt > now) return this.#start(job);
    }
  }
}
