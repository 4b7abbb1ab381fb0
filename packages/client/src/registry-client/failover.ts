import type {
  Beat,
  BeatAnswer,
  Drain,
  DrainAnswer,
  Log,
  Problem,
  ProblemCode,
  Random,
  Registered,
  Registration,
  ServiceViewAnswer,
  Suspicion,
  Time,
  Timer,
} from '@rollcall/core';
import { HttpRegistryClient } from './http.js';
import type {
  Answer,
  BeatOptions,
  RegistryClient,
  PollRequest,
  Proof,
  Watch,
  WatchRequest,
  WatchSink,
} from './registry-client.js';
import { Registries } from './registry-order.js';
import type { RegistryOrder } from './registry-order.js';
import { RegistryTls } from './tls.js';
import type { RegistryTlsTerms } from './tls.js';

export interface FailoverParts {
  /** One client for each registry, in the order of the option; at least one. The failover client closes them. */
  readonly links: readonly RegistryClient[];
  readonly order: RegistryOrder;
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
}

interface OpenLinksParts extends Omit<FailoverParts, 'links'> {
  /** An access token that all registries accept. */
  readonly token: string | undefined;
  /** The TLS terms for all `https://` URLs. */
  readonly tls: RegistryTlsTerms | undefined;
}

/** Opens an HTTP client for the registries at these URLs, at least one. Throws OPTION_INVALID for unusable TLS terms. */
export function openLinks(urls: readonly string[], { token, tls: terms, ...parts }: OpenLinksParts): RegistryClient {
  const tls = new RegistryTls(terms, parts.log);
  if (tls.isGiven && urls.every((url) => /^http:/i.test(url)))
    parts.log.warn(`registryTls is not used: ${urls.join(', ')} is used without TLS. For TLS write https://.`);
  const links = urls.map((url) => new HttpRegistryClient({ url, time: parts.time, token, tls }));
  const [only] = links;
  return links.length === 1 && only !== undefined ? only : new FailoverClient({ ...parts, links });
}

/** Problem codes after which another registry is tried. */
const OTHER_REGISTRY_CODES: ReadonlySet<ProblemCode> = new Set(['NOT_READY', 'TOO_MANY', 'INTERNAL', 'MISDIRECTED']);
/**
 * The interval at which a preferred registry is probed, or up to half as much longer, so that not all processes return at the same time.
 */
const RETURN_MS = 30_000;
/** A stream that receives data for this long counts as working. */
const PROVEN_MS = 25_000;

/**
 * A client for several registries. All requests go to one of them at a time, the one that holds the change feed and with it our line: the
 * registry with the line owns the instance and must receive its heartbeats. While a stream is open, no other registry is tried. If it has
 * ended and its registry does not answer, the next one is tried at once; after one round the caller waits with jitter, as for a single
 * registry. A registry that does not know this instance answers with 404, and the instance registers with it.
 */
export class FailoverClient implements RegistryClient {
  readonly name: string;
  /** Present only if all clients support it. */
  readonly poll?: (request: PollRequest) => Answer<ServiceViewAnswer>;
  readonly #parts: FailoverParts;
  readonly #registries: Registries<RegistryClient>;
  /** Watches that are open, or are being opened. */
  readonly #relays = new Set<Relay>();
  /** Registries whose streams became silent since the last stream that worked. */
  readonly #silent = new Set<RegistryClient>();
  #logged: RegistryClient;
  #returnTimer: Timer | null = null;
  #isClosed = false;

  constructor(parts: FailoverParts) {
    const { links, order, random } = parts;
    this.#parts = parts;
    this.#registries = new Registries(links, order, random);
    this.#logged = this.#registries.current;
    this.name = links.map((link) => link.name).join(', ');
    if (links.every((link) => link.poll !== undefined)) this.poll = (request) => this.#poll(request);
  }

  register(registration: Registration): Answer<Registered> {
    return this.#ask((link) => link.register(registration));
  }

  /** Not repeated: a later beat goes to another registry. */
  async beat(proof: Proof, beat: Beat, options?: BeatOptions): Answer<BeatAnswer> {
    const link = this.#registries.current;
    try {
      return await link.beat(proof, beat, options);
    } catch (error) {
      this.#failed(link);
      throw error;
    }
  }

  releaseConnection(): void {
    for (const link of this.#parts.links) link.releaseConnection();
  }

  suspect(id: string, suspicion: Suspicion): Answer<null> {
    return this.#registries.current.suspect(id, suspicion);
  }

  /** Sent only to the registry that knows this instance. */
  drain(proof: Proof, drain: Drain): Answer<DrainAnswer> {
    return this.#registries.current.drain(proof, drain);
  }

  leave(proof: Proof): Answer<null> {
    return this.#registries.current.leave(proof);
  }

  watch(request: WatchRequest, sink: WatchSink): Watch {
    const relay: Relay = new Relay(request, sink, {
      candidates: this.#candidates(),
      isElsewhere: (link) => this.#isHeldElsewhere(link),
      opened: (link) => {
        this.#answered(link);
        this.#scheduleReturn();
      },
      refused: (link) => this.#answered(link),
      failed: (link) => this.#failed(link),
      // a single silent registry may be frozen, which is not reported; if all are silent, a proxy seems to buffer streams
      isSilence: (link) => this.#silent.add(link).size === this.#parts.links.length,
      proved: () => this.#silent.clear(),
      now: () => this.#parts.time.now(),
      ended: () => void this.#relays.delete(relay),
    });
    this.#relays.add(relay);
    relay.start();
    return relay;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#returnTimer?.cancel();
    for (const relay of this.#relays) relay.close();
    await Promise.all(this.#parts.links.map((link) => link.close()));
  }

  #poll(request: PollRequest): Answer<ServiceViewAnswer> {
    const { signal } = request;
    // `poll` is always present here: see the constructor
    return this.#ask((link) => link.poll?.(request) ?? Promise.reject(new Error('polling is not supported')), signal);
  }

  async #ask<Value>(question: (link: RegistryClient) => Answer<Value>, signal?: AbortSignal): Answer<Value> {
    let refusal: Awaited<Answer<Value>> | null = null;
    let failure: unknown;
    for (const link of this.#candidates()) {
      try {
        const answer = await question(link);
        if (answer.ok || !OTHER_REGISTRY_CODES.has(answer.problem.code)) {
          this.#answered(link);
          return answer;
        }
        refusal ??= answer;
      } catch (error) {
        failure = error;
      }
      if (this.#isClosed || signal?.aborted === true) break;
      this.#failed(link);
    }
    if (refusal !== null) return refusal;
    throw failure;
  }

  /** The registries to try, in order; while a stream is open, only its registry. */
  #candidates(): readonly RegistryClient[] {
    return this.#isHeld() ? [this.#registries.current] : this.#registries.round;
  }

  #isHeld(): boolean {
    for (const relay of this.#relays) if (relay.isOpen) return true;
    return false;
  }

  /** True if a stream is open at another registry. All streams use the same registry, the one that knows this instance. */
  #isHeldElsewhere(link: RegistryClient): boolean {
    for (const { at } of this.#relays) if (at !== null && at !== link) return true;
    return false;
  }

  #answered(link: RegistryClient): void {
    this.#registries.answered(link);
    if (link === this.#logged) return;
    this.#parts.log.info(`Now using the registry at ${link.name}, instead of the one at ${this.#logged.name}.`);
    this.#logged = link;
  }

  #failed(link: RegistryClient): void {
    if (!this.#isHeld()) this.#registries.failed(link);
  }

  // ---- back to a preferred registry -----------------------------------------------------------------------------------

  #scheduleReturn(): void {
    if (this.#isClosed || this.#returnTimer !== null || this.#registries.better.length === 0) return;
    const { time, random } = this.#parts;
    this.#returnTimer = time.setTimer(
      RETURN_MS * (1 + random.unit() / 2),
      () => {
        this.#returnTimer = null;
        void this.#tryReturn();
      },
      { background: true },
    );
  }

  /** Ends the streams as if they were broken, so that they reopen at the preferred registry. */
  async #tryReturn(): Promise<void> {
    for (const link of this.#registries.better) {
      if (!(await isReady(link)) || this.#isClosed) continue;
      this.#answered(link);
      for (const relay of this.#relays) if (relay.isOpen) relay.end();
      return;
    }
    this.#scheduleReturn();
  }
}

/** True if the registry answers and is ready: then it reports that it does not know the made-up instance of this request. */
async function isReady(link: RegistryClient): Promise<boolean> {
  try {
    const answer = await link.suspect('rollcall-is-there', { by: 'rollcall', outcome: 'timeout' });
    return answer.ok || !OTHER_REGISTRY_CODES.has(answer.problem.code);
  } catch {
    return false;
  }
}

interface RelayParts {
  readonly candidates: readonly RegistryClient[];
  /** True if another stream was opened meanwhile, at another registry. */
  readonly isElsewhere: (link: RegistryClient) => boolean;
  readonly opened: (link: RegistryClient) => void;
  /** Called when the registry answered with a refusal that concerns this client. */
  readonly refused: (link: RegistryClient) => void;
  /** Called when the registry gave no answer, or became silent. */
  readonly failed: (link: RegistryClient) => void;
  /** Called when the registry became silent; returns true if that must be reported. */
  readonly isSilence: (link: RegistryClient) => boolean;
  /** Called when a stream works. */
  readonly proved: () => void;
  readonly now: () => number;
  readonly ended: () => void;
}

/** One watch, at the first registry that accepts it. */
class Relay implements Watch {
  /** The registry at which the watch is open; null if it is not open. */
  at: RegistryClient | null = null;
  readonly #request: WatchRequest;
  readonly #sink: WatchSink;
  readonly #parts: RelayParts;
  #tried = 0;
  #inner: Watch | null = null;
  /** The problem of the first registry that answered with one. */
  #refusal: Problem | null = null;
  /** The first connection error. */
  #connectError: Error | undefined;
  #openedAt = Infinity;
  #isSilent = false;
  /** True if the silence of the last registry must be reported. */
  #mustReportSilence = false;
  #isClosed = false;
  #isOver = false;

  constructor(request: WatchRequest, sink: WatchSink, parts: RelayParts) {
    this.#request = request;
    this.#sink = sink;
    this.#parts = parts;
  }

  start(): void {
    const link = this.#parts.candidates[this.#tried];
    if (link === undefined || this.#parts.isElsewhere(link)) return this.#finish(this.#refusal);
    this.#tried += 1;
    this.#isSilent = false;
    this.#inner = link.watch(this.#request, this.#sinkFor(link));
  }

  close(): void {
    this.#isClosed = true;
    this.end();
  }

  get isOpen(): boolean {
    return this.at !== null;
  }

  /** Ends the stream as if the connection had broken. */
  end(): void {
    this.#inner?.close();
  }

  #sinkFor(link: RegistryClient): WatchSink {
    const sink = this.#sink;
    return {
      opened: () => {
        if (this.#parts.isElsewhere(link)) return this.end();
        this.at = link;
        this.#openedAt = this.#parts.now();
        this.#parts.opened(link);
        sink.opened();
      },
      frame: (frame) => sink.frame(frame),
      mark: (cursor) => {
        if (this.#parts.now() - this.#openedAt >= PROVEN_MS) this.#parts.proved();
        sink.mark(cursor);
      },
      batch: (deliver) => sink.batch(deliver),
      silent: () => {
        this.#isSilent = true;
      },
      closed: (problem, connectError) => this.#closed(link, problem, connectError),
    };
  }

  #closed(link: RegistryClient, problem: Problem | null, connectError: Error | undefined): void {
    this.#connectError ??= connectError;
    this.#mustReportSilence = this.#isSilent && this.#parts.isSilence(link);
    if (this.isOpen || this.#isClosed) {
      this.at = null;
      if (this.#isSilent) this.#parts.failed(link);
      this.#finish(problem);
    } else if (problem !== null && !OTHER_REGISTRY_CODES.has(problem.code)) {
      this.#parts.refused(link);
      this.#finish(problem);
    } else {
      this.#parts.failed(link);
      this.#refusal ??= problem;
      this.start();
    }
  }

  #finish(problem: Problem | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.ended();
    if (this.#mustReportSilence) this.#sink.silent?.();
    this.#sink.closed(problem, problem === null ? this.#connectError : undefined);
  }
}
