import type { Time, Timer, TimerOptions } from '@rollcall/core';

// The network of a simulated world and the processes at its ends. Nothing here knows a protocol: see simulation-channels.ts.

/** From one moment of a run to another, ms. `toMs` is not part of it; Infinity: to the end of the run. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export function isWithin({ fromMs, toMs }: Span, atMs: number): boolean {
  return atMs >= fromMs && atMs < toMs;
}

/** What happens to the hosts with these numbers, or on the way to them. */
export interface OnHosts extends Span {
  readonly hosts: readonly number[];
}

export type Fault =
  /** Packets take `ms` each way, in place of the usual delay. */
  | ({ readonly kind: 'delay'; readonly ms: number } & OnHosts)
  /** Nothing arrives, in both directions. What was sent meanwhile arrives soon after the end of the cut. */
  | ({ readonly kind: 'cut' } & OnHosts)
  /** The process stands still (SIGSTOP, a long garbage collection). Its kernel accepts connections and keeps what arrives. */
  | ({ readonly kind: 'pause' } & OnHosts)
  /** The process is dead: its connections break, new ones are refused. At `toMs` another process listens there. */
  | ({ readonly kind: 'dead' } & OnHosts)
  /** Each request takes so many times as long. */
  | ({ readonly kind: 'slow'; readonly factor: number } & OnHosts)
  /** Each request is answered at once with "overloaded", and not executed. */
  | ({ readonly kind: 'overloaded'; readonly retryAfterMs: number } & OnHosts)
  /** The event loop of every caller stands still. */
  | ({ readonly kind: 'caller-pause' } & Span);

export type FaultOf<Kind extends Fault['kind']> = Extract<Fault, { readonly kind: Kind }>;

// ---- the event loop of a caller ---------------------------------------------------------------------------------------

/** Between two callbacks of a loop that has fallen behind, ms. */
const CALLBACK_MS = 0.001;

/**
 * The event loop of one process, which may stand still. The clock goes on meanwhile. Afterwards the callbacks that are due run one by
 * one in Node's order: first the timers, then what the sockets hold, then the timers that were set by these.
 */
export class Loop implements Time {
  readonly #time: Time;
  readonly #timers: (() => void)[] = [];
  readonly #sockets: (() => void)[] = [];
  #backlog: (() => void)[] = [];
  #isPaused = false;
  #isBehind = false;

  constructor(time: Time, pauses: readonly Span[]) {
    this.#time = time;
    for (const { fromMs, toMs } of pauses) {
      time.setTimer(fromMs, () => (this.#isPaused = true));
      if (toMs < Infinity) time.setTimer(toMs, () => this.#wake());
    }
  }

  now(): number {
    return this.#time.now();
  }

  wall(): number {
    return this.#time.wall();
  }

  setTimer(ms: number, run: () => void, options?: TimerOptions): Timer {
    let isCancelled = false;
    const ring = (): void => (isCancelled ? undefined : run());
    const timer = this.#time.setTimer(ms, () => this.#enter(this.#timers, ring), options);
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Something has arrived at a socket of the process. */
  deliver(run: () => void): void {
    this.#enter(this.#sockets, run);
  }

  #enter(held: (() => void)[], run: () => void): void {
    if (this.#isPaused) held.push(run);
    else if (this.#isBehind) this.#backlog.push(run);
    else run();
  }

  #wake(): void {
    this.#isPaused = false;
    this.#backlog.push(...this.#timers.splice(0), ...this.#sockets.splice(0));
    if (this.#isBehind) return;
    this.#isBehind = true;
    this.#next();
  }

  #next(): void {
    if (this.#isPaused) {
      // a second pause begins before the first is made up for: what waits keeps its place
      this.#timers.unshift(...this.#backlog.splice(0));
      this.#isBehind = false;
      return;
    }
    const run = this.#backlog.shift();
    this.#isBehind = run !== undefined;
    if (run === undefined) return;
    run();
    this.#time.setTimer(CALLBACK_MS, () => this.#next());
  }
}

// ---- connections --------------------------------------------------------------------------------------------------------

/** What a client sends on a connection. */
export type HostRequest =
  | { readonly kind: 'who'; readonly exchange: number }
  | { readonly kind: 'call'; readonly exchange: number; readonly call: number; readonly remainingMs: number }
  | { readonly kind: 'cancel'; readonly exchange: number };

/** `remote`: the handler ran and refused. `overloaded`: it did not run. */
export type Word =
  | { readonly is: 'answer' | 'remote' }
  | { readonly is: 'overloaded'; readonly retryAfterMs: number }
  | { readonly is: 'who'; readonly id: string };

export interface Answer {
  readonly exchange: number;
  readonly word: Word;
}

/** Who holds the client's end of a connection. */
export interface LineEnd {
  opened(): void;
  heard(answer: Answer): void;
  /** The last word: the peer refused the connection, or it broke. */
  closed(isRefused: boolean): void;
}

/** A host accepts connections and gets what is sent on them. */
export interface Acceptor {
  readonly number: number;
  readonly isUp: boolean;
  accept(line: Line): void;
  take(line: Line, request: HostRequest): void;
  forget(line: Line): void;
}

/** What a kernel sends again arrives so long after the end of a cut, ms: TCP's phases would be chance between two contestants. */
const RESEND_MS = 200;
/** Packets of one direction keep their order. */
const APART_MS = 1e-6;

/** The delays of all ways, and when they are cut. Every caller is equally far from a host. */
export class Network {
  readonly time: Time;
  readonly #usualMs: number;
  readonly #delays: readonly FaultOf<'delay'>[];
  readonly #cuts: readonly FaultOf<'cut'>[];

  /** `usualMs`: each way. */
  constructor(time: Time, usualMs: number, faults: readonly Fault[]) {
    this.time = time;
    this.#usualMs = usualMs;
    this.#delays = faults.filter((fault) => fault.kind === 'delay');
    this.#cuts = faults.filter((fault) => fault.kind === 'cut');
  }

  delayMs(host: number, atMs: number): number {
    return this.#delays.find((one) => isWithin(one, atMs) && one.hosts.includes(host))?.ms ?? this.#usualMs;
  }

  isCut(host: number, atMs: number): boolean {
    return this.#cuts.some((one) => isWithin(one, atMs) && one.hosts.includes(host));
  }

  /** When a packet that is sent now arrives; Infinity: never. */
  arrivalAt(host: number): number {
    let sentAt = this.time.now();
    for (const cut of this.#cuts) {
      if (isWithin(cut, sentAt) && cut.hosts.includes(host)) sentAt = cut.toMs + RESEND_MS;
    }
    return sentAt + this.delayMs(host, sentAt);
  }
}

/** One TCP connection of a caller to a host. It begins to open when it is made. */
export class Line {
  readonly #network: Network;
  readonly #loop: Loop;
  readonly #host: Acceptor;
  readonly #end: LineEnd;
  #lastThereAt = 0;
  #lastBackAt = 0;
  /** By the client, or the client was told that it is. */
  #isClosed = false;

  constructor(network: Network, loop: Loop, host: Acceptor, end: LineEnd) {
    this.#network = network;
    this.#loop = loop;
    this.#host = host;
    this.#end = end;
    this.#there(() => {
      if (!host.isUp) return this.hangUp(true);
      host.accept(this);
      this.#back(() => end.opened());
    });
  }

  /** Used by the client. */
  send(request: HostRequest): void {
    this.#there(() => this.#host.take(this, request));
  }

  /** The client has no use for it any more, and hears nothing more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#there(() => this.#host.forget(this));
  }

  /** Used by the host. */
  answer(answer: Answer): void {
    this.#back(() => this.#end.heard(answer));
  }

  /** Used by the host: the connection breaks, or was never made. */
  hangUp(isRefused: boolean): void {
    this.#back(() => {
      this.#isClosed = true;
      this.#end.closed(isRefused);
    });
  }

  #there(run: () => void): void {
    this.#lastThereAt = Math.max(this.#lastThereAt + APART_MS, this.#network.arrivalAt(this.#host.number));
    this.#at(this.#lastThereAt, run);
  }

  #back(run: () => void): void {
    this.#lastBackAt = Math.max(this.#lastBackAt + APART_MS, this.#network.arrivalAt(this.#host.number));
    this.#at(this.#lastBackAt, () => this.#loop.deliver(() => (this.#isClosed ? undefined : run())));
  }

  #at(atMs: number, run: () => void): void {
    const { time } = this.#network;
    if (atMs < Infinity) time.setTimer(Math.max(0, atMs - time.now()), run);
  }
}
