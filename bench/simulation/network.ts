import type { Time, Timer, TimerOptions } from '@rollcall/core';

// The network of a simulated world and the processes at its ends. It is independent of protocols: see channels.ts.

/** An interval of a run, ms. `toMs` is exclusive; Infinity: until the end of the run. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export function isWithin({ fromMs, toMs }: Span, atMs: number): boolean {
  return atMs >= fromMs && atMs < toMs;
}

/** A fault of the hosts with these numbers, or of the network to them. */
export interface OnHosts extends Span {
  readonly hosts: readonly number[];
}

export type Fault =
  /** Packets take `ms` each way instead of the usual delay. */
  | ({ readonly kind: 'delay'; readonly ms: number } & OnHosts)
  /** Packets are lost in both directions; they are sent again soon after the end of the cut. */
  | ({ readonly kind: 'cut' } & OnHosts)
  /**
   * The process is stopped (SIGSTOP, a long garbage collection). Its kernel accepts connections and buffers what
   * arrives.
   */
  | ({ readonly kind: 'pause' } & OnHosts)
  /** The process is dead: its connections break, new ones are refused. At `toMs` another process listens there. */
  | ({ readonly kind: 'dead' } & OnHosts)
  /** Each request takes `factor` times as long. */
  | ({ readonly kind: 'slow'; readonly factor: number } & OnHosts)
  /** Each request is answered at once with "overloaded", without execution. */
  | ({ readonly kind: 'overloaded'; readonly retryAfterMs: number } & OnHosts)
  /** The event loop of every caller is blocked. */
  | ({ readonly kind: 'caller-pause' } & Span);

export type FaultOf<Kind extends Fault['kind']> = Extract<Fault, { readonly kind: Kind }>;

// ---- the event loop of a caller -------------------------------------------------------------------------------------

/** Time between two callbacks of a loop that catches up, ms. */
const CALLBACK_MS = 0.001;

/**
 * The event loop of one process, which may be blocked while the clock goes on. Afterwards the callbacks that are due
 * run one by one in Node's order: first the timers, then the data of the sockets, then the timers that these have set.
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

  /** Delivers data to a socket of the process. */
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
      // a second pause begins before the loop has caught up with the first: the callbacks keep their place
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

// ---- connections ----------------------------------------------------------------------------------------------------

/** A request of a client on a connection. */
export type HostRequest =
  | { readonly kind: 'identity'; readonly exchange: number }
  | { readonly kind: 'call'; readonly exchange: number; readonly call: number; readonly remainingMs: number }
  | { readonly kind: 'cancel'; readonly exchange: number };

/** `remote`: the handler ran and returned an error. `overloaded`: it did not run. */
export type Outcome =
  | { readonly is: 'answer' | 'remote' }
  | { readonly is: 'overloaded'; readonly retryAfterMs: number }
  | { readonly is: 'identity'; readonly id: string };

export interface Answer {
  readonly exchange: number;
  readonly outcome: Outcome;
}

/** The client’s end of a connection. */
export interface LineEnd {
  opened(): void;
  received(answer: Answer): void;
  /** Called last: the peer refused the connection, or it broke. */
  closed(isRefused: boolean): void;
}

/** A host that accepts connections and gets the requests on them. */
export interface Acceptor {
  readonly number: number;
  readonly isUp: boolean;
  accept(line: Line): void;
  take(line: Line, request: HostRequest): void;
  forget(line: Line): void;
}

/**
 * Delay of a resent packet after the end of a cut, ms. Fixed, since the phases of TCP would be chance between two
 * callers.
 */
const RESEND_MS = 200;
/** Minimum distance of two packets of one direction, which keeps them in order. */
const APART_MS = 1e-6;

/** The delays and cuts of all paths. Every caller has the same distance from a host. */
export class Network {
  readonly time: Time;
  readonly #usualMs: number;
  readonly #delays: readonly FaultOf<'delay'>[];
  readonly #cuts: readonly FaultOf<'cut'>[];

  /** `usualMs`: the delay each way. */
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

  /** The arrival time of a packet that is sent now; Infinity: never. */
  arrivalAt(host: number): number {
    let sentAt = this.time.now();
    for (const cut of this.#cuts) {
      if (isWithin(cut, sentAt) && cut.hosts.includes(host)) sentAt = cut.toMs + RESEND_MS;
    }
    return sentAt + this.delayMs(host, sentAt);
  }
}

/** One TCP connection of a caller to a host. It starts to open when it is created. */
export class Line {
  readonly #network: Network;
  readonly #loop: Loop;
  readonly #host: Acceptor;
  readonly #end: LineEnd;
  #lastThereAt = 0;
  #lastBackAt = 0;
  /** Closed by the client, or the client was notified that it is closed. */
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

  /** Called by the client. */
  send(request: HostRequest): void {
    this.#there(() => this.#host.take(this, request));
  }

  /** The client closes the connection and gets no further callbacks. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#there(() => this.#host.forget(this));
  }

  /** Called by the host. */
  answer(answer: Answer): void {
    this.#back(() => this.#end.received(answer));
  }

  /** Called by the host: the connection breaks, or is refused. */
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
