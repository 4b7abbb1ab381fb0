import { AsyncResource } from 'node:async_hooks';
import { resetOf } from '@rollcall/core';
import type {
  Cursor,
  Frame,
  GoneFrame,
  Log,
  Problem,
  ProblemCode,
  Random,
  Reason,
  Result,
  ServiceFrame,
  ServiceViewAnswer,
  Time,
  Timer,
} from '@rollcall/core';
import type { Catalog } from './catalog.js';
import { Complaints } from './complaints.js';
import { waitMs } from './contact.js';
import type { Contact } from './contact.js';
import type { Link, Proof, Watch, WatchSink } from './link/link.js';
import { Poller } from './poller.js';

/** Refusals that mean the line, not the watch. */
const ABOUT_LINE: ReadonlySet<ProblemCode> = new Set(['UNAUTHORIZED', 'TOKEN_LAPSED', 'NOT_FOUND', 'ENDED']);

/** Our own line: the feed carries it, the session decides about it. */
export interface Line {
  /** With what to open it; null when there is nothing to hold a line for. Another object asks for another line. */
  proof(): Proof | null;
  opened(): void;
  ended(): void;
  /** The registry does not want this line: 401, 404 or 410. */
  refused(problem: Problem): void;
  /** Told on the line: the registry has removed us. */
  gone(reason: Reason): void;
}

export interface FeedParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly link: Link;
  readonly contact: Contact;
  readonly catalog: Catalog;
  readonly namespace: string;
  /** Null for a process that only watches. */
  readonly line: Line | null;
  /** Between two heartbeats: bounds the wait before a reconnect. */
  readonly intervalMs: () => number;
}

/** A registry that asks for patience is not given more than this. */
const LONGEST_PATIENCE_MS = 5_000;
/** A stream that still brings something after so long is one that comes through. */
const PROVEN_MS = 25_000;
/** One that ends sooner, whatever it brought, is as good as none when it comes to waiting before the next. */
const STEADY_MS = 5_000;
/** So many streams in a row that brought nothing, and we poll. */
const MOST_SILENT = 2;
/** While we poll, a stream is tried this often, and up to half as much later. */
const STREAM_AGAIN_MS = 120_000;

/** One connection of the feed. */
interface Stream {
  readonly services: readonly string[];
  readonly line: Proof | null;
  watch: Watch | null;
  /** Monotonic ms. */
  openedAt: number;
  /** It ended because nothing came. */
  isSilent: boolean;
  /** It has brought a whole flush. */
  isMarked: boolean;
}

/**
 * The connection to the registry: watches the services that were asked for, and holds our own line in the same stream. Nothing
 * is opened before `start`, nor while nothing is wanted. When the wishes change, the new stream is open before the old one is
 * closed; after a break it resumes from the last cursor, trying again with jitter for as long as it takes. Where something on the way
 * holds streams back, services are polled until a stream comes through; a line cannot be held meanwhile.
 */
export class Feed {
  readonly #parts: FeedParts;
  /** Delivers. */
  #current: Stream | null = null;
  /** Is being opened, for the first time or to take over. */
  #next: Stream | null = null;
  #tick: Timer | null = null;
  #retry: Timer | null = null;
  #failures = 0;
  /** Streams in a row that ended because nothing came. */
  #silences = 0;
  /** While no stream comes through. */
  #poller: Poller | null = null;
  #isPollLost = false;
  #cursor: Cursor | null = null;
  /** The services that `#cursor` speaks for. */
  #held: readonly string[] = [];
  readonly #complaints: Complaints;
  /** The first call opens the stream, but its request's AsyncLocalStorage must not live on in it. */
  readonly #outside = new AsyncResource('RollcallFeed');
  #isStarted = false;
  #isClosed = false;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#complaints = new Complaints(parts.time);
  }

  /** Nothing is opened before. May be called twice. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.refresh();
  }

  /** Something that is wanted has changed. Many changes in one turn of the event loop make one new stream. */
  refresh(): void {
    if (!this.#isStarted || this.#isClosed || this.#tick !== null) return;
    this.#tick = this.#outside.runInAsyncScope(() =>
      this.#parts.time.setTimer(
        0,
        () => {
          this.#tick = null;
          this.#reconcile();
        },
        { background: true },
      ),
    );
  }

  /** May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#tick?.cancel();
    this.#retry?.cancel();
    this.#poller?.close();
    this.#next?.watch?.close();
    this.#current?.watch?.close();
  }

  /** While a stream is being opened or waits for its retry, wishes wait with it. */
  #reconcile(): void {
    const services = this.#parts.catalog.services;
    this.#poller?.follow(services);
    if (this.#isClosed || this.#next !== null || this.#retry !== null) return;
    const line = this.#parts.line?.proof() ?? null;
    const current = this.#current;
    if (services.length === 0 && line === null) current?.watch?.close();
    else if (current?.services !== services || current.line !== line) this.#open(services, line);
  }

  #open(services: readonly string[], line: Proof | null): void {
    const { catalog, link, namespace } = this.#parts;
    const cursor = this.#cursor;
    const held = new Set(this.#held);
    const resume = cursor === null ? [] : services.filter((name) => held.has(name) && catalog.canResume(name, cursor));
    const stream: Stream = { services, line, watch: null, openedAt: Infinity, isSilent: false, isMarked: false };
    this.#next = stream;
    const request = { namespace, services, resume, cursor: resume.length === 0 ? null : cursor, line };
    stream.watch = link.watch(request, this.#sink(stream));
  }

  #sink(stream: Stream): WatchSink {
    const isCurrent = (): boolean => stream === this.#current;
    return {
      opened: () => {
        if (stream === this.#next) this.#opened(stream);
      },
      frame: (frame) => {
        if (isCurrent()) this.#frame(stream, frame);
      },
      mark: (cursor) => {
        if (isCurrent()) this.#mark(stream, cursor);
      },
      together: (deliver) => this.#parts.catalog.together(deliver),
      silent: () => {
        stream.isSilent = true;
      },
      closed: (problem, trouble) => this.#closed(stream, problem, trouble),
    };
  }

  #opened(stream: Stream): void {
    const old = this.#current;
    this.#current = stream;
    this.#next = null;
    stream.openedAt = this.#parts.time.now();
    old?.watch?.close();
    this.#parts.contact.opened();
    if (stream.line !== null) this.#parts.line?.opened();
    this.#reconcile();
  }

  #frame(stream: Stream, frame: Frame): void {
    this.#stopPolling();
    switch (frame.event) {
      case 'status':
        if (frame.data.settled) this.#parts.catalog.settled();
        return;
      case 'gone':
        this.#gone(stream, frame.data);
        return;
      case 'reset':
      case 'change':
      case 'unknown':
        if (this.#parts.catalog.apply(frame) === 'broken') this.#break(stream, frame.data.service);
    }
  }

  /** Ours, and for the first time: then the session has done with this line. */
  #gone(stream: Stream, { id, reason }: GoneFrame): void {
    const proof = this.#parts.line?.proof() ?? null;
    if (proof !== null && proof === stream.line && proof.id === id) this.#parts.line?.gone(reason);
  }

  #break(stream: Stream, service: string): void {
    this.#complain('broken', `The change feed of "${service}" does not follow the protocol; it is watched anew.`);
    this.#ended(stream, null);
    stream.watch?.close();
  }

  #mark(stream: Stream, cursor: Cursor): void {
    stream.isMarked = true;
    this.#prove(stream);
    if (this.#parts.time.now() - stream.openedAt >= PROVEN_MS) this.#silences = 0;
    this.#cursor = cursor;
    this.#held = stream.services;
    this.#parts.catalog.confirm(stream.services);
  }

  #prove({ isMarked, openedAt }: Stream): void {
    if (!isMarked || this.#parts.time.now() - openedAt < STEADY_MS) return;
    this.#failures = 0;
    this.#complaints.over();
  }

  #closed(stream: Stream, problem: Problem | null, trouble: Error | undefined): void {
    if (stream === this.#next) this.#notOpened(stream, problem, trouble);
    else if (stream === this.#current) this.#ended(stream, problem);
  }

  #notOpened(stream: Stream, problem: Problem | null, trouble: Error | undefined): void {
    this.#next = null;
    if (problem !== null) this.#refused(stream, problem);
    else if (this.#poller === null) this.#parts.contact.missed(trouble ?? 'the change feed could not be opened');
    this.#goOn(stream, Math.min(problem?.retryAfterMs ?? 0, LONGEST_PATIENCE_MS));
  }

  #refused(stream: Stream, problem: Problem): void {
    this.#parts.contact.reached();
    if (stream.line !== null && ABOUT_LINE.has(problem.code)) this.#parts.line?.refused(problem);
    else if (problem.code === 'NOT_READY') this.#parts.log.debug(`The registry is not ready: ${problem.detail}`);
    else this.#complain(problem.code, `The registry refuses the change feed: ${problem.detail} ${problem.fix}`);
  }

  #complain(code: string, text: string): void {
    this.#complaints.add(code, () => this.#parts.log.warn(text));
  }

  #ended(stream: Stream, problem: Problem | null): void {
    this.#current = null;
    this.#prove(stream);
    if (problem !== null) this.#complain(problem.code, problem.detail);
    if (this.#poller === null) this.#lost();
    if (stream.line !== null) this.#parts.line?.ended();
    this.#goOn(stream, 0);
  }

  #lost(): void {
    this.#parts.catalog.lost();
    this.#parts.contact.closed();
  }

  #goOn(ended: Stream, leastMs: number): void {
    if (ended.isSilent) this.#silences += 1;
    if (this.#next !== null) return;
    const isHeldBack = this.#current === null && this.#silences >= MOST_SILENT && this.#startPolling();
    this.#retryAfter(isHeldBack ? STREAM_AGAIN_MS * (1 + this.#parts.random.unit() / 2) : leastMs);
  }

  #retryAfter(leastMs: number): void {
    if (this.#isClosed || this.#retry !== null) return;
    const { time, random, intervalMs } = this.#parts;
    const jitterMs = waitMs(this.#failures, intervalMs(), random);
    this.#failures += 1;
    this.#retry = time.setTimer(
      Math.max(jitterMs, leastMs),
      () => {
        this.#retry = null;
        this.#reconcile();
      },
      { background: true },
    );
  }

  // ---- where streams are held back -----------------------------------------------------------------------------------

  /** False where there is nothing to poll, or no way to. */
  #startPolling(): boolean {
    const { time, random, link, namespace, intervalMs, catalog } = this.#parts;
    const poll = link.poll?.bind(link);
    if (this.#isClosed || poll === undefined || catalog.services.length === 0) return false;
    if (this.#poller !== null) return true;
    this.#complain(
      'held back',
      `The change feed brings nothing: something between here and the registry at ${link.name} seems to hold streams back (a proxy ` +
        'that buffers?). Services are polled instead, and this process’s line to the registry cannot be held.',
    );
    this.#isPollLost = false;
    this.#poller = new Poller({
      time,
      random,
      namespace,
      poll,
      intervalMs,
      answered: (service, answer) => this.#answered(service, answer),
      failed: (error) => this.#pollFailed(error),
    });
    this.#poller.follow(catalog.services);
    return true;
  }

  #stopPolling(): void {
    this.#poller?.close();
    this.#poller = null;
  }

  #answered(service: string, answer: Result<ServiceViewAnswer, Problem>): void {
    const { catalog, contact, namespace } = this.#parts;
    if (answer.ok) {
      this.#apply({ event: 'reset', data: resetOf(answer.value) });
      if (answer.value.settled) catalog.settled();
    } else if (answer.problem.code === 'NOT_FOUND') {
      this.#apply({ event: 'unknown', data: { namespace, service } });
    } else {
      contact.reached();
      if (answer.problem.code !== 'NOT_READY')
        this.#complain(answer.problem.code, `${answer.problem.detail} ${answer.problem.fix}`);
      return;
    }
    catalog.confirm([service]);
    contact.opened();
    if (this.#isPollLost) this.#tryStream();
    this.#isPollLost = false;
  }

  #apply(frame: ServiceFrame): void {
    if (this.#parts.catalog.apply(frame) === 'broken') {
      this.#complain(
        'too much',
        `What the registry answers about "${frame.data.service}" is not believed: it is too much.`,
      );
    }
  }

  #pollFailed(error: unknown): void {
    this.#parts.contact.missed(error);
    if (!this.#isPollLost) this.#lost();
    this.#isPollLost = true;
  }

  /** The registry, or the way to it, is back: perhaps another one, through which streams come. */
  #tryStream(): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.#reconcile();
  }
}
