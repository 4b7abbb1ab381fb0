import { serviceKeyOf } from '../instances/instance-table.js';
import type { SharedFrame, WatcherSink, WatchOrder } from '../registry-api.js';
import type { SizedFrame, ServiceRef } from './frames.js';
import { share } from './frames.js';

/** The longest silence of a stream, ms, unless its order sets a shorter one. */
export const BEAT_MS = 10_000;
/** A stream that reads nothing for this long, or stays above `MAX_BEHIND_BYTES` for it, is cut, ms. */
const PATIENCE_MS = 10_000;
/** Maximum of bytes that wait here for a watcher, without whole views. */
const MAX_BEHIND_BYTES = 1_048_576;
/** Maximum of bytes handed to a sink ahead of its peer; the rest waits here, where frames are shared. */
const SINK_BYTES = 524_288;
/** Maximum of unknown names that come with a hint: a search takes time, and clients choose the names. */
const MAX_HINTS = 8;

/** The data that a subscriber reads from the feed while it is written to. */
export interface FeedSource {
  readonly epoch: string;
  readonly settled: boolean;
  readonly status: SizedFrame;
  /** The whole view of a service. */
  reset(of: ServiceRef): readonly SizedFrame[];
  /** The changes since a revision; null if the service did not exist then, so that only a reset is correct. */
  changes(of: ServiceRef, since: number): readonly SizedFrame[] | null;
  /** The service probably meant by an unknown name; null: none, or there is no time to search. */
  nearest(of: ServiceRef): string | null;
}

interface PendingService {
  readonly of: ServiceRef;
  /** The revision up to which the watcher has the service; null: it has nothing. */
  readonly since: number | null;
}

/** An item of the outbox. A mark ends a flush; with a revision it means that everything up to it was sent. */
type OutboxItem = SizedFrame | { readonly mark: number | null };

/**
 * A watcher: its services, its current copy, its pending frames, and its backlog. A service that it does
 * not have is sent as a whole; until then, its changes are not sent. Frames go to the sink while it has room, else they
 * wait here, in order: a reset is paced by the peer, and an id line never covers data that has not been sent.
 */
export class Subscriber {
  readonly namespace: string;
  /** Names of services, or `*`. */
  readonly names: ReadonlySet<string>;
  readonly line: WatchOrder['line'];
  readonly sink: WatcherSink;
  /** Its longest silence, ms. */
  readonly beatMs: number;
  /** Monotonic ms of the last bytes. */
  wroteAt: number;
  readonly #known = new Set<string>();
  readonly #pendingServices = new Map<string, PendingService>();
  /** Unknown names among those it asks for, or holds with `*`, until they are reported to it. */
  readonly #absent = new Set<string>();
  #hintsLeft = MAX_HINTS;
  #outbox: OutboxItem[] = [];
  #outboxBytes = 0;
  #changeBytes = 0;
  #sentRevision: number;
  #isStatusDue = true;
  #isBeatDue = false;
  #backlog = 0;
  #progressAt: number;
  #behindSince: number | null = null;

  /** `sentRevision`: the revision up to which it has the services that it resumes. */
  constructor(order: WatchOrder, sink: WatcherSink, now: number, sentRevision: number) {
    this.namespace = order.namespace;
    this.names = new Set(order.services);
    this.line = order.line;
    this.sink = sink;
    this.beatMs = order.beatMs ?? BEAT_MS;
    this.wroteAt = now;
    this.#progressAt = now;
    this.#sentRevision = sentRevision;
    const resumed = this.names.has('*') ? order.resume : [];
    for (const name of [...this.names, ...resumed]) if (name !== '*') this.#absent.add(name);
  }

  wants(of: ServiceRef): boolean {
    if (this.namespace !== '*' && this.namespace !== of.namespace) return false;
    return this.names.has(of.service) || this.names.has('*');
  }

  /** Bytes that wait for the peer, here and in the sink. */
  get bufferedBytes(): number {
    return this.#outboxBytes + this.#backlog;
  }

  /** When its next beat is due if nothing else is written, monotonic ms. */
  get beatAt(): number {
    return this.wroteAt + this.beatMs;
  }

  /** True if more is pending than there is room for. */
  get hasBacklog(): boolean {
    return this.#pendingServices.size > 0 || this.#outbox.length > 0;
  }

  /** Schedules a service to be sent: all of it, or its changes `since`. */
  enqueue(of: ServiceRef, since: number | null): void {
    this.#pendingServices.set(serviceKeyOf(of.namespace, of.service), { of, since });
    this.#absent.delete(of.service);
  }

  /** Passes on a change of a service; a service that the watcher does not have is scheduled as a whole. */
  change(of: ServiceRef, frames: () => readonly SizedFrame[]): void {
    const key = serviceKeyOf(of.namespace, of.service);
    if (this.#known.has(key)) this.#put(frames());
    else if (!this.#pendingServices.has(key)) this.enqueue(of, null);
  }

  /** Nothing is left of a service: if it appears again, it is sent as a whole. */
  forget({ namespace, service }: ServiceRef): void {
    this.#known.delete(serviceKeyOf(namespace, service));
  }

  /** Sends a frame to its line. */
  note(frame: SizedFrame): void {
    this.#put([frame]);
  }

  statusChanged(): void {
    this.#isStatusDue = true;
  }

  beatDue(): void {
    this.#isStatusDue = true;
    this.#isBeatDue = true;
  }

  /** Checks how far behind it is. Returns the reason why it must be cut, or null. */
  lag(now: number): string | null {
    const backlog = this.sink.backlog();
    if (backlog === 0 || backlog < this.#backlog) this.#progressAt = now;
    this.#backlog = backlog;
    if (this.#changeBytes <= MAX_BEHIND_BYTES) this.#behindSince = null;
    else this.#behindSince ??= now;
    if (now - this.#progressAt >= PATIENCE_MS) return 'the client read nothing for 10 s';
    if (this.#behindSince === null || now - this.#behindSince < PATIENCE_MS) return null;
    return 'the client was more than 1 MiB behind for 10 s';
  }

  /** Hands over what is due, as far as there is room. `revision`: up to which changes were passed to it. */
  write(source: FeedSource, revision: number, now: number): void {
    if (this.#isStatusDue) this.#put([source.status]);
    this.#isStatusDue = false;
    this.#collectServices(source);
    this.#collectAbsent(source);
    if (this.#pendingServices.size === 0) this.#outbox.push({ mark: revision });
    else if (this.#outbox.length > 0) this.#outbox.push({ mark: null });
    this.#send(source.epoch, now);
    if (this.#isBeatDue) {
      this.sink.beat({ epoch: source.epoch, revision: this.#sentRevision });
      this.wroteAt = now;
    }
    this.#isBeatDue = false;
    this.#backlog = this.sink.backlog();
  }

  /** Frees what waits for it at once, though its owner may keep the object for a while. */
  release(): void {
    this.#pendingServices.clear();
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#changeBytes = 0;
  }

  #collectServices(source: FeedSource): void {
    for (const [key, { of, since }] of this.#pendingServices) {
      if (this.bufferedBytes >= SINK_BYTES) return;
      const changes = since === null ? null : source.changes(of, since);
      this.#put(changes ?? source.reset(of));
      this.#pendingServices.delete(key);
      this.#known.add(key);
    }
  }

  /** Only a settled feed reports that a name does not exist, in its namespace or in any. */
  #collectAbsent(source: FeedSource): void {
    const { namespace } = this;
    if (!source.settled) return;
    for (const service of this.#absent) {
      const nearest = this.#hintsLeft > 0 ? source.nearest({ namespace, service }) : null;
      this.#hintsLeft -= 1;
      const data = nearest === null ? { namespace, service } : { namespace, service, nearest };
      this.#put([share({ event: 'unknown', data })]);
    }
    this.#absent.clear();
  }

  #put(frames: readonly SizedFrame[]): void {
    for (const frame of frames) {
      this.#outbox.push(frame);
      this.#outboxBytes += frame.bytes;
      if (!frame.isOfView) this.#changeBytes += frame.bytes;
    }
  }

  #send(epoch: string, now: number): void {
    let frames: SharedFrame[] = [];
    let room = SINK_BYTES - this.#backlog;
    let taken = 0;
    const flush = (): void => {
      if (frames.length === 0) return;
      this.sink.flush(frames, { epoch, revision: this.#sentRevision });
      this.wroteAt = now;
      frames = [];
    };
    for (const item of this.#outbox) {
      if ('mark' in item) {
        this.#sentRevision = item.mark ?? this.#sentRevision;
        flush();
      } else {
        if (room <= 0) break;
        frames.push(item.shared);
        room -= item.bytes;
        this.#outboxBytes -= item.bytes;
        if (!item.isOfView) this.#changeBytes -= item.bytes;
      }
      taken += 1;
    }
    flush();
    this.#outbox = this.#outbox.slice(taken);
  }
}
