import { serviceKeyOf } from '../instances/instance-table.js';
import type { SharedFrame, WatcherSink, WatchOrder } from '../registry-api.js';
import type { SizedFrame, ServiceRef } from './frames.js';
import { share } from './frames.js';

/** The longest silence of a stream, where its order names no shorter one. */
export const BEAT_MS = 10_000;
/** A stream that takes nothing for this long, or stays above `MOST_BEHIND_BYTES` for it, is cut. */
const PATIENCE_MS = 10_000;
/** So much may wait here for a watcher, whole views not counted. */
const MOST_BEHIND_BYTES = 1_048_576;
/** What a sink is given ahead of its peer: the rest waits here, where frames are shared. */
const ROOM_BYTES = 524_288;
/** So many names that nobody bears come with the one that was probably meant: looking for that takes time, and names come from strangers. */
const MOST_HINTS = 8;

/** What a subscriber takes from the feed while it is written to. */
export interface FeedSource {
  readonly epoch: string;
  readonly settled: boolean;
  readonly status: SizedFrame;
  /** The whole view of a service. */
  reset(of: ServiceRef): readonly SizedFrame[];
  /** What changed since a revision; null when the service was not there yet, so that only a reset tells the truth. */
  changes(of: ServiceRef, since: number): readonly SizedFrame[] | null;
  /** The service that was probably meant by a name that nobody bears; null also where there is no time to look. */
  nearest(of: ServiceRef): string | null;
}

interface Debt {
  readonly of: ServiceRef;
  /** The revision up to which the watcher knows the service; null: it knows nothing. */
  readonly since: number | null;
}

/** Something that waits to be sent. A mark ends a flush; one with a revision says that all was sent up to it. */
type Waiting = SizedFrame | { readonly mark: number | null };

/**
 * One watcher: what it asked for, what it knows, what it is owed, and how far behind it is. A service that it does not know
 * is owed as a whole; until that is sent, its changes are not. Frames are handed to the sink while it has room, else
 * they wait here, in order: so a reset is paced by the peer, and an id line never promises what has not been sent.
 */
export class Subscriber {
  readonly namespace: string;
  /** Of services, or `*`. */
  readonly names: ReadonlySet<string>;
  readonly line: WatchOrder['line'];
  readonly sink: WatcherSink;
  /** Its longest silence. */
  readonly beatMs: number;
  /** Monotonic ms of the last bytes. */
  wroteAt: number;
  readonly #known = new Set<string>();
  readonly #owed = new Map<string, Debt>();
  /** Names that nobody bears, of those that it asks for, or of `*` holds, until it is told so. */
  readonly #absent = new Set<string>();
  #hintsLeft = MOST_HINTS;
  #outbox: Waiting[] = [];
  #outboxBytes = 0;
  #changeBytes = 0;
  #sentRevision: number;
  #isStatusDue = true;
  #isBeatDue = false;
  #backlog = 0;
  #progressAt: number;
  #farBehindSince: number | null = null;

  /** `sentRevision`: up to where it knows the services that it resumes. */
  constructor(order: WatchOrder, sink: WatcherSink, now: number, sentRevision: number) {
    this.namespace = order.namespace;
    this.names = new Set(order.services);
    this.line = order.line;
    this.sink = sink;
    this.beatMs = order.beatMs ?? BEAT_MS;
    this.wroteAt = now;
    this.#progressAt = now;
    this.#sentRevision = sentRevision;
    const held = this.names.has('*') ? order.resume : [];
    for (const name of [...this.names, ...held]) if (name !== '*') this.#absent.add(name);
  }

  wants(of: ServiceRef): boolean {
    if (this.namespace !== '*' && this.namespace !== of.namespace) return false;
    return this.names.has(of.service) || this.names.has('*');
  }

  /** Bytes that wait for its peer, here and in the sink. */
  get heldBytes(): number {
    return this.#outboxBytes + this.#backlog;
  }

  /** When its next sign of life is due if nothing else is written. */
  get beatAt(): number {
    return this.wroteAt + this.beatMs;
  }

  /** It is owed more than it has room for. */
  get isHungry(): boolean {
    return this.#owed.size > 0 || this.#outbox.length > 0;
  }

  /** Owes it a service: all of it, or what changed `since`. */
  owe(of: ServiceRef, since: number | null): void {
    this.#owed.set(serviceKeyOf(of.namespace, of.service), { of, since });
    this.#absent.delete(of.service);
  }

  /** A service changed. One that it does not know, it is owed as a whole. */
  change(of: ServiceRef, frames: () => readonly SizedFrame[]): void {
    const key = serviceKeyOf(of.namespace, of.service);
    if (this.#known.has(key)) this.#put(frames());
    else if (!this.#owed.has(key)) this.owe(of, null);
  }

  /** Nothing is left of a service: if it comes again, it comes as a whole. */
  forget({ namespace, service }: ServiceRef): void {
    this.#known.delete(serviceKeyOf(namespace, service));
  }

  /** A word to its line. */
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

  /** Looks how far behind it is. Gives the reason why it must be cut, or null. */
  lag(now: number): string | null {
    const backlog = this.sink.backlog();
    if (backlog === 0 || backlog < this.#backlog) this.#progressAt = now;
    this.#backlog = backlog;
    if (this.#changeBytes <= MOST_BEHIND_BYTES) this.#farBehindSince = null;
    else this.#farBehindSince ??= now;
    if (now - this.#progressAt >= PATIENCE_MS) return 'it took nothing for 10 s';
    if (this.#farBehindSince === null || now - this.#farBehindSince < PATIENCE_MS) return null;
    return 'it was more than 1 MiB behind for 10 s';
  }

  /** Hands over what is due, as far as there is room. `revision`: up to where changes have been told to it. */
  write(source: FeedSource, revision: number, now: number): void {
    if (this.#isStatusDue) this.#put([source.status]);
    this.#isStatusDue = false;
    this.#collectDebts(source);
    this.#collectAbsent(source);
    if (this.#owed.size === 0) this.#outbox.push({ mark: revision });
    else if (this.#outbox.length > 0) this.#outbox.push({ mark: null });
    this.#send(source.epoch, now);
    if (this.#isBeatDue) {
      this.sink.beat({ epoch: source.epoch, revision: this.#sentRevision });
      this.wroteAt = now;
    }
    this.#isBeatDue = false;
    this.#backlog = this.sink.backlog();
  }

  /** It has ended: what waits for it is let go at once, though others may still hold it for a while. */
  release(): void {
    this.#owed.clear();
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#changeBytes = 0;
  }

  #collectDebts(source: FeedSource): void {
    for (const [key, { of, since }] of this.#owed) {
      if (this.heldBytes >= ROOM_BYTES) return;
      const changes = since === null ? null : source.changes(of, since);
      this.#put(changes ?? source.reset(of));
      this.#owed.delete(key);
      this.#known.add(key);
    }
  }

  /** That a name does not exist, in its namespace or in any, is said only by a feed that is settled. */
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
    let room = ROOM_BYTES - this.#backlog;
    let taken = 0;
    const flush = (): void => {
      if (frames.length === 0) return;
      this.sink.flush(frames, { epoch, revision: this.#sentRevision });
      this.wroteAt = now;
      frames = [];
    };
    for (const waiting of this.#outbox) {
      if ('mark' in waiting) {
        this.#sentRevision = waiting.mark ?? this.#sentRevision;
        flush();
      } else {
        if (room <= 0) break;
        frames.push(waiting.shared);
        room -= waiting.bytes;
        this.#outboxBytes -= waiting.bytes;
        if (!waiting.isOfView) this.#changeBytes -= waiting.bytes;
      }
      taken += 1;
    }
    flush();
    this.#outbox = this.#outbox.slice(taken);
  }
}
