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
import { Inquiry } from './rpc.js';
import type { Machine, Process } from './world.js';

/** As HttpLink has them. */
const TIMEOUT_MS = 3_000;
const SILENCE_MS = 25_000;

/** Who hears what a stream brings, before the client does. */
export interface Ears {
  /** It asks something of the registry, whether that arrives or not. */
  asked(request: Request): void;
  opened(request: WatchRequest): void;
  frame(frame: Frame): void;
  mark(cursor: Cursor): void;
}

/** The way to the registry over the simulated network, with the same time limits as HttpLink. */
export class NetworkLink implements RegistryClient {
  readonly name: string;
  readonly #network: Network;
  readonly #process: Process;
  readonly #registry: Machine;
  readonly #ears: Ears;
  readonly #open = new Set<() => void>();
  #isClosed = false;

  constructor(network: Network, process: Process, registry: Machine, ears: Ears) {
    this.name = `http://${registry.address}:${REGISTRY_PORT}`;
    this.#network = network;
    this.#process = process;
    this.#registry = registry;
    this.#ears = ears;
  }

  register(registration: Registration): Answer<Registered> {
    return this.#ask({ route: 'register', registration });
  }

  beat(proof: Proof, beat: Beat): Answer<BeatAnswer> {
    return this.#ask({ route: 'beat', proof, beat });
  }

  /** There is none: here each beat has a connection of its own. */
  letGo(): void {}

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
    const watch = new NetworkWatch({ process: this.#process, ears: this.#ears, request, sink, ended });
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
    this.#ears.asked(request);
    const to = { host: this.#registry.address, port: REGISTRY_PORT };
    const inquiry = new Inquiry(this.#network, this.#process, to, { message: request, timeoutMs: TIMEOUT_MS });
    const abort = (): void => inquiry.abort('the link is closed');
    this.#open.add(abort);
    const reply = await inquiry.reply;
    this.#open.delete(abort);
    if (reply.kind === 'answered') return reply.message as Result<Value, Problem>;
    throw new RollcallError('REGISTRY_UNREACHABLE', reply.text, { retryable: true });
  }
}

interface WatchParts {
  readonly process: Process;
  readonly ears: Ears;
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
        end.onMessage = (message) => this.#hear(message as Flush | { readonly ok: false; readonly problem: Problem });
        end.onEnd = () => this.close();
        const request: Request = { route: 'watch', request: this.#parts.request };
        this.#parts.ears.asked(request);
        end.send(request);
      },
      failed: () => this.close(),
    });
  }

  close(): void {
    this.#finish(null);
  }

  #hear(message: Flush | { readonly ok: false; readonly problem: Problem }): void {
    if (this.#isClosed) return;
    if ('problem' in message) return this.#finish(message.problem);
    const { process, ears, request, sink } = this.#parts;
    this.#heardAt = process.now();
    if ('opened' in message) {
      ears.opened(request);
      this.#endWhenSilentFor(SILENCE_MS);
      sink.opened();
      return;
    }
    for (const frame of message.frames) {
      if (this.#isClosed) return;
      ears.frame(frame);
      sink.frame(frame);
    }
    if (this.#isClosed) return;
    ears.mark(message.cursor);
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
