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
export interface HostSpan extends Span {
  readonly hosts: readonly number[];
}

export type Fault =
  /** Packets take `ms` each way instead of the usual delay. */
  | ({ readonly kind: 'delay'; readonly ms: number } & HostSpan)
  /** Packets are lost in both directions; they are sent again soon after the end of the cut. */
  | ({ readonly kind: 'cut' } & HostSpan)
  /**
   * The process is stopped (SIGSTOP, a long garbage collection). Its kernel accepts connections and buffers what
   * arrives.
   */
  | ({ readonly kind: 'pause' } & HostSpan)
  /** The process is dead: its connections break, new ones are refused. At `toMs` another process listens there. */
  | ({ readonly kind: 'dead' } & HostSpan)
  /** Each request takes `factor` times as long. */
  | ({ readonly kind: 'slow'; readonly factor: number } & HostSpan)
  /** Each request is answered at once with "overloaded", without execution. */
  | ({ readonly kind: 'overloaded'; readonly retryAfterMs: number } & HostSpan)
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
      if (toMs < Infinity) time.setTimer(toMs, () => this.#resume());
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
    const runUnlessCancelled = (): void => (isCancelled ? undefined : run());
    const timer = this.#time.setTimer(ms, () => this.#runOrHold(this.#timers, runUnlessCancelled), options);
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Delivers data to a socket of the process. */
  deliver(run: () => void): void {
    this.#runOrHold(this.#sockets, run);
  }

  #runOrHold(held: (() => void)[], run: () => void): void {
    if (this.#isPaused) held.push(run);
    else if (this.#isBehind) this.#backlog.push(run);
    else run();
  }

  #resume(): void {
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
export type ReplyContent =
  | { readonly is: 'answer' | 'remote' }
  | { readonly is: 'overloaded'; readonly retryAfterMs: number }
  | { readonly is: 'identity'; readonly id: string };

export interface Answer {
  readonly exchange: number;
  readonly content: ReplyContent;
}

/** The client’s end of a connection. */
export interface ConnectionEnd {
  opened(): void;
  received(answer: Answer): void;
  /** Called last: the peer refused the connection, or it broke. */
  closed(isRefused: boolean): void;
}

/** A host that accepts connections and gets the requests on them. */
export interface Acceptor {
  readonly number: number;
  readonly isUp: boolean;
  accept(connection: Connection): void;
  receive(connection: Connection, request: HostRequest): void;
  forget(connection: Connection): void;
}

/**
 * Delay of a resent packet after the end of a cut, ms. Fixed, since the phases of TCP would be chance between two
 * callers.
 */
const RESEND_MS = 200;
/** Minimum distance of two packets of one direction, which keeps them in order. */
const MIN_GAP_MS = 1e-6;

/** The delays and cuts of all paths. Every caller has the same distance from a host. */
export class Network {
  readonly time: Time;
  readonly #defaultDelayMs: number;
  readonly #delays: readonly FaultOf<'delay'>[];
  readonly #cuts: readonly FaultOf<'cut'>[];

  /** `defaultDelayMs`: the delay each way. */
  constructor(time: Time, defaultDelayMs: number, faults: readonly Fault[]) {
    this.time = time;
    this.#defaultDelayMs = defaultDelayMs;
    this.#delays = faults.filter((fault) => fault.kind === 'delay');
    this.#cuts = faults.filter((fault) => fault.kind === 'cut');
  }

  delayMs(host: number, atMs: number): number {
    return this.#delays.find((one) => isWithin(one, atMs) && one.hosts.includes(host))?.ms ?? this.#defaultDelayMs;
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
export class Connection {
  readonly #network: Network;
  readonly #loop: Loop;
  readonly #host: Acceptor;
  readonly #end: ConnectionEnd;
  #lastThereAt = 0;
  #lastBackAt = 0;
  /** Closed by the client, or the client was notified that it is closed. */
  #isClosed = false;

  constructor(network: Network, loop: Loop, host: Acceptor, end: ConnectionEnd) {
    this.#network = network;
    this.#loop = loop;
    this.#host = host;
    this.#end = end;
    this.#sendToHost(() => {
      if (!host.isUp) return this.reset(true);
      host.accept(this);
      this.#sendToClient(() => end.opened());
    });
  }

  /** Called by the client. */
  send(request: HostRequest): void {
    this.#sendToHost(() => this.#host.receive(this, request));
  }

  /** The client closes the connection and gets no further callbacks. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sendToHost(() => this.#host.forget(this));
  }

  /** Called by the host. */
  answer(answer: Answer): void {
    this.#sendToClient(() => this.#end.received(answer));
  }

  /** Called by the host: the connection breaks, or is refused. */
  reset(isRefused: boolean): void {
    this.#sendToClient(() => {
      this.#isClosed = true;
      this.#end.closed(isRefused);
    });
  }

  #sendToHost(run: () => void): void {
    this.#lastThereAt = Math.max(this.#lastThereAt + MIN_GAP_MS, this.#network.arrivalAt(this.#host.number));
    this.#schedule(this.#lastThereAt, run);
  }

  #sendToClient(run: () => void): void {
    this.#lastBackAt = Math.max(this.#lastBackAt + MIN_GAP_MS, this.#network.arrivalAt(this.#host.number));
    this.#schedule(this.#lastBackAt, () => this.#loop.deliver(() => (this.#isClosed ? undefined : run())));
  }

  #schedule(atMs: number, run: () => void): void {
    const { time } = this.#network;
    if (atMs < Infinity) time.setTimer(Math.max(0, atMs - time.now()), run);
  }
}
