import { AsyncResource } from 'node:async_hooks';
import type { Cursor, Frame, Log, Problem, Random, Reason, Time, Timer } from '@rollcall/core';
import type { Catalog } from './catalog.js';
import { waitMs } from './contact.js';
import type { Contact } from './contact.js';
import type { Link, Proof, Watch, WatchSink } from './link/link.js';

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

/** One connection of the feed. */
interface Stream {
  readonly services: readonly string[];
  readonly line: Proof | null;
  watch: Watch | null;
}

/**
 * The connection to the registry: watches the services that were asked for, and holds our own line in the same stream. Nothing
 * is opened before `start`, nor while nothing is wanted. When the wishes change, the new stream is open before the old one is
 * closed; after a break it resumes from the last cursor, trying again with jitter for as long as it takes.
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
  #cursor: Cursor | null = null;
  /** The services that `#cursor` speaks for. */
  #held: readonly string[] = [];
  /** What was said last, so that a lasting trouble is told once. */
  #complaint: string | null = null;
  /** The first call opens the stream, but its request's AsyncLocalStorage must not live on in it. */
  readonly #outside = new AsyncResource('RollcallFeed');
  #isStarted = false;
  #isClosed = false;

  constructor(parts: FeedParts) {
    this.#parts = parts;
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
    this.#next?.watch?.close();
    this.#current?.watch?.close();
  }

  /** While a stream is being opened or waits for its retry, wishes wait with it. */
  #reconcile(): void {
    if (this.#isClosed || this.#next !== null || this.#retry !== null) return;
    const services = this.#parts.catalog.services;
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
    const stream: Stream = { services, line, watch: null };
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
      closed: (problem) => this.#closed(stream, problem),
    };
  }

  #opened(stream: Stream): void {
    const old = this.#current;
    this.#current = stream;
    this.#next = null;
    old?.watch?.close();
    this.#parts.contact.opened();
    if (stream.line !== null) this.#parts.line?.opened();
    this.#reconcile();
  }

  #frame(stream: Stream, frame: Frame): void {
    switch (frame.event) {
      case 'status':
        if (frame.data.settled) this.#parts.catalog.settled();
        return;
      case 'gone':
        this.#parts.line?.gone(frame.data.reason);
        return;
      case 'reset':
      case 'change':
      case 'unknown':
        if (this.#parts.catalog.apply(frame) === 'broken') this.#break(stream, frame.data.service);
    }
  }

  #break(stream: Stream, service: string): void {
    this.#complain(`The change feed of "${service}" does not follow the protocol; it is watched anew.`);
    this.#ended(stream, null);
    stream.watch?.close();
  }

  #mark(stream: Stream, cursor: Cursor): void {
    this.#failures = 0;
    this.#cursor = cursor;
    this.#held = stream.services;
    this.#parts.catalog.confirm(stream.services);
  }

  #closed(stream: Stream, problem: Problem | null): void {
    if (stream === this.#next) this.#notOpened(stream, problem);
    else if (stream === this.#current) this.#ended(stream, problem);
  }

  #notOpened(stream: Stream, problem: Problem | null): void {
    this.#next = null;
    if (problem === null) this.#parts.contact.missed('the change feed could not be opened');
    else this.#refused(stream, problem);
    this.#retryAfter(Math.min(problem?.retryAfterMs ?? 0, LONGEST_PATIENCE_MS));
  }

  #refused(stream: Stream, problem: Problem): void {
    this.#parts.contact.reached();
    const isAboutLine = problem.code === 'UNAUTHORIZED' || problem.code === 'NOT_FOUND' || problem.code === 'ENDED';
    if (stream.line !== null && isAboutLine) this.#parts.line?.refused(problem);
    else if (problem.code === 'NOT_READY') this.#parts.log.debug(`The registry is not ready: ${problem.detail}`);
    else this.#complain(`The registry refuses the change feed: ${problem.detail} ${problem.fix}`);
  }

  #complain(text: string): void {
    if (text !== this.#complaint) this.#parts.log.warn(text);
    this.#complaint = text;
  }

  #ended(stream: Stream, problem: Problem | null): void {
    this.#current = null;
    if (problem !== null) this.#complain(problem.detail);
    this.#parts.catalog.lost();
    this.#parts.contact.closed();
    if (stream.line !== null) this.#parts.line?.ended();
    if (this.#next === null) this.#retryAfter(0);
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
}
