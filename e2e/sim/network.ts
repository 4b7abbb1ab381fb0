import { addressOf } from '@rollcall/core';
import type { Timer } from '@rollcall/core';
import type { PathFaults } from './path-faults.js';
import { Machine, Process } from './world.js';
import type { World } from './world.js';

/** Linux: the waits before a SYN that was not answered is sent again. */
const SYN_RETRY_MS = [1_000, 2_000, 4_000, 8_000, 16_000];
const FIRST_RESEND_MS = 200;
/** Linux waits up to two minutes; here less, so that a run need not last so long. */
const MAX_RESEND_MS = 30_000;
/** Linux, `tcp_retries2`: after this the kernel reports the connection as broken. */
const BREAK_AFTER_MS = 924_600;
/** A kernel closes the sockets of a dead process one after another; after this all are closed. */
export const DYING_MS = 4;

/** Opens a connection. One of the two callbacks is called, once. */
export interface Dialer {
  opened(end: End): void;
  /** Refused, or unanswered until the kernel gave up. */
  failed(isRefused: boolean, text: string): void;
}

type Accept = (end: End) => void;

/** A listening port: several processes (cluster workers) get the connections in turns. */
interface ListeningPort {
  readonly listeners: { readonly process: Process; readonly accept: Accept }[];
  turn: number;
}

/** Machines and their TCP connections. Data is never lost or reordered, only late; lost packets are sent again. */
export class Network {
  readonly world: World;
  readonly #machines = new Map<string, Machine>();
  readonly #paths = new Map<Machine, Map<Machine, PathFaults>>();
  readonly #listening = new Map<string, ListeningPort>();
  readonly #ends = new Map<Process, Set<End>>();

  constructor(world: World) {
    this.world = world;
  }

  machine(name: string, address: string): Machine {
    const known = this.#machines.get(address);
    if (known !== undefined) return known;
    const made = new Machine(this.world, name, address);
    this.#machines.set(address, made);
    return made;
  }

  path(from: Machine, to: Machine): PathFaults {
    const known = this.#paths.get(from)?.get(to);
    if (known !== undefined) return known;
    const paths = this.#paths.get(from) ?? new Map<Machine, PathFaults>();
    this.#paths.set(from, paths);
    const made: PathFaults = { cut: 0, blocked: 0, refused: 0, lossRatio: 0, delayMs: 0 };
    paths.set(to, made);
    return made;
  }

  /** Starts a process: its sockets close when it dies. */
  spawn(machine: Machine, name: string): Process {
    const process = new Process(machine, name);
    this.#ends.set(process, new Set());
    process.onDeath = (hasPower) => this.#bury(process, hasPower);
    return process;
  }

  /** Power off: nothing is closed, everything is lost. */
  powerOff(machine: Machine): void {
    machine.isOn = false;
    for (const process of machine.processes) process.die(false);
  }

  /** Throws when the port is taken, unless it is `shared`. */
  listen(process: Process, port: number, accept: Accept, shared = false): void {
    const key = addressOf({ host: process.machine.address, port });
    const listening = this.#listening.get(key) ?? { listeners: [], turn: 0 };
    if (listening.listeners.length > 0 && !shared) throw new Error(`listen EADDRINUSE: address already in use ${key}`);
    listening.listeners.push({ process, accept });
    this.#listening.set(key, listening);
  }

  /** Stops listening, at one port or at all; open connections stay. */
  unlisten(process: Process, port: number | null = null): void {
    this.#closeSocketsOf(process, port);
  }

  /** The processes that get the connections to this address: none, one, or several in turns. */
  listenersAt(address: string, port: number): readonly Process[] {
    return (this.#listening.get(addressOf({ host: address, port }))?.listeners ?? []).map(({ process }) => process);
  }

  /** The number of open connections of a process. */
  endsOf(process: Process): number {
    return this.#ends.get(process)?.size ?? 0;
  }

  /** Returns a function that gives up. */
  connect(process: Process, address: string, port: number, dialer: Dialer): () => void {
    return new Dial(this, process, { address, port }, dialer).start();
  }

  /** Whether a packet that is sent now gets through. */
  passes(from: Machine, to: Machine): boolean {
    if (!from.isOn || !to.isOn) return false;
    if (from === to) return true;
    const { cut, lossRatio } = this.path(from, to);
    return cut === 0 && (lossRatio === 0 || this.world.random.unit() >= lossRatio);
  }

  /** The delay of a packet, ms. */
  delay(from: Machine, to: Machine): number {
    const { random } = this.world;
    if (from === to) return 0.05 + 0.05 * random.unit();
    return 0.2 + 0.3 * random.unit() + 2 * this.path(from, to).delayMs * random.unit();
  }

  /** @internal The next listener at an address. */
  nextListener(address: string, port: number): { readonly process: Process; readonly accept: Accept } | null {
    const listening = this.#listening.get(addressOf({ host: address, port }));
    if (listening === undefined || listening.listeners.length === 0) return null;
    listening.turn += 1;
    return listening.listeners[listening.turn % listening.listeners.length] ?? null;
  }

  /** @internal */
  machineAt(address: string): Machine | undefined {
    return this.#machines.get(address);
  }

  /** @internal */
  open(process: Process): End {
    const ends = this.#ends.get(process);
    const end = new End(this, process, () => ends?.delete(end));
    ends?.add(end);
    // the kernel of a dying process still accepts, until it closes the listening socket
    if (ends === undefined) this.world.after(DYING_MS, () => end.close());
    return end;
  }

  #bury(process: Process, hasPower: boolean): void {
    const ends = this.#ends.get(process) ?? new Set();
    this.#ends.delete(process);
    for (const end of ends) {
      if (hasPower) this.world.after(DYING_MS * this.world.random.unit(), () => end.close());
      else end.lose();
    }
    const close = (): void => this.#closeSocketsOf(process);
    if (hasPower) this.world.after(DYING_MS * this.world.random.unit(), close);
    else close();
  }

  #closeSocketsOf(process: Process, port: number | null = null): void {
    for (const [address, listening] of this.#listening) {
      if (port !== null && address !== addressOf({ host: process.machine.address, port })) continue;
      const index = listening.listeners.findIndex((listener) => listener.process === process);
      if (index >= 0) listening.listeners.splice(index, 1);
    }
  }
}

/** One attempt to open a connection. */
class Dial {
  readonly #network: Network;
  readonly #process: Process;
  readonly #to: { readonly address: string; readonly port: number };
  readonly #dialer: Dialer;
  #isOpen = false;
  #isOver = false;
  #again: Timer | null = null;

  constructor(
    network: Network,
    process: Process,
    to: { readonly address: string; readonly port: number },
    dialer: Dialer,
  ) {
    this.#network = network;
    this.#process = process;
    this.#to = to;
    this.#dialer = dialer;
  }

  start(): () => void {
    this.#sendSyn(0);
    return () => this.#end();
  }

  #sendSyn(count: number): void {
    if (this.#isOver || !this.#process.isAlive) return;
    const retryMs = SYN_RETRY_MS[count];
    const again = retryMs === undefined ? () => this.#fail(false) : () => this.#sendSyn(count + 1);
    this.#again = this.#network.world.after(retryMs ?? MAX_RESEND_MS, again);
    const there = this.#network.machineAt(this.#to.address);
    const here = this.#process.machine;
    if (there === undefined || this.#network.path(here, there).blocked > 0) return;
    if (!this.#network.passes(here, there)) return;
    this.#network.world.after(this.#network.delay(here, there), () => this.#arriveAtListener(there));
  }

  /** The first packet has arrived. */
  #arriveAtListener(there: Machine): void {
    if (this.#isOver) return;
    const here = this.#process.machine;
    const { world } = this.#network;
    if (!this.#network.passes(there, here)) return;
    const backMs = this.#network.delay(there, here);
    const isRefused = this.#network.path(here, there).refused > 0;
    const listener = isRefused ? null : this.#network.nextListener(this.#to.address, this.#to.port);
    if (listener === null) {
      world.after(backMs, () => this.#fail(true));
      return;
    }
    const theirs = this.#network.open(listener.process);
    world.after(backMs, () => this.#open(theirs, listener.accept));
  }

  /** The kernel has the connection, and stops retrying; the process sees it when it runs. */
  #open(theirs: End, accept: Accept): void {
    if (this.#isOver || this.#isOpen || !this.#process.isAlive) return theirs.vanish();
    this.#isOpen = true;
    this.#again?.cancel();
    const mine = this.#network.open(this.#process);
    mine.join(theirs, accept);
    this.#process.deliver(() => {
      if (this.#isOver) return mine.close();
      this.#end();
      this.#dialer.opened(mine);
    });
  }

  #fail(isRefused: boolean): void {
    this.#process.deliver(() => {
      if (this.#isOver) return;
      this.#end();
      const to = `${this.#to.address}:${this.#to.port}`;
      this.#dialer.failed(isRefused, `connect ${isRefused ? 'ECONNREFUSED' : 'ETIMEDOUT'} ${to}`);
    });
  }

  #end(): void {
    this.#isOver = true;
    this.#again?.cancel();
  }
}

/** A packet: a message, or the end of the connection (FIN). */
type Packet = { readonly message: unknown } | 'end';

/** One end of a connection, in one process. */
export class End {
  readonly process: Process;
  /** A message has arrived. */
  onMessage: (message: unknown) => void = () => {};
  /** The peer closed, or the connection broke; once, and never after `close`. */
  onEnd: () => void = () => {};
  /** Nothing arrives or leaves any more. */
  isOver = false;
  readonly #network: Network;
  readonly #forget: () => void;
  #peer: End | null = null;
  /** Its machine lost power: a packet that arrives after it is on again is answered by a reset. */
  #isLost = false;
  #outbox: Packet[] = [];
  #resend: Timer | null = null;
  #blockedSince: number | null = null;
  #tries = 0;
  #lastArrivalAt = 0;

  constructor(network: Network, process: Process, forget: () => void) {
    this.#network = network;
    this.process = process;
    this.#forget = forget;
  }

  get peer(): End | null {
    return this.#peer;
  }

  /** Whether data is undelivered because the peer cannot be reached. */
  get isStuck(): boolean {
    return this.#resend !== null;
  }

  send(message: unknown): void {
    if (this.isOver) return;
    this.#outbox.push({ message });
    this.#pump();
  }

  /** What was sent still arrives. May be called twice. */
  close(): void {
    if (this.isOver) return;
    this.#over();
    this.#outbox.push('end');
    this.#pump();
  }

  /** A middlebox resets the connection: both ends are notified. */
  break(): void {
    const peer = this.#peer;
    this.process.deliver(() => this.#broken());
    peer?.process.deliver(() => peer.#broken());
  }

  /** @internal The connection is open here; the peer is notified before anything else. */
  join(peer: End, accept: Accept): void {
    this.#peer = peer;
    peer.#peer = this;
    this.#arrive(peer, () =>
      peer.process.deliver(() => {
        if (!peer.isOver) accept(peer);
      }),
    );
    if (peer.isOver) peer.#pump();
  }

  /** @internal The machine lost its power. */
  lose(): void {
    this.#over();
    this.#isLost = true;
    this.#outbox = [];
    this.#resend?.cancel();
  }

  /** @internal The connection was never opened. */
  vanish(): void {
    this.#over();
    this.#outbox = [];
  }

  #over(): void {
    this.isOver = true;
    this.#forget();
  }

  #pump(): void {
    const peer = this.#peer;
    if (this.#resend !== null || peer === null) return;
    for (let packet = this.#outbox[0]; packet !== undefined; packet = this.#outbox[0]) {
      if (!this.#network.passes(this.process.machine, peer.process.machine)) return this.#later();
      this.#outbox.shift();
      this.#tries = 0;
      this.#blockedSince = null;
      const sent = packet;
      this.#arrive(peer, () => peer.#receive(sent, this));
    }
  }

  #arrive(peer: End, run: () => void): void {
    const { world } = this.#network;
    const ms = this.#network.delay(this.process.machine, peer.process.machine);
    this.#lastArrivalAt = Math.max(this.#lastArrivalAt, world.now + ms);
    world.after(this.#lastArrivalAt - world.now, run);
  }

  #later(): void {
    const { world } = this.#network;
    this.#blockedSince ??= world.now;
    if (!this.process.machine.isOn) return;
    if (world.now - this.#blockedSince > BREAK_AFTER_MS) {
      this.#outbox = [];
      this.process.deliver(() => this.#broken());
      return;
    }
    const ms = Math.min(MAX_RESEND_MS, FIRST_RESEND_MS * 2 ** this.#tries);
    this.#tries += 1;
    this.#resend = world.after(ms, () => {
      this.#resend = null;
      this.#pump();
    });
  }

  /** A packet has arrived at our machine. */
  #receive(packet: Packet, from: End): void {
    if (this.#isLost || this.isOver) {
      if (packet !== 'end' || this.#isLost) this.#reset(from);
      return;
    }
    this.process.deliver(() => {
      if (this.isOver) return;
      if (packet === 'end') this.#broken();
      else this.onMessage(packet.message);
    });
  }

  /** No process here knows this connection. */
  #reset(from: End): void {
    if (!this.#network.passes(this.process.machine, from.process.machine)) return;
    this.#arrive(from, () => from.process.deliver(() => from.#broken()));
  }

  #broken(): void {
    if (this.isOver) return;
    this.#over();
    this.onEnd();
  }
}
