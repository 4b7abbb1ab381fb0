import type {
  Counter,
  Gauge,
  Histogram,
  Instance,
  Log,
  Meter,
  Reason,
  StatusFrame,
  Time,
  Timer,
  Tombstone,
} from '@rollcall/core';
import { messageOf } from '@rollcall/core';
import { serviceKeyOf } from '../instances/instance-table.js';
import type { Watcher, WatcherSink, WatchOrder } from '../registry-api.js';
import { DeadlineHeap } from '../runtime/deadline-heap.js';
import { changeFrames, share } from './frames.js';
import type { ServiceRef, SizedFrame } from './frames.js';
import { NameHints } from './name-hints.js';
import { Snapshots } from './snapshots.js';
import type { FeedView } from './snapshots.js';
import { Subscriber } from './subscriber.js';
import type { FeedSource } from './subscriber.js';
import { Subscriptions } from './subscriptions.js';

export type { FeedView } from './snapshots.js';

export interface FeedPorts {
  readonly time: Time;
  /** The epoch of the registry's history: a UUID. */
  readonly epoch: string;
  readonly view: FeedView;
  readonly meter: Meter;
  readonly log: Log;
}

/** A watch stream, as the engine holds it. */
export interface FeedWatcher extends Watcher {
  readonly services: number;
  /** Writes to it soon: if the peer is gone, the connection reports it. */
  ping(): void;
  /** Stops writing to it. Idempotent, also after it was cut. */
  closed(): void;
}

interface Pending {
  readonly of: ServiceRef;
  readonly upsert: Map<string, Instance>;
  readonly remove: Map<string, Tombstone>;
}

/** Minimum time between two flushes, ms and durations of the last one; the first one after a pause is immediate. */
const WINDOW_MS = 20;
const WINDOW_FACTOR = 4;
/** Maximum time of writing per turn of the event loop, ms: heartbeats come first. */
const SLICE_MS = 10;
/** Maximum of bytes that wait for all watchers together. */
const MAX_BUFFERED_BYTES = 256 * 1_048_576;
/** Maximum of service names of a watcher in a log line. */
const MAX_NAMES = 8;

/**
 * The change feed: assigns revisions and sends every watcher its services in flushes. An instance occurs at most once
 * in a flush, in its latest version. It knows no sockets: a simulation connects its watchers directly.
 */
export class Feed {
  readonly epoch: string;
  readonly #ports: FeedPorts;
  readonly #instruments: { readonly watchers: Gauge; readonly cuts: Counter; readonly flushes: Histogram };
  readonly #snapshots: Snapshots;
  /** Every watcher with its callback for a cut. */
  readonly #watchers = new Map<Subscriber, () => void>();
  /** When each watcher needs a beat, as last known: checked again when it is due. */
  readonly #beats = new DeadlineHeap<Subscriber>();
  readonly #byName = new Subscriptions();
  readonly #lines = new Map<string, Subscriber>();
  #lastAssigned = 0;
  #published = 0;
  /** The revision up to which changes were passed to the watchers. */
  #flushed = 0;
  #pending = new Map<string, Pending>();
  #status: StatusFrame = { settled: false };
  #statusFrame = share({ event: 'status', data: this.#status });
  /** The watchers with something to send at the next flush, and those not yet written to in this one. */
  readonly #dirty = new Set<Subscriber>();
  #writing: Subscriber[] = [];
  #workMs = 0;
  #nextFlushAt = -Infinity;
  #timer: { readonly at: number; readonly handle: Timer } | null = null;
  #isClosed = false;

  constructor(ports: FeedPorts) {
    this.#ports = ports;
    this.epoch = ports.epoch;
    this.#snapshots = new Snapshots(ports.view, ports.epoch);
    const { meter } = ports;
    this.#instruments = {
      watchers: meter.gauge('rollcall_registry_watchers', 'Open watch streams.'),
      cuts: meter.counter('rollcall_registry_watchers_cut_total', 'Streams closed because the client is slow.'),
      flushes: meter.histogram('rollcall_registry_feed_flush_seconds', 'Duration of a flush to all its watchers.'),
    };
  }

  /** The last published revision. */
  get revision(): number {
    return this.#published;
  }

  /** The number of streams. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Continues after the revisions of a store. Call it before the first publication. */
  startAt(revision: number): void {
    this.#lastAssigned = revision;
    this.#published = revision;
    this.#flushed = revision;
    this.#snapshots.begin(revision);
  }

  /** Assigns the next revision. Publish records and tombstones in the order of their revisions. */
  nextRevision(): number {
    this.#lastAssigned += 1;
    return this.#lastAssigned;
  }

  /** Sends an instance to its watchers, soon. Throws RangeError for a revision not above the last published one. */
  publish(instance: Instance): void {
    const pending = this.#advance(instance, instance.revision);
    pending.remove.delete(instance.id);
    pending.upsert.set(instance.id, instance);
  }

  /** As `publish`, for an instance that was removed. */
  bury(namespace: string, service: string, tombstone: Tombstone): void {
    const pending = this.#advance({ namespace, service }, tombstone.revision);
    pending.upsert.delete(tombstone.id);
    pending.remove.set(tombstone.id, tombstone);
  }

  /** The view dropped a tombstone for good (and not because its instance came back). */
  forget(tombstone: ServiceRef & Pick<Tombstone, 'revision'>): void {
    this.#snapshots.forget(tombstone);
    const { namespace, service } = tombstone;
    if (this.#ports.view.has(namespace, service)) return;
    // nothing is left of it, so watchers of everything drop it, too
    for (const watcher of this.#byName.of({ namespace, service })) watcher.forget({ namespace, service });
  }

  /** Sends a changed status to all watchers; a settled feed also reports the names that do not exist. */
  status(status: StatusFrame): void {
    if (status.settled === this.#status.settled && status.degraded === this.#status.degraded) return;
    this.#status = status;
    this.#statusFrame = share({ event: 'status', data: status });
    for (const watcher of this.#watchers.keys()) {
      watcher.statusChanged();
      this.#dirty.add(watcher);
    }
    this.#plan();
  }

  /** Reports to the newest line of an instance that the instance was removed. */
  gone(id: string, reason: Reason): void {
    const line = this.#lines.get(id);
    if (line === undefined) return;
    line.note(share({ event: 'gone', data: { id, reason } }));
    this.#dirty.add(line);
    this.#plan();
  }

  /** The number of streams that watch a service. */
  watcherCount(namespace: string, service: string): number {
    return [...this.#byName.of({ namespace, service })].length;
  }

  /**
   * Writes to `sink` from now on: first every service of the order, or its changes since the cursor where it resumes.
   * `onCut` is called when the feed ends a slow watcher (after `sink.end()`), and never after `closed`.
   */
  watch(order: WatchOrder, sink: WatcherSink, onCut: () => void = () => {}): FeedWatcher {
    if (this.#isClosed) {
      sink.end();
      return { ping() {}, closed() {}, services: 0 };
    }
    const since = this.#resumable(order);
    const resume = new Set(order.resume);
    const watcher = new Subscriber(order, sink, this.#ports.time.now(), since ?? 0);
    const wanted = this.#wantedBy(watcher);
    for (const of of wanted) {
      watcher.enqueue(of, resume.has(of.service) || resume.has('*') ? since : null);
    }
    // it existed in this epoch and no longer does: no other frame would report that
    if (order.cursor?.epoch === this.epoch) for (const of of this.#removed(watcher, resume)) watcher.enqueue(of, null);
    this.#watchers.set(watcher, onCut);
    this.#beats.put(watcher.beatAt, watcher);
    this.#byName.add(watcher);
    if (order.line !== null) this.#lines.set(order.line.id, watcher);
    this.#instruments.watchers.set(this.#watchers.size);
    this.#markDirty(watcher);
    return {
      ping: () => {
        if (!this.#watchers.has(watcher)) return;
        watcher.beatDue();
        this.#markDirty(watcher);
      },
      closed: () => this.#drop(watcher),
      services: wanted.length,
    };
  }

  /** Ends every stream. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.handle.cancel();
    for (const watcher of this.#watchers.keys()) {
      this.#drop(watcher);
      watcher.sink.end();
    }
    this.#pending.clear();
  }

  /** The existing services that it asks for; named ones are looked up, as callers have many streams. */
  #wantedBy(watcher: Subscriber): readonly ServiceRef[] {
    const { namespace, names } = watcher;
    const { view } = this.#ports;
    if (namespace === '*' || names.has('*')) return [...view.services(namespace)].filter((of) => watcher.wants(of));
    return [...names].filter((service) => view.has(namespace, service)).map((service) => ({ namespace, service }));
  }

  /** The services that a watcher wants to resume and that do not exist any more. */
  #removed(watcher: Subscriber, resume: ReadonlySet<string>): readonly ServiceRef[] {
    const { namespace } = watcher;
    if (namespace === '*') return [];
    const named = [...resume].filter((service) => service !== '*').map((service) => ({ namespace, service }));
    return named.filter((of) => watcher.wants(of) && !this.#ports.view.has(namespace, of.service));
  }

  /** The revision from which the order can resume; null if it cannot. */
  #resumable({ cursor }: WatchOrder): number | null {
    if (cursor === null || cursor.epoch !== this.epoch) return null;
    const isKnown = cursor.revision <= this.#published && this.#snapshots.reachesBackTo(cursor.revision);
    return isKnown ? cursor.revision : null;
  }

  #advance({ namespace, service }: ServiceRef, revision: number): Pending {
    if (revision <= this.#published) {
      throw new RangeError(`Revisions never go back: ${revision} cannot be published after ${this.#published}.`);
    }
    this.#published = revision;
    const key = serviceKeyOf(namespace, service);
    this.#snapshots.changed(key, revision);
    const pending = this.#pending.get(key) ?? { of: { namespace, service }, upsert: new Map(), remove: new Map() };
    this.#pending.set(key, pending);
    this.#plan();
    return pending;
  }

  #markDirty(watcher: Subscriber): void {
    this.#dirty.add(watcher);
    this.#plan();
  }

  // ---- flushing ---------------------------------------------------------------------------------------------------

  /** Sets the one timer: for the rest of this flush, the next flush, or a beat, which is a flush, too. */
  #plan(): void {
    if (this.#isClosed) return;
    const { time } = this.#ports;
    const now = time.now();
    let at = this.#beats.nextAt;
    if (this.#pending.size > 0 || this.#dirty.size > 0) at = now;
    at = this.#writing.length > 0 ? now : Math.max(at, this.#nextFlushAt, now);
    if (at === Infinity || (this.#timer !== null && this.#timer.at <= at)) return;
    this.#timer?.handle.cancel();
    this.#timer = { at, handle: time.setTimer(at - now, () => this.#run(), { background: true }) };
  }

  #run(): void {
    this.#timer = null;
    if (this.#writing.length === 0 && this.#ports.time.now() >= this.#nextFlushAt) {
      this.#markBeats();
      if (this.#pending.size > 0 || this.#dirty.size > 0) this.#beginFlush();
    }
    this.#writeSlice();
    this.#plan();
  }

  #beginFlush(): void {
    const startedAt = this.#ports.time.now();
    const pending = this.#pending;
    this.#pending = new Map();
    this.#flushed = this.#published;
    for (const { of, upsert, remove } of pending.values()) {
      let frames: readonly SizedFrame[] | undefined;
      const build = (): readonly SizedFrame[] =>
        (frames ??= changeFrames(of, [...upsert.values()], [...remove.values()]));
      for (const watcher of this.#byName.of(of)) {
        watcher.change(of, build);
        this.#dirty.add(watcher);
      }
    }
    this.#writing = [...this.#dirty].toReversed();
    this.#dirty.clear();
    this.#workMs = this.#ports.time.now() - startedAt;
  }

  #markBeats(): void {
    const now = this.#ports.time.now();
    for (let due = this.#beats.take(now); due !== null; due = this.#beats.take(now)) {
      const watcher = due.item;
      if (!this.#watchers.has(watcher)) continue;
      const isDue = watcher.beatAt <= now;
      this.#beats.put(isDue ? now + watcher.beatMs : watcher.beatAt, watcher);
      if (!isDue) continue;
      watcher.beatDue();
      this.#dirty.add(watcher);
    }
  }

  #writeSlice(): void {
    if (this.#writing.length === 0) return;
    const { time } = this.#ports;
    const startedAt = time.now();
    const source = this.#source(startedAt + SLICE_MS);
    let now = startedAt;
    while (now - startedAt < SLICE_MS) {
      const watcher = this.#writing.pop();
      if (watcher === undefined) break;
      this.#writeTo(watcher, source, now);
      now = time.now();
    }
    this.#workMs += now - startedAt;
    if (this.#writing.length > 0) return;
    this.#nextFlushAt = now + Math.max(WINDOW_MS, WINDOW_FACTOR * this.#workMs);
    this.#instruments.flushes.record(this.#workMs / 1_000);
    this.#enforceMemoryLimit();
  }

  #writeTo(watcher: Subscriber, source: FeedSource, now: number): void {
    if (!this.#watchers.has(watcher)) return;
    try {
      const lag = watcher.lag(now);
      if (lag !== null) return this.#cut(watcher, lag);
      watcher.write(source, this.#flushed, now);
    } catch (error) {
      return this.#cut(watcher, `writing failed (${messageOf(error)})`);
    }
    if (watcher.hasBacklog && this.#watchers.has(watcher)) this.#dirty.add(watcher);
  }

  #source(until: number): FeedSource {
    const { view, time } = this.#ports;
    const nameHints = new NameHints({ view, time, until });
    return {
      epoch: this.epoch,
      settled: this.#status.settled,
      status: this.#statusFrame,
      reset: (of) => this.#snapshots.reset(of, this.#published),
      changes: (of, since) => this.#snapshots.changes(of, since),
      nearest: (of) => nameHints.nearest(of),
    };
  }

  // ---- ending -----------------------------------------------------------------------------------------------------

  /** If all watchers together buffer too much, cuts those that buffer most. */
  #enforceMemoryLimit(): void {
    let buffered = 0;
    for (const watcher of this.#watchers.keys()) buffered += watcher.bufferedBytes;
    if (buffered <= MAX_BUFFERED_BYTES) return;
    for (const watcher of [...this.#watchers.keys()].toSorted((a, b) => b.bufferedBytes - a.bufferedBytes)) {
      if (buffered <= MAX_BUFFERED_BYTES) return;
      buffered -= watcher.bufferedBytes;
      this.#cut(watcher, 'all watchers together buffered more than 256 MiB, and this one most');
    }
  }

  #cut(watcher: Subscriber, why: string): void {
    const onCut = this.#watchers.get(watcher);
    this.#drop(watcher);
    this.#instruments.cuts.add(1);
    const names = [...watcher.names];
    const what = names.length > MAX_NAMES ? `${names.slice(0, MAX_NAMES).join(', ')}, …` : names.join(', ');
    this.#ports.log.warn(`The stream of ${watcher.line?.id ?? 'a watcher'} (${what}) was ended: ${why}.`);
    watcher.sink.end();
    onCut?.();
  }

  #drop(watcher: Subscriber): void {
    if (!this.#watchers.delete(watcher)) return;
    watcher.release();
    this.#dirty.delete(watcher);
    this.#byName.delete(watcher);
    const { line } = watcher;
    if (line !== null && this.#lines.get(line.id) === watcher) this.#lines.delete(line.id);
    this.#instruments.watchers.set(this.#watchers.size);
  }
}
