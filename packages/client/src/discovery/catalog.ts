import type { Applied, Cursor, InstanceId, Log, ServiceFrame, Time } from '@rollcall/core';
import { NAME_PATTERN } from '@rollcall/core';
import type { KeptCopy } from './cache-file.js';
import { Entry, unwatched } from './service-view.js';
import type { ServiceView } from './service-view.js';
import { Shards } from './stream-shards.js';
import type { Shard } from './stream-shards.js';

export type { ServiceView } from './service-view.js';

/** The services that the call path reads. The first request for a service makes the feed watch it. */
export interface Services {
  service(name: string): ServiceView;
  /** Resolves as soon as the status is not `waiting`, or after `timeoutMs`; read the status then. */
  settle(view: ServiceView, timeoutMs: number): Promise<void>;
  /** The known names, for suggestions. */
  names(): readonly string[];
}

/** The maximum number of watched services, on as many streams as they need: 32, or up to 84 if all names have 63 characters. */
export const MAX_SERVICES = 8_192;
/**
 * The maximum number of watched services without an instance: unknown to the registry, or without remaining instances. They stay watched,
 * so that a new instance is known at once; beyond the limit, the least recently requested services without a listener are forgotten. Names
 * may come from untrusted input.
 */
const MAX_EMPTY_SERVICES = 1_024;
/** Services beyond `MAX_SERVICES` are polled, at most this many; each costs the registry an open request. */
const MAX_POLLED_SERVICES = 64;

export interface CatalogParts {
  readonly time: Time;
  readonly log: Log;
  /** Called when a new service is requested, so that the feed watches it. */
  readonly onServiceRequested: () => void;
  /** True if our own calls have ejected this instance. See `ServiceSnapshot.confirm`. */
  readonly isEjected: (id: InstanceId) => boolean;
  /** Called when `kept()` returns another value than before. */
  readonly changed?: () => void;
}

/**
 * Our own copy of the registry, maintained by the feed: it contains only the requested services. It never loses instances because the
 * registry is disconnected, restarts, or knows less than we do (docs/PROTOCOL.md, "The change feed", absence).
 */
export class Catalog implements Services {
  readonly #parts: CatalogParts;
  /** The registry's suggestions for names that it does not know. */
  readonly #hints = new Map<string, string>();
  readonly #entries = new Map<string, Entry>();
  /** The stored copies of services that were not requested yet. */
  readonly #remembered = new Map<string, KeptCopy>();
  /** Services with fixed addresses, and the ids of their instances. */
  readonly #fixed = new Map<string, ServiceView>();
  readonly #fixedIds = new Set<InstanceId>();
  readonly #settling = new Set<() => void>();
  readonly #shards = new Shards();
  /** The entries that have an answer but no instance; the least recently requested first. */
  readonly #empty = new Map<string, Entry>();
  /** The services beyond the limit of `#entries`; the least recently requested first. */
  readonly #polled = new Map<string, Entry>();
  /** The changed entries of the current batch; null outside a batch, when each change is reported at once. */
  #batch: Set<Entry> | null = null;
  #isFullLogged = false;
  #isClosed = false;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /**
   * The view of a service. The first request for a name starts to watch it, also after the name was forgotten. An invalid name is
   * `unknown`; a name beyond the limits stays `waiting` while all others are in use.
   */
  service(name: string): ServiceView {
    const known = this.#entries.get(name) ?? this.#fixed.get(name);
    if (known !== undefined) {
      markRequested(this.#empty, name);
      return known;
    }
    const { time } = this.#parts;
    if (!NAME_PATTERN.test(name)) return unwatched(name, 'unknown', time.now());
    if (this.#entries.size >= MAX_SERVICES && !forgetOldest(this.#empty, (entry) => this.#forget(entry)))
      return this.#polledEntry(name) ?? unwatched(name, 'waiting', time.now());
    return this.#watch(name);
  }

  /** Sets a fixed view of the service, which no registry overrides. Not for a service that was requested before. */
  fix(view: ServiceView): void {
    this.#fixed.set(view.service, view);
    for (const { id } of view.instances) this.#fixedIds.add(id);
  }

  /** True for an instance at a fixed address, which no registry knows. */
  isFixed(id: InstanceId): boolean {
    return this.#fixedIds.has(id);
  }

  settle(view: ServiceView, timeoutMs: number): Promise<void> {
    if (view.status !== 'waiting' || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        stop();
        this.#settling.delete(done);
        resolve();
      };
      const timer = this.#parts.time.setTimer(timeoutMs, done);
      const stop = view.onChange(() => {
        if (view.status !== 'waiting') done();
      });
      this.#settling.add(done);
    });
  }

  names(): readonly string[] {
    const known = [...this.#entries.values()].filter((entry) => entry.status === 'known');
    return [
      ...known.map((entry) => entry.service),
      ...this.#fixed.keys(),
      ...this.#remembered.keys(),
      ...this.#hints.values(),
    ];
  }

  /** The services that the feed must watch. */
  get services(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** The same services divided among streams: at least one shard. */
  get shards(): readonly Shard[] {
    return this.#shards.all;
  }

  /** The services that the feed must poll; only a few. */
  get polledServices(): readonly string[] {
    return [...this.#polled.keys()];
  }

  /** Applies a frame. `broken`: the stream violates the protocol; see `Applied`. */
  apply(frame: ServiceFrame): Applied {
    const { service } = frame.data;
    const entry = this.#find(service);
    if (entry === undefined) return 'same';
    if (frame.event !== 'unknown') this.#hints.delete(service);
    else if (frame.data.nearest !== undefined) this.#hints.set(service, frame.data.nearest);
    return entry.apply(frame, this.#parts.time.now());
  }

  /** Runs `deliver` as one batch: listeners are called once, afterwards. */
  batch(deliver: () => void): void {
    if (this.#batch !== null) return deliver();
    const batch = new Set<Entry>();
    this.#batch = batch;
    try {
      deliver();
    } finally {
      this.#batch = null;
      for (const entry of batch) this.#changed(entry);
    }
  }

  canResume(name: string, cursor: Cursor): boolean {
    return this.#find(name)?.canResume(cursor) ?? false;
  }

  /** Confirms that these services are current. */
  confirm(names: readonly string[]): void {
    const now = this.#parts.time.now();
    for (const name of names) this.#find(name)?.confirm(now);
  }

  /**
   * Called when the registry of these services is settled: removes instances that it does not report and that do not answer this process
   * either.
   */
  settled(names: readonly string[]): void {
    const now = this.#parts.time.now();
    for (const name of names) this.#find(name)?.settled(this.#parts.isEjected, now);
  }

  /** Removes an unconfirmed instance, since another process answers at its address. */
  disprove(id: InstanceId): void {
    const now = this.#parts.time.now();
    for (const entry of this.#entries.values()) entry.disprove(id, now);
  }

  /** Called when the stream of these services is disconnected: their views are kept, but stale. */
  lost(names: readonly string[]): void {
    for (const name of names) this.#find(name)?.lost();
  }

  /** The copies to store for a later process. */
  kept(): readonly KeptCopy[] {
    const { time } = this.#parts;
    const [now, wall] = [time.now(), time.wall()];
    const own = [...this.#entries.values()].flatMap((entry) => entry.kept(now, wall) ?? []);
    return [...own, ...this.#remembered.values()];
  }

  /**
   * Adds the copies of an earlier process. They apply to services without an answer of a registry, as stale and
   * unconfirmed views.
   */
  restore(copies: readonly KeptCopy[]): void {
    for (const copy of copies.slice(0, MAX_SERVICES)) this.#remembered.set(copy.service, copy);
    for (const entry of this.#entries.values()) this.#recall(entry);
  }

  /** Ends every `settle`. The copy is kept. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const done of this.#settling) done();
  }

  #find(name: string): Entry | undefined {
    return this.#entries.get(name) ?? this.#polled.get(name);
  }

  #changed(entry: Entry): void {
    if (this.#batch !== null) return void this.#batch.add(entry);
    this.#trackEmpty(entry);
    entry.notify();
    this.#parts.changed?.();
  }

  #recall(entry: Entry): void {
    const copy = this.#remembered.get(entry.service);
    const { time } = this.#parts;
    if (copy === undefined) return;
    this.#remembered.delete(entry.service);
    entry.restore(copy, time.now(), time.wall());
  }

  #watch(name: string): Entry {
    const entry = this.#polled.get(name) ?? this.#newEntry(name);
    this.#polled.delete(name);
    this.#entries.set(name, entry);
    this.#shards.add(name);
    this.#recall(entry);
    this.#trackEmpty(entry);
    this.#parts.onServiceRequested();
    return entry;
  }

  #newEntry(name: string): Entry {
    return new Entry(name, this.#parts.time.now(), (changed) => this.#changed(changed));
  }

  /** The polled entry of a service; null if the limit of polled services is reached and each has a listener. */
  #polledEntry(name: string): Entry | null {
    if (!this.#isFullLogged)
      this.#parts.log.warn(
        `${this.#entries.size} services are watched, which is the limit: "${name}" and any further services are polled one at a time. Do names come from requests? Check them first.`,
      );
    this.#isFullLogged = true;
    const known = this.#polled.get(name);
    if (known !== undefined) {
      markRequested(this.#polled, name);
      return known;
    }
    if (this.#polled.size >= MAX_POLLED_SERVICES && !forgetOldest(this.#polled, (entry) => this.#forget(entry)))
      return null;
    const entry = this.#newEntry(name);
    this.#polled.set(name, entry);
    this.#recall(entry);
    this.#parts.onServiceRequested();
    return entry;
  }

  /** Tracks the entries that may be forgotten, and forgets the excess. */
  #trackEmpty(entry: Entry): void {
    const { service } = entry;
    if (this.#entries.get(service) !== entry) return;
    if (!entry.isEmpty) return void this.#empty.delete(service);
    if (!this.#empty.has(service)) this.#empty.set(service, entry);
    if (this.#empty.size > MAX_EMPTY_SERVICES) forgetOldest(this.#empty, (oldest) => this.#forget(oldest));
  }

  #forget(entry: Entry): void {
    const { service } = entry;
    entry.forget();
    for (const kept of [this.#entries, this.#empty, this.#polled, this.#hints]) kept.delete(service);
    this.#shards.delete(service);
    this.#parts.onServiceRequested();
  }
}

/** Marks the service as the most recently requested. */
function markRequested(entries: Map<string, Entry>, name: string): void {
  const entry = entries.get(name);
  if (entry === undefined) return;
  entries.delete(name);
  entries.set(name, entry);
}

/** Forgets the oldest entry without a listener. Returns false if each has a listener. */
function forgetOldest(entries: ReadonlyMap<string, Entry>, forget: (entry: Entry) => void): boolean {
  for (const entry of entries.values()) {
    if (entry.hasListeners) continue;
    forget(entry);
    return true;
  }
  return false;
}
