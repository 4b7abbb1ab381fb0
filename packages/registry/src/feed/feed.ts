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
  /** One life of the registry's history: a UUID. */
  readonly epoch: string;
  readonly view: FeedView;
  readonly meter: Meter;
  readonly log: Log;
}

/** One watcher, as the engine holds it. */
export interface FeedWatcher extends Watcher {
  readonly services: number;
  /** Writes to it soon: if its peer is gone, the connection will say so. */
  ping(): void;
  /** Nothing more is written to it. May be called twice, also after it was cut. */
  closed(): void;
}

interface Pending {
  readonly of: ServiceRef;
  readonly upsert: Map<string, Instance>;
  readonly remove: Map<string, Tombstone>;
}

/** At least this long between two flushes, or this many times what the last one took; the first after a pause goes at once. */
const WINDOW_MS = 20;
const WINDOW_FACTOR = 4;
/** Then the event loop gets its turn: heartbeats first. */
const SLICE_MS = 10;
/** For all watchers together. */
const MOST_HELD_BYTES = 256 * 1_048_576;
/** Of what a watcher asked for, in the log. */
const NAMES_TOLD = 8;

/**
 * The change feed: gives out revisions, and tells every watcher what it asked for, in flushes. An instance occurs once in a
 * flush, with its last word. Knows no sockets: a simulation binds its watchers straight to it.
 */
export class Feed {
  readonly epoch: string;
  readonly #ports: FeedPorts;
  readonly #instruments: { readonly watchers: Gauge; readonly cuts: Counter; readonly flushes: Histogram };
  readonly #snapshots: Snapshots;
  /** Every watcher with whom to tell when it is cut. */
  readonly #watchers = new Map<Subscriber, () => void>();
  /** When each has waited long enough for bytes, as of some time ago: looked at again when it comes up. */
  readonly #beats = new DeadlineHeap<Subscriber>();
  readonly #byName = new Subscriptions();
  readonly #lines = new Map<string, Subscriber>();
  #given = 0;
  #published = 0;
  /** Up to where changes have been told to the watchers. */
  #flushed = 0;
  #pending = new Map<string, Pending>();
  #status: StatusFrame = { settled: false };
  #statusFrame = share({ event: 'status', data: this.#status });
  /** Who has something to get at the next flush, and who is still to be written to in this one. */
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
      watchers: meter.gauge('rollcall_registry_watchers', 'Streams that watch the registry now.'),
      cuts: meter.counter('rollcall_registry_watchers_cut_total', 'Streams ended because they took too little.'),
      flushes: meter.histogram('rollcall_registry_feed_flush_seconds', 'Time of one flush to all its watchers.'),
    };
  }

  /** The last published revision. */
  get revision(): number {
    return this.#published;
  }

  /** How many streams there are. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Goes on behind the revisions that a store held. Before the first publication. */
  startAt(revision: number): void {
    this.#given = revision;
    this.#published = revision;
    this.#flushed = revision;
    this.#snapshots.begin(revision);
  }

  /** A revision for the next record or tombstone. Publish them in the order in which they were given. */
  nextRevision(): number {
    this.#given += 1;
    return this.#given;
  }

  /** Tells the watchers of its service, soon. A revision not above the last published one is a RangeError. */
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

  /** The view dropped a tombstone for good (not: its instance came back). */
  forget(tombstone: ServiceRef & Pick<Tombstone, 'revision'>): void {
    this.#snapshots.forget(tombstone);
    const { namespace, service } = tombstone;
    if (this.#ports.view.has(namespace, service)) return;
    // nothing is left of it, not even in the memory of those who watch everything
    for (const watcher of this.#byName.of({ namespace, service })) watcher.forget({ namespace, service });
  }

  /** Tells all watchers, if anything in it is new; those that asked for what does not exist hear so once it is settled. */
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

  /** To the newest line of an instance: it was removed. */
  gone(id: string, reason: Reason): void {
    const line = this.#lines.get(id);
    if (line === undefined) return;
    line.note(share({ event: 'gone', data: { id, reason } }));
    this.#dirty.add(line);
    this.#plan();
  }

  /** How many streams watch the service. */
  watcherCount(namespace: string, service: string): number {
    return [...this.#byName.of({ namespace, service })].length;
  }

  /**
   * Writes to `sink` from now on: first everything asked for, or what changed since the cursor for the services that resume.
   * `onCut` is called when the feed ends it for being too slow (after `sink.end()`), and never after `closed`.
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
      watcher.owe(of, resume.has(of.service) || resume.has('*') ? since : null);
    }
    // it was here in this very life, and nothing is left of it: nobody else would say so
    if (order.cursor?.epoch === this.epoch) for (const of of this.#lost(watcher, resume)) watcher.owe(of, null);
    this.#watchers.set(watcher, onCut);
    this.#beats.put(watcher.beatAt, watcher);
    this.#byName.add(watcher);
    if (order.line !== null) this.#lines.set(order.line.id, watcher);
    this.#instruments.watchers.set(this.#watchers.size);
    this.#touch(watcher);
    return {
      ping: () => {
        if (!this.#watchers.has(watcher)) return;
        watcher.beatDue();
        this.#touch(watcher);
      },
      closed: () => this.#drop(watcher),
      services: wanted.length,
    };
  }

  /** Ends every stream. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.handle.cancel();
    for (const watcher of this.#watchers.keys()) {
      this.#drop(watcher);
      watcher.sink.end();
    }
    this.#pending.clear();
  }

  /** The services that are there, of those it asks for: named ones are looked up, for callers have many streams. */
  #wantedBy(watcher: Subscriber): readonly ServiceRef[] {
    const { namespace, names } = watcher;
    const { view } = this.#ports;
    if (namespace === '*' || names.has('*')) return [...view.services(namespace)].filter((of) => watcher.wants(of));
    return [...names].filter((service) => view.has(namespace, service)).map((service) => ({ namespace, service }));
  }

  /** What a watcher wants to resume, but does not exist any more. */
  #lost(watcher: Subscriber, resume: ReadonlySet<string>): readonly ServiceRef[] {
    const { namespace } = watcher;
    if (namespace === '*') return [];
    const named = [...resume].filter((service) => service !== '*').map((service) => ({ namespace, service }));
    return named.filter((of) => watcher.wants(of) && !this.#ports.view.has(namespace, of.service));
  }

  /** The revision from which the order can resume; null when it cannot. */
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

  #touch(watcher: Subscriber): void {
    this.#dirty.add(watcher);
    this.#plan();
  }

  // ---- flushing ---------------------------------------------------------------------------------------------------

  /** One timer, for what is due next: the rest of this flush, the next flush, or a beat, which is a flush too. */
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
    this.#relieve();
  }

  #writeTo(watcher: Subscriber, source: FeedSource, now: number): void {
    if (!this.#watchers.has(watcher)) return;
    try {
      const lag = watcher.lag(now);
      if (lag !== null) return this.#cut(watcher, lag);
      watcher.write(source, this.#flushed, now);
    } catch (error) {
      return this.#cut(watcher, `it failed (${messageOf(error)})`);
    }
    if (watcher.isHungry && this.#watchers.has(watcher)) this.#dirty.add(watcher);
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

  /** Too much is held for all together: those that hold most go. */
  #relieve(): void {
    let held = 0;
    for (const watcher of this.#watchers.keys()) held += watcher.heldBytes;
    if (held <= MOST_HELD_BYTES) return;
    for (const watcher of [...this.#watchers.keys()].toSorted((a, b) => b.heldBytes - a.heldBytes)) {
      if (held <= MOST_HELD_BYTES) return;
      held -= watcher.heldBytes;
      this.#cut(watcher, 'all watchers together were more than 256 MiB behind, and it most');
    }
  }

  #cut(watcher: Subscriber, why: string): void {
    const onCut = this.#watchers.get(watcher);
    this.#drop(watcher);
    this.#instruments.cuts.add(1);
    const names = [...watcher.names];
    const what = names.length > NAMES_TOLD ? `${names.slice(0, NAMES_TOLD).join(', ')}, …` : names.join(', ');
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
