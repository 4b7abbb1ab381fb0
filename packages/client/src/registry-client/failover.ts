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
  /** One to each registry, in the order of the option. At least one. They are closed with this one. */
  readonly links: readonly RegistryClient[];
  readonly order: RegistryOrder;
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
}

interface WayParts extends Omit<FailoverParts, 'links'> {
  /** An access token that is good at all of them. */
  readonly token: string | undefined;
  /** For all that are reached over TLS. */
  readonly tls: RegistryTlsTerms | undefined;
}

/** The way over HTTP to the registries at these URLs, at least one. Throws OPTION_INVALID for TLS terms that cannot be used. */
export function openLinks(urls: readonly string[], { token, tls: terms, ...parts }: WayParts): RegistryClient {
  const tls = new RegistryTls(terms, parts.log);
  if (tls.isGiven && urls.every((url) => /^http:/i.test(url)))
    parts.log.warn(`registryTls is not used: ${urls.join(', ')} is spoken to in the clear. For TLS write https://.`);
  const links = urls.map((url) => new HttpRegistryClient({ url, time: parts.time, token, tls }));
  const [only] = links;
  return links.length === 1 && only !== undefined ? only : new FailoverClient({ ...parts, links });
}

/** Refusals that say no more than: ask another one. */
const ELSEWHERE: ReadonlySet<ProblemCode> = new Set(['NOT_READY', 'TOO_MANY', 'INTERNAL', 'MISDIRECTED']);
/** How often a better registry is looked for, and up to half as much later: not all processes go home at once. */
const HOME_MS = 30_000;
/** A stream that still brings something after so long is one that comes through. */
const PROVEN_MS = 25_000;

/**
 * The way to several registries as if they were one. Everything goes to one of them at a time, the one that holds the change feed and
 * with it our line: who holds the line owns the instance, and has to get its heartbeats. While a stream is open, nothing else is
 * asked. When it has ended and its registry does not answer, the next is asked at once; after one round the asker waits, with
 * jitter, as it does for a single registry. A registry to which we come anew does not know us: it says so, and we register there.
 */
export class FailoverClient implements RegistryClient {
  readonly name: string;
  /** Only if each of them can. */
  readonly poll?: (request: PollRequest) => Answer<ServiceViewAnswer>;
  readonly #parts: FailoverParts;
  readonly #registries: Registries<RegistryClient>;
  /** Watches that are open, or being opened. */
  readonly #relays = new Set<Relay>();
  /** Those whose streams fell silent since one came through. */
  readonly #silent = new Set<RegistryClient>();
  #told: RegistryClient;
  #home: Timer | null = null;
  #isClosed = false;

  constructor(parts: FailoverParts) {
    const { links, order, random } = parts;
    this.#parts = parts;
    this.#registries = new Registries(links, order, random);
    this.#told = this.#registries.current;
    this.name = links.map((link) => link.name).join(', ');
    if (links.every((link) => link.poll !== undefined)) this.poll = (request) => this.#poll(request);
  }

  register(registration: Registration): Answer<Registered> {
    return this.#ask((link) => link.register(registration));
  }

  /** Said once: a later beat goes elsewhere. */
  async beat(proof: Proof, beat: Beat, options?: BeatOptions): Answer<BeatAnswer> {
    const link = this.#registries.current;
    try {
      return await link.beat(proof, beat, options);
    } catch (error) {
      this.#failed(link);
      throw error;
    }
  }

  letGo(): void {
    for (const link of this.#parts.links) link.letGo();
  }

  suspect(id: string, suspicion: Suspicion): Answer<null> {
    return this.#registries.current.suspect(id, suspicion);
  }

  /** Only who knows us has to hear it. */
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
        this.#lookHomeLater();
      },
      refused: (link) => this.#answered(link),
      failed: (link) => this.#failed(link),
      // a frozen registry is no news to who asks for streams; all of them together are: something holds streams back
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
    this.#home?.cancel();
    for (const relay of this.#relays) relay.close();
    await Promise.all(this.#parts.links.map((link) => link.close()));
  }

  #poll(request: PollRequest): Answer<ServiceViewAnswer> {
    const { signal } = request;
    // a link without it is none of ours: see the constructor
    return this.#ask((link) => link.poll?.(request) ?? Promise.reject(new Error('it cannot be polled')), signal);
  }

  async #ask<Value>(question: (link: RegistryClient) => Answer<Value>, signal?: AbortSignal): Answer<Value> {
    let refusal: Awaited<Answer<Value>> | null = null;
    let failure: unknown;
    for (const link of this.#candidates()) {
      try {
        const answer = await question(link);
        if (answer.ok || !ELSEWHERE.has(answer.problem.code)) {
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

  /** Who may be asked, in order: where a stream is open, only its registry. */
  #candidates(): readonly RegistryClient[] {
    return this.#isHeld() ? [this.#registries.current] : this.#registries.round;
  }

  #isHeld(): boolean {
    for (const relay of this.#relays) if (relay.isOpen) return true;
    return false;
  }

  /** Is a stream open at another registry? All of them go to one, which is the one that knows us. */
  #isHeldElsewhere(link: RegistryClient): boolean {
    for (const { at } of this.#relays) if (at !== null && at !== link) return true;
    return false;
  }

  #answered(link: RegistryClient): void {
    this.#registries.answered(link);
    if (link === this.#told) return;
    this.#parts.log.info(`Using the registry at ${link.name} now, instead of the one at ${this.#told.name}.`);
    this.#told = link;
  }

  #failed(link: RegistryClient): void {
    if (!this.#isHeld()) this.#registries.failed(link);
  }

  // ---- back to a better one ------------------------------------------------------------------------------------------

  #lookHomeLater(): void {
    if (this.#isClosed || this.#home !== null || this.#registries.better.length === 0) return;
    const { time, random } = this.#parts;
    this.#home = time.setTimer(
      HOME_MS * (1 + random.unit() / 2),
      () => {
        this.#home = null;
        void this.#lookHome();
      },
      { background: true },
    );
  }

  /** The streams end, as if they had broken, and come back at the better one. */
  async #lookHome(): Promise<void> {
    for (const link of this.#registries.better) {
      if (!(await isThere(link)) || this.#isClosed) continue;
      this.#answered(link);
      for (const relay of this.#relays) if (relay.isOpen) relay.end();
      return;
    }
    this.#lookHomeLater();
  }
}

/** Does it answer, and is it ready? Asked about nobody: any registry that is ready says that it does not know such an instance. */
async function isThere(link: RegistryClient): Promise<boolean> {
  try {
    const answer = await link.suspect('rollcall-is-there', { by: 'rollcall', outcome: 'timeout' });
    return answer.ok || !ELSEWHERE.has(answer.problem.code);
  } catch {
    return false;
  }
}

interface RelayParts {
  readonly candidates: readonly RegistryClient[];
  /** Has another stream been opened meanwhile, at another registry than this? */
  readonly isElsewhere: (link: RegistryClient) => boolean;
  readonly opened: (link: RegistryClient) => void;
  /** It answered, with a refusal that is meant for us. */
  readonly refused: (link: RegistryClient) => void;
  /** It gave no answer, or fell silent. */
  readonly failed: (link: RegistryClient) => void;
  /** It fell silent: is that to be told? */
  readonly isSilence: (link: RegistryClient) => boolean;
  /** A stream comes through. */
  readonly proved: () => void;
  readonly now: () => number;
  readonly ended: () => void;
}

/** One watch, at the first of the candidates that takes it. */
class Relay implements Watch {
  /** Where it is open; null: it is not. */
  at: RegistryClient | null = null;
  readonly #request: WatchRequest;
  readonly #sink: WatchSink;
  readonly #parts: RelayParts;
  #tried = 0;
  #inner: Watch | null = null;
  /** What the first of them said that answered. */
  #refusal: Problem | null = null;
  /** Of the first of them that met with one. */
  #trouble: Error | undefined;
  #openedAt = Infinity;
  #isSilent = false;
  /** Is the silence of the last one to be told? */
  #isNews = false;
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
    this.#inner = link.watch(this.#request, this.#hearing(link));
  }

  close(): void {
    this.#isClosed = true;
    this.end();
  }

  get isOpen(): boolean {
    return this.at !== null;
  }

  /** As if the way had broken. */
  end(): void {
    this.#inner?.close();
  }

  #hearing(link: RegistryClient): WatchSink {
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
      together: (deliver) => sink.together(deliver),
      silent: () => {
        this.#isSilent = true;
      },
      closed: (problem, trouble) => this.#closed(link, problem, trouble),
    };
  }

  #closed(link: RegistryClient, problem: Problem | null, trouble: Error | undefined): void {
    this.#trouble ??= trouble;
    this.#isNews = this.#isSilent && this.#parts.isSilence(link);
    if (this.isOpen || this.#isClosed) {
      this.at = null;
      if (this.#isSilent) this.#parts.failed(link);
      this.#finish(problem);
    } else if (problem !== null && !ELSEWHERE.has(problem.code)) {
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
    if (this.#isNews) this.#sink.silent?.();
    this.#sink.closed(problem, problem === null ? this.#trouble : undefined);
  }
}
