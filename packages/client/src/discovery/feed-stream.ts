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
import type { ThrottledLog } from '../registry-client/throttled-log.js';
import { waitMs } from '../registry-client/connection-status.js';
import type { Contact } from '../registry-client/connection-status.js';
import type { RegistryClient, Proof, Watch, WatchSink } from '../registry-client/registry-client.js';
import type { Catalog } from './catalog.js';
import { applyPolled } from './polled-answer.js';
import { Poller } from './poller.js';
import type { ReopenBudget } from './reopen-budget.js';
import type { Shard } from './stream-shards.js';

/** Refusals that concern the line, not the watch. */
const LINE_PROBLEM_CODES: ReadonlySet<ProblemCode> = new Set(['UNAUTHORIZED', 'TOKEN_LAPSED', 'NOT_FOUND', 'ENDED']);

/** Our own line: the feed carries it, the registration decides how to react to it. */
export interface Line {
  /** The proof to open the line with; null if no line is needed. A new object requests a new line. */
  proof(): Proof | null;
  opened(): void;
  ended(): void;
  /** The registry refused this line with 401, 404 or 410. */
  refused(problem: Problem): void;
  /** The registry reports on the line that it has removed this instance. */
  gone(reason: Reason): void;
}

/** The parts that all streams of a feed share. */
export interface FeedStreamParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Pick<Contact, 'reached' | 'missed'>;
  readonly catalog: Catalog;
  readonly namespace: string;
  /** The heartbeat interval, which limits the wait before a reconnect. */
  readonly intervalMs: () => number;
  readonly problems: ThrottledLog;
  readonly reopenings: ReopenBudget;
  /** Called when its services become current, and when they no longer are. */
  readonly up: (stream: FeedStream) => void;
  readonly down: (stream: FeedStream) => void;
}

/** A longer `retryAfterMs` of a registry is cut to this time. */
const MAX_RETRY_AFTER_MS = 5_000;
/** A stream that receives data for this long counts as working. */
const PROVEN_MS = 25_000;
/** A stream that ends sooner counts as a failure for the wait before the next one, even if it received data. */
const WORKING_AFTER_MS = 5_000;
/** After this many consecutive streams without data, polling starts. */
const MAX_SILENT_STREAMS = 2;
/** While services are polled, a stream is tried after this time, or up to half as much later. */
const STREAM_RETRY_MS = 120_000;

/** One connection. */
interface Connection {
  /** The tickets at its opening. A name with another ticket now no longer belongs to this connection. */
  readonly tickets: ReadonlyMap<string, number>;
  /** `Shard.additions` at its opening. */
  readonly additions: number;
  readonly line: Proof | null;
  watch: Watch | null;
  /** Monotonic ms. */
  openedAt: number;
  /** True if it ended because no data arrived. */
  isSilent: boolean;
  /** True once it has received a complete flush. */
  isMarked: boolean;
}

/**
 * Watches the services of one shard, and perhaps holds our line in the same stream, over consecutive connections. If a service is added,
 * the new connection opens before the old one closes. After a break it resumes from its last cursor and retries with jitter without end. If
 * a proxy buffers streams, it polls its services until a stream works; until then it has no line.
 */
export class FeedStream {
  readonly #shard: Shard;
  readonly #line: Line | null;
  readonly #parts: FeedStreamParts;
  /** The connection that delivers frames. */
  #current: Connection | null = null;
  /** The connection that is being opened, for the first time or to replace the current one. */
  #next: Connection | null = null;
  /** Runs until the next attempt, or until a stream may be reopened. */
  #retry: Timer | null = null;
  #failures = 0;
  /** Consecutive streams that ended because no data arrived. */
  #silences = 0;
  /** Set while no stream works. */
  #poller: Poller | null = null;
  #isPollLost = false;
  #cursor: Cursor | null = null;
  /** The tickets of the services that `#cursor` covers. */
  #held: ReadonlyMap<string, number> = new Map();
  #isClosed = false;

  /** `line` is null for a stream that only watches. */
  constructor(shard: Shard, line: Line | null, parts: FeedStreamParts) {
    this.#shard = shard;
    this.#line = line;
    this.#parts = parts;
  }

  /** Closes all connections. May be called twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#poller?.close();
    this.#next?.watch?.close();
    this.#current?.watch?.close();
  }

  /** Call it when the requested services or the line have changed. Changes wait while a stream is being opened or waits for its retry. */
  reconcile(): void {
    const { size, names, additions } = this.#shard;
    this.#poller?.follow(names);
    if (this.#isClosed || this.#next !== null || this.#retry !== null) return;
    const line = this.#line?.proof() ?? null;
    const current = this.#current;
    if (size === 0 && line === null) current?.watch?.close();
    else if (current === null || current.line !== line) this.#open(line);
    else if (current.additions !== additions) this.#reopen(line);
  }

  #reopen(line: Proof | null): void {
    const { time, reopenings } = this.#parts;
    const leftMs = reopenings.take(time.now());
    if (leftMs > 0) this.#reconcileAfter(leftMs);
    else this.#open(line);
  }

  #open(line: Proof | null): void {
    const { catalog, link, namespace } = this.#parts;
    const [cursor, held, shard] = [this.#cursor, this.#held, this.#shard];
    const isHeld = (name: string): boolean => held.get(name) !== undefined && held.get(name) === shard.ticket(name);
    const { names: services, additions } = shard;
    const resume = cursor === null ? [] : services.filter((name) => isHeld(name) && catalog.canResume(name, cursor));
    const kept = { watch: null, openedAt: Infinity, isSilent: false, isMarked: false };
    const connection: Connection = { tickets: shard.tickets(), additions, line, ...kept };
    this.#next = connection;
    const request = { namespace, services, resume, cursor: resume.length === 0 ? null : cursor, line };
    connection.watch = link.watch(request, this.#sink(connection));
  }

  #sink(connection: Connection): WatchSink {
    const isCurrent = (): boolean => connection === this.#current;
    return {
      opened: () => {
        if (connection === this.#next) this.#opened(connection);
      },
      frame: (frame) => {
        if (isCurrent()) this.#frame(connection, frame);
      },
      mark: (cursor) => {
        if (isCurrent()) this.#mark(connection, cursor);
      },
      batch: (deliver) => this.#parts.catalog.batch(deliver),
      silent: () => {
        connection.isSilent = true;
      },
      closed: (problem, connectError) => this.#closed(connection, problem, connectError),
    };
  }

  #opened(connection: Connection): void {
    const old = this.#current;
    this.#current = connection;
    this.#next = null;
    connection.openedAt = this.#parts.time.now();
    old?.watch?.close();
    this.#parts.up(this);
    if (connection.line !== null) this.#line?.opened();
    this.reconcile();
  }

  #frame(connection: Connection, frame: Frame): void {
    this.#stopPolling();
    switch (frame.event) {
      case 'status':
        if (frame.data.settled) this.#parts.catalog.settled(this.#carried(connection.tickets));
        return;
      case 'gone':
        this.#gone(connection, frame.data);
        return;
      case 'reset':
      case 'change':
      case 'unknown':
        this.#serviceFrame(connection, frame);
    }
  }

  #serviceFrame(connection: Connection, frame: ServiceFrame): void {
    const { service } = frame.data;
    const ticket = connection.tickets.get(service);
    // the service was forgotten meanwhile, and if it was requested again, another stream delivers it
    if (ticket === undefined || ticket !== this.#shard.ticket(service)) return;
    if (this.#parts.catalog.apply(frame) === 'broken') this.#break(connection, service);
  }

  /** The services of these tickets that are still requested. */
  #carried(tickets: ReadonlyMap<string, number>): readonly string[] {
    return this.#shard.names.filter((name) => tickets.get(name) === this.#shard.ticket(name));
  }

  /** Reports the removal if it is ours and new: the registration then gives up this line. */
  #gone(connection: Connection, { id, reason }: GoneFrame): void {
    const proof = this.#line?.proof() ?? null;
    if (proof !== null && proof === connection.line && proof.id === id) this.#line?.gone(reason);
  }

  #break(connection: Connection, service: string): void {
    this.#report('broken', `The change feed of "${service}" does not follow the protocol; it is watched again.`);
    this.#ended(connection, null);
    connection.watch?.close();
  }

  #mark(connection: Connection, cursor: Cursor): void {
    connection.isMarked = true;
    this.#prove(connection);
    if (this.#parts.time.now() - connection.openedAt >= PROVEN_MS) this.#silences = 0;
    this.#cursor = cursor;
    this.#held = connection.tickets;
    this.#parts.catalog.confirm(this.#carried(connection.tickets));
  }

  #prove({ isMarked, openedAt }: Connection): void {
    if (!isMarked || this.#parts.time.now() - openedAt < WORKING_AFTER_MS) return;
    this.#failures = 0;
    this.#parts.problems.over();
  }

  #closed(connection: Connection, problem: Problem | null, connectError: Error | undefined): void {
    if (connection === this.#next) this.#notOpened(connection, problem, connectError);
    else if (connection === this.#current) this.#ended(connection, problem);
  }

  #notOpened(connection: Connection, problem: Problem | null, connectError: Error | undefined): void {
    this.#next = null;
    if (problem !== null) this.#refused(connection, problem);
    else if (this.#poller === null && !this.#isClosed)
      this.#parts.contact.missed(connectError ?? 'the change feed could not be opened');
    this.#retryOrPoll(connection, Math.min(problem?.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
  }

  #refused(connection: Connection, problem: Problem): void {
    this.#parts.contact.reached();
    if (connection.line !== null && LINE_PROBLEM_CODES.has(problem.code)) this.#line?.refused(problem);
    else if (problem.code === 'NOT_READY') this.#parts.log.debug(`The registry is not ready: ${problem.detail}`);
    else this.#report(problem.code, `The registry refuses the change feed: ${problem.detail} ${problem.fix}`);
  }

  #report(code: string, text: string): void {
    this.#parts.problems.add(code, () => this.#parts.log.warn(text));
  }

  #ended(connection: Connection, problem: Problem | null): void {
    this.#current = null;
    this.#prove(connection);
    if (problem !== null) this.#report(problem.code, problem.detail);
    if (this.#poller === null) this.#lost();
    if (connection.line !== null) this.#line?.ended();
    this.#retryOrPoll(connection, 0);
  }

  #lost(): void {
    this.#parts.catalog.lost(this.#shard.names);
    this.#parts.down(this);
  }

  #retryOrPoll(ended: Connection, leastMs: number): void {
    if (ended.isSilent) this.#silences += 1;
    if (this.#next !== null) return;
    const isHeldBack = this.#current === null && this.#silences >= MAX_SILENT_STREAMS && this.#startPolling();
    this.#retryAfter(isHeldBack ? STREAM_RETRY_MS * (1 + this.#parts.random.unit() / 2) : leastMs);
  }

  #retryAfter(leastMs: number): void {
    if (this.#isClosed || this.#retry !== null) return;
    const { random, intervalMs } = this.#parts;
    const jitterMs = waitMs(this.#failures, intervalMs(), random);
    this.#failures += 1;
    this.#reconcileAfter(Math.max(jitterMs, leastMs));
  }

  #reconcileAfter(ms: number): void {
    this.#retry = this.#parts.time.setTimer(
      ms,
      () => {
        this.#retry = null;
        this.reconcile();
      },
      { background: true },
    );
  }

  // ---- polling if streams are buffered --------------------------------------------------------------------------------

  /** Returns false if no service is to be polled, or the client cannot poll. */
  #startPolling(): boolean {
    const { time, random, link, namespace, intervalMs } = this.#parts;
    const poll = link.poll?.bind(link);
    if (this.#isClosed || poll === undefined || this.#shard.size === 0) return false;
    if (this.#poller !== null) return true;
    this.#report(
      'held back',
      `The change feed delivers no data: something between here and the registry at ${link.name}, such as a proxy, seems to ` +
        'buffer streams. Services are polled instead, and this process cannot keep its line to the registry open.',
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
    this.#poller.follow(this.#shard.names);
    return true;
  }

  #stopPolling(): void {
    this.#poller?.close();
    this.#poller = null;
  }

  #answered(service: string, answer: Result<ServiceViewAnswer, Problem>): void {
    const { catalog, namespace, contact } = this.#parts;
    const report = (code: string, text: string): void => this.#report(code, text);
    if (!applyPolled(service, answer, { catalog, namespace, report })) return contact.reached();
    this.#parts.up(this);
    if (this.#isPollLost) this.#tryStream();
    this.#isPollLost = false;
  }

  #pollFailed(error: unknown): void {
    this.#parts.contact.missed(error);
    if (!this.#isPollLost) this.#lost();
    this.#isPollLost = true;
  }

  /** Called when the registry is reachable again, perhaps over another path that does not buffer streams. */
  #tryStream(): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.reconcile();
  }
}
