import {
  beatMessage,
  DEFAULT_POLICY,
  drainMessage,
  noMeter,
  parseFrame,
  registrationMessage,
  suspicionMessage,
} from '@rollcall/core';
import type {
  Beat,
  Cursor,
  Drain,
  Endpoint,
  Frame,
  HeartbeatCall,
  Policy,
  Protocol,
  Registration,
  Suspicion,
} from '@rollcall/core';
import type { Proof, WatchRequest } from '@rollcall/client';
import { DEFAULT_LIMITS, MemoryStore, Registry } from '@rollcall/registry';
import type { ProbeProtocol, ProbeOutcome, SharedFrame, WatcherSink } from '@rollcall/registry';
import type { Bugs } from './bugs.js';
import { Disk } from './disk.js';
import { LineCount } from './line-count.js';
import type { End, Network } from './network.js';
import { Publications } from './publications.js';
import { Exchange } from './rpc.js';
import type { Machine, Process } from './world.js';

export const REGISTRY_PORT = 1_337;

/** A request to the registry, in place of HTTP. */
export type Request =
  | { readonly route: 'register'; readonly registration: Registration }
  | { readonly route: 'beat'; readonly proof: Proof; readonly beat: Beat }
  | { readonly route: 'suspect'; readonly id: string; readonly suspicion: Suspicion }
  | { readonly route: 'drain'; readonly proof: Proof; readonly drain: Drain }
  | { readonly route: 'leave'; readonly proof: Proof }
  | { readonly route: 'watch'; readonly request: WatchRequest };

/** What a watch delivers, besides its refusal. */
export type Flush = { readonly opened: true } | { readonly frames: readonly Frame[]; readonly cursor: Cursor };

export interface RegistryTerms {
  readonly policy?: Policy;
  /** Whether its store survives a crash. */
  readonly isDurable: boolean;
  readonly bugs: Bugs;
}

/** The outcome of a request. */
export interface RequestOutcome {
  readonly ok: boolean;
  readonly value?: unknown;
  readonly problem?: { readonly code: string };
}

/** Observes the registry's requests: what really arrived, and what was answered. */
export interface RequestObserver {
  answered(request: Request, outcome: RequestOutcome): void;
}

/** One machine with a registry on it, across restarts. */
export class RegistryNode {
  readonly machine: Machine;
  readonly policy: Policy;
  readonly observer: RequestObserver;
  /** Since when this process listens without a break: started, or continued. Infinity while it does not. */
  listeningSince = Infinity;
  process: Process | null = null;
  registry: Registry | null = null;
  /** The newest line of each instance. */
  readonly lines = new Map<string, End>();
  readonly #streams = new Set<End>();
  readonly #denied = new Map<Machine, number>();
  readonly #network: Network;
  readonly #bugs: Bugs;
  /** Null: its store does not survive a crash. */
  readonly disk: Disk | null;
  /** The decisions and the log lines of this process. */
  publications = new Publications();
  log = new LineCount();

  constructor(network: Network, machine: Machine, observer: RequestObserver, terms: RegistryTerms) {
    this.#network = network;
    this.machine = machine;
    this.observer = observer;
    this.policy = terms.policy ?? DEFAULT_POLICY;
    this.disk = terms.isDurable ? new Disk(network.world.fork()) : null;
    this.#bugs = terms.bugs;
  }

  get isListening(): boolean {
    return this.process?.isRunning === true && this.machine.isOn && this.registry?.ready === true;
  }

  async start(): Promise<void> {
    const network = this.#network;
    const process = network.spawn(this.machine, 'registry');
    this.publications = new Publications();
    this.log = new LineCount();
    const store = this.disk?.storeOf(process) ?? new MemoryStore();
    const time = this.#bugs.time(process);
    const callers = (['tcp', 'http'] as const).map((protocol) =>
      this.#bugs.caller(new NetworkCaller(network, process, protocol)),
    );
    const registry = new Registry(
      {
        time,
        random: network.world.fork(),
        log: this.log,
        meter: noMeter,
        store: this.publications.recordWrites(this.#bugs.store(store)),
        callers,
        resolve: async (host) => host,
      },
      { policy: this.policy, allowedNetworks: [], limits: DEFAULT_LIMITS, freshEvery: 1 },
    );
    this.process = process;
    this.registry = registry;
    this.lines.clear();
    registry.listensOn(REGISTRY_PORT, [`http://${this.machine.address}:${REGISTRY_PORT}`]);
    network.listen(process, REGISTRY_PORT, (end) => this.#accept(registry, end));
    await registry.start();
    this.listeningSince = network.world.now;
  }

  kill(hasPower: boolean): void {
    this.process?.die(hasPower);
    this.disk?.crash();
    this.process = null;
    this.registry = null;
    this.listeningSince = Infinity;
  }

  stop(): void {
    this.process?.stop();
    this.listeningSince = Infinity;
  }

  resume(): void {
    this.process?.resume();
    if (this.registry !== null) this.listeningSince = this.#network.world.now;
  }

  /** A proxy lets no more streams of this machine pass. */
  denyStreams(machine: Machine): void {
    this.#denied.set(machine, (this.#denied.get(machine) ?? 0) + 1);
    for (const end of this.#streams) if (end.peer?.process.machine === machine) end.break();
  }

  allowStreams(machine: Machine): void {
    this.#denied.set(machine, (this.#denied.get(machine) ?? 0) - 1);
  }

  deniesStreams(machine: Machine): boolean {
    return (this.#denied.get(machine) ?? 0) > 0;
  }

  #accept(registry: Registry, end: End): void {
    end.onMessage = (message) => {
      const request = message as Request;
      if (request.route === 'watch') this.#watch(registry, request.request, end);
      else void this.#answer(registry, request, end);
    };
  }

  async #answer(registry: Registry, request: Exclude<Request, { route: 'watch' }>, end: End): Promise<void> {
    const outcome = await handle(registry, request, end.peer!.process.machine.address);
    this.observer.answered(request, outcome);
    end.send(outcome);
  }

  #watch(registry: Registry, request: WatchRequest, end: End): void {
    if (this.deniesStreams(end.peer!.process.machine)) return end.break();
    const sink: WatcherSink = {
      flush: (frames, cursor) => end.send({ frames: frames.map(toWireFrame), cursor }),
      beat: (cursor) => end.send({ frames: [], cursor }),
      // waiting packets are in the kernel, whose buffers are larger than anything here
      backlog: () => 0,
      end: () => end.close(),
    };
    const watching = registry.watch(request, sink);
    this.observer.answered({ route: 'watch', request }, watching);
    if (!watching.ok) {
      end.send(watching);
      end.close();
      return;
    }
    end.send({ opened: true });
    if (request.line !== null) this.lines.set(request.line.id, end);
    this.#streams.add(end);
    end.onEnd = () => {
      this.#streams.delete(end);
      watching.value.closed();
    };
  }
}

/** Stands in for the HTTP layer: a request that was read is valid. */
function handle(registry: Registry, request: Exclude<Request, { route: 'watch' }>, address: string) {
  switch (request.route) {
    case 'register':
      return registry.register(valueOf(registrationMessage.parse(request.registration)), { address });
    case 'beat':
      return registry.beat(request.proof.id, request.proof.secret, valueOf(beatMessage.parse(request.beat)));
    case 'suspect':
      return registry.suspect(request.id, valueOf(suspicionMessage.parse(request.suspicion)));
    case 'drain':
      return registry.drain(request.proof.id, request.proof.secret, valueOf(drainMessage.parse(request.drain)));
    case 'leave':
      return registry.leave(request.proof.id, { secret: request.proof.secret });
  }
}

function valueOf<Value>(read: { ok: true; value: Value } | { ok: false; problem: unknown }): Value {
  if (read.ok) return read.value;
  throw new Error(`not fit for the wire: ${JSON.stringify(read.problem)}`);
}

const WIRE_FRAMES = new WeakMap<SharedFrame, Frame>();

/** The frame as decoded from its bytes: encoded and read once for all watchers. */
function toWireFrame(shared: SharedFrame): Frame {
  const known = WIRE_FRAMES.get(shared);
  if (known !== undefined) return known;
  const [, event = '', data = ''] =
    /^event: (.*)\ndata: (.*)\n\n$/.exec(new TextDecoder().decode(shared.bytes())) ?? [];
  const read = parseFrame(event, data);
  if (read === null) throw new Error(`the feed sends an event that no client knows: ${event}`);
  const frame = valueOf(read);
  WIRE_FRAMES.set(shared, frame);
  return frame;
}

/** Heartbeat-1 over the simulated network. */
class NetworkCaller implements ProbeProtocol {
  readonly protocol: Protocol;
  readonly #network: Network;
  readonly #process: Process;

  constructor(network: Network, process: Process, protocol: Protocol) {
    this.#network = network;
    this.#process = process;
    this.protocol = protocol;
  }

  async call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number): Promise<ProbeOutcome> {
    const message = { heartbeat1: call, protocol: this.protocol };
    const reply = await new Exchange(this.#network, this.#process, endpoint, { message, timeoutMs }).reply;
    if (reply.kind !== 'answered') return reply;
    const { instance, nonce } = reply.message as { readonly instance: string; readonly nonce: string | null };
    return { kind: 'answered', instance, nonce, ms: reply.ms };
  }

  close(): void {}
}

/** The instance that sends the request; null: the process has no identity of its own, or acts for another one. */
export function callerOf(request: Request): string | null {
  if (request.route === 'register') return request.registration.id;
  if (request.route === 'watch') return request.request.line?.id ?? null;
  return 'proof' in request ? request.proof.id : null;
}
