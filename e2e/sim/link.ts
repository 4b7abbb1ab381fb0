import { RollcallError } from '@rollcall/core';
import type {
  Beat,
  BeatAnswer,
  Cursor,
  Drain,
  DrainAnswer,
  Frame,
  Problem,
  Registered,
  Registration,
  Result,
  Suspicion,
  Timer,
} from '@rollcall/core';
import type { Answer, RegistryClient, Proof, Watch, WatchRequest, WatchSink } from '@rollcall/client';
import type { Dialer, End, Network } from './network.js';
import { REGISTRY_PORT } from './registry-node.js';
import type { Flush, Request } from './registry-node.js';
import { Exchange } from './rpc.js';
import type { Machine, Process } from './world.js';

/** As HttpLink has them. */
const TIMEOUT_MS = 3_000;
const SILENCE_MS = 25_000;

/** Observes what a stream delivers, before the client does. */
export interface LinkObserver {
  /** The client sends a request to the registry, whether that arrives or not. */
  requested(request: Request): void;
  opened(request: WatchRequest): void;
  frame(frame: Frame): void;
  mark(cursor: Cursor): void;
}

/** The client's connection to the registry over the simulated network, with the same time limits as HttpLink. */
export class NetworkLink implements RegistryClient {
  readonly name: string;
  readonly #network: Network;
  readonly #process: Process;
  readonly #registry: Machine;
  readonly #observer: LinkObserver;
  readonly #open = new Set<() => void>();
  #isClosed = false;

  constructor(network: Network, process: Process, registry: Machine, observer: LinkObserver) {
    this.name = `http://${registry.address}:${REGISTRY_PORT}`;
    this.#network = network;
    this.#process = process;
    this.#registry = registry;
    this.#observer = observer;
  }

  register(registration: Registration): Answer<Registered> {
    return this.#ask({ route: 'register', registration });
  }

  beat(proof: Proof, beat: Beat): Answer<BeatAnswer> {
    return this.#ask({ route: 'beat', proof, beat });
  }

  /** Does nothing: each beat has a connection of its own here. */
  releaseConnection(): void {}

  suspect(id: string, suspicion: Suspicion): Answer<null> {
    return this.#ask({ route: 'suspect', id, suspicion });
  }

  drain(proof: Proof, drain: Drain): Answer<DrainAnswer> {
    return this.#ask({ route: 'drain', proof, drain });
  }

  leave(proof: Proof): Answer<null> {
    return this.#ask({ route: 'leave', proof });
  }

  watch(request: WatchRequest, sink: WatchSink): Watch {
    const ended = (): void => void this.#open.delete(close);
    const watch = new NetworkWatch({ process: this.#process, observer: this.#observer, request, sink, ended });
    const close = (): void => watch.close();
    this.#open.add(close);
    watch.start((dialer) => this.#network.connect(this.#process, this.#registry.address, REGISTRY_PORT, dialer));
    return watch;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const end of this.#open) end();
  }

  async #ask<Value>(request: Request): Answer<Value> {
    if (this.#isClosed) throw new RollcallError('CLOSED', 'the link is closed');
    this.#observer.requested(request);
    const to = { host: this.#registry.address, port: REGISTRY_PORT };
    const exchange = new Exchange(this.#network, this.#process, to, { message: request, timeoutMs: TIMEOUT_MS });
    const abort = (): void => exchange.abort('the link is closed');
    this.#open.add(abort);
    const reply = await exchange.reply;
    this.#open.delete(abort);
    if (reply.kind === 'answered') return reply.message as Result<Value, Problem>;
    throw new RollcallError('REGISTRY_UNREACHABLE', reply.text, { retryable: true });
  }
}

interface WatchParts {
  readonly process: Process;
  readonly observer: LinkObserver;
  readonly request: WatchRequest;
  readonly sink: WatchSink;
  readonly ended: () => void;
}

/** One open change feed. */
class NetworkWatch implements Watch {
  readonly #parts: WatchParts;
  #giveUp: () => void = () => {};
  #end: End | null = null;
  #timer: Timer;
  #heardAt = 0;
  #isClosed = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#timer = parts.process.setTimer(TIMEOUT_MS, () => this.close());
  }

  start(connect: (dialer: Dialer) => () => void): void {
    this.#giveUp = connect({
      opened: (end) => {
        this.#end = end;
        end.onMessage = (message) =>
          this.#receive(message as Flush | { readonly ok: false; readonly problem: Problem });
        end.onEnd = () => this.close();
        const request: Request = { route: 'watch', request: this.#parts.request };
        this.#parts.observer.requested(request);
        end.send(request);
      },
      failed: () => this.close(),
    });
  }

  close(): void {
    this.#finish(null);
  }

  #receive(message: Flush | { readonly ok: false; readonly problem: Problem }): void {
    if (this.#isClosed) return;
    if ('problem' in message) return this.#finish(message.problem);
    const { process, observer, request, sink } = this.#parts;
    this.#heardAt = process.now();
    if ('opened' in message) {
      observer.opened(request);
      this.#endWhenSilentFor(SILENCE_MS);
      sink.opened();
      return;
    }
    for (const frame of message.frames) {
      if (this.#isClosed) return;
      observer.frame(frame);
      sink.frame(frame);
    }
    if (this.#isClosed) return;
    observer.mark(message.cursor);
    sink.mark(message.cursor);
  }

  #endWhenSilentFor(ms: number): void {
    this.#timer.cancel();
    this.#timer = this.#parts.process.setTimer(ms, () => {
      const leftMs = this.#heardAt + SILENCE_MS - this.#parts.process.now();
      if (leftMs > 0) this.#endWhenSilentFor(leftMs);
      else this.close();
    });
  }

  #finish(problem: Problem | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    this.#giveUp();
    this.#end?.close();
    this.#parts.ended();
    this.#parts.sink.closed(problem);
  }
}
