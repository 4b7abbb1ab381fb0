import type { Applied, Cursor, InstanceId, Log, ServiceFrame, Time } from '@rollcall/core';
import { NAME_PATTERN } from '@rollcall/core';
import type { KeptCopy } from './cache-file.js';
import { Entry, unwatched } from './service-view.js';
import type { ServiceView } from './service-view.js';
import { Shards } from './stream-shards.js';
import type { Shard } from './stream-shards.js';

export type { ServiceView } from './service-view.js';

/** What the call path reads. The first question about a service makes the feed watch it. */
export interface Services {
  service(name: string): ServiceView;
  /** Resolves as soon as the status is not `waiting`, or after `timeoutMs`: look at the status. */
  settle(view: ServiceView, timeoutMs: number): Promise<void>;
  /** Names we have heard of, for a did-you-mean. */
  names(): readonly string[];
}

/** So many services are watched, on as many streams as that takes: 32, or up to 84 if all names have 63 characters. */
export const MAX_SERVICES = 8_192;
/**
 * So many of them may be without an instance: unknown to the registry, or left by all. They stay watched, to be known as soon as they
 * appear; of more, those are forgotten that were asked for longest ago, if nobody listens. Names may come from strangers.
 */
const MOST_EMPTY = 1_024;
/** Services that are asked for beyond `MAX_SERVICES` are polled, so many of them; each costs the registry an open request. */
const MOST_STRAYS = 64;

export interface CatalogParts {
  readonly time: Time;
  readonly log: Log;
  /** A service is asked for that was not before: the feed has to watch it. */
  readonly asked: () => void;
  /** Has our own experience ejected this instance? See `ServiceSnapshot.confirm`. */
  readonly isEjected: (id: InstanceId) => boolean;
  /** `kept()` gives something else than before. */
  readonly changed?: () => void;
}

/**
 * Our own copy of the registry: only the services that were asked for, kept by the feed. It never gets emptier because the
 * registry is away, restarts, or knows less than we do (docs/PROTOCOL.md, "The change feed", absence).
 */
export class Catalog implements Services {
  readonly #parts: CatalogParts;
  /** What the registry thinks was meant by names it does not know. */
  readonly #hints = new Map<string, string>();
  readonly #entries = new Map<string, Entry>();
  /** What an earlier process knew of services that nobody has asked for yet. */
  readonly #remembered = new Map<string, KeptCopy>();
  /** Services of fixed addresses, and the ids of their instances. */
  readonly #fixed = new Map<string, ServiceView>();
  readonly #fixedIds = new Set<InstanceId>();
  readonly #settling = new Set<() => void>();
  readonly #shards = new Shards();
  /** Those of `#entries` that have no instance, though something was heard; asked for longest ago first. */
  readonly #empty = new Map<string, Entry>();
  /** What had no room among `#entries`; asked for longest ago first. */
  readonly #strays = new Map<string, Entry>();
  /** What changed of what comes together; null: each change is told at once. */
  #untold: Set<Entry> | null = null;
  #isFullTold = false;
  #isClosed = false;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /**
   * The first question about a name has it watched, and so has the first one after it was forgotten. A name that no service can have is
   * `unknown`; one that is too many, while others are asked for as well, stays `waiting`.
   */
  service(name: string): ServiceView {
    const known = this.#entries.get(name) ?? this.#fixed.get(name);
    if (known !== undefined) {
      touch(this.#empty, name);
      return known;
    }
    const { time } = this.#parts;
    if (!NAME_PATTERN.test(name)) return unwatched(name, 'unknown', time.now());
    if (this.#entries.size >= MAX_SERVICES && !forgetOldest(this.#empty, (entry) => this.#forget(entry)))
      return this.#stray(name) ?? unwatched(name, 'waiting', time.now());
    return this.#watch(name);
  }

  /** From now on this is what is known of the service, whatever a registry says. Not for one that was asked for before. */
  fix(view: ServiceView): void {
    this.#fixed.set(view.service, view);
    for (const { id } of view.instances) this.#fixedIds.add(id);
  }

  /** Is it at a fixed address, unknown to any registry? */
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

  /** What the feed has to watch. */
  get services(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** The same, as streams carry them: at least one shard. */
  get shards(): readonly Shard[] {
    return this.#shards.all;
  }

  /** What the feed has to ask for beside, a few. */
  get strays(): readonly string[] {
    return [...this.#strays.keys()];
  }

  /** `broken`: the stream does not follow the protocol; see `Applied`. */
  apply(frame: ServiceFrame): Applied {
    const { service } = frame.data;
    const entry = this.#find(service);
    if (entry === undefined) return 'same';
    if (frame.event !== 'unknown') this.#hints.delete(service);
    else if (frame.data.nearest !== undefined) this.#hints.set(service, frame.data.nearest);
    return entry.apply(frame, this.#parts.time.now());
  }

  /** Who listens hears once of all that `deliver` brings, when it has. */
  together(deliver: () => void): void {
    if (this.#untold !== null) return deliver();
    const untold = new Set<Entry>();
    this.#untold = untold;
    try {
      deliver();
    } finally {
      this.#untold = null;
      for (const entry of untold) this.#changed(entry);
    }
  }

  canResume(name: string, cursor: Cursor): boolean {
    return this.#find(name)?.canResume(cursor) ?? false;
  }

  /** Everything about these services has been heard up to now. */
  confirm(names: readonly string[]): void {
    const now = this.#parts.time.now();
    for (const name of names) this.#find(name)?.confirm(now);
  }

  /** The registry that tells of these has been up long enough: what it does not name, and does not answer us either, is gone. */
  settled(names: readonly string[]): void {
    const now = this.#parts.time.now();
    for (const name of names) this.#find(name)?.settled(this.#parts.isEjected, now);
  }

  /** Another process answers at its address. */
  disprove(id: InstanceId): void {
    const now = this.#parts.time.now();
    for (const entry of this.#entries.values()) entry.disprove(id, now);
  }

  /** The stream that carried these is away: everything stays as it is, and may be old. */
  lost(names: readonly string[]): void {
    for (const name of names) this.#find(name)?.lost();
  }

  /** What is worth keeping for a later process. */
  kept(): readonly KeptCopy[] {
    const { time } = this.#parts;
    const [now, wall] = [time.now(), time.wall()];
    const own = [...this.#entries.values()].flatMap((entry) => entry.kept(now, wall) ?? []);
    return [...own, ...this.#remembered.values()];
  }

  /** What an earlier process knew. It counts for services of which no registry has spoken, as a copy that is stale and unconfirmed. */
  restore(copies: readonly KeptCopy[]): void {
    for (const copy of copies.slice(0, MAX_SERVICES)) this.#remembered.set(copy.service, copy);
    for (const entry of this.#entries.values()) this.#recall(entry);
  }

  /** Ends every `settle`. The copy stays. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const done of this.#settling) done();
  }

  #find(name: string): Entry | undefined {
    return this.#entries.get(name) ?? this.#strays.get(name);
  }

  #changed(entry: Entry): void {
    if (this.#untold !== null) return void this.#untold.add(entry);
    this.#sort(entry);
    entry.tell();
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
    const entry = this.#strays.get(name) ?? this.#begin(name);
    this.#strays.delete(name);
    this.#entries.set(name, entry);
    this.#shards.add(name);
    this.#recall(entry);
    this.#sort(entry);
    this.#parts.asked();
    return entry;
  }

  #begin(name: string): Entry {
    return new Entry(name, this.#parts.time.now(), (changed) => this.#changed(changed));
  }

  /** Null: there are too many even of these, and somebody listens to each. */
  #stray(name: string): Entry | null {
    if (!this.#isFullTold)
      this.#parts.log.warn(
        `${this.#entries.size} services are watched already, as many as fit: "${name}" and any further one are asked for one at a time. Do names come from requests? Check them first.`,
      );
    this.#isFullTold = true;
    const known = this.#strays.get(name);
    if (known !== undefined) {
      touch(this.#strays, name);
      return known;
    }
    if (this.#strays.size >= MOST_STRAYS && !forgetOldest(this.#strays, (entry) => this.#forget(entry))) return null;
    const entry = this.#begin(name);
    this.#strays.set(name, entry);
    this.#recall(entry);
    this.#parts.asked();
    return entry;
  }

  /** Keeps count of those that may be forgotten, and forgets those that are too many. */
  #sort(entry: Entry): void {
    const { service } = entry;
    if (this.#entries.get(service) !== entry) return;
    if (!entry.isEmpty) return void this.#empty.delete(service);
    if (!this.#empty.has(service)) this.#empty.set(service, entry);
    if (this.#empty.size > MOST_EMPTY) forgetOldest(this.#empty, (oldest) => this.#forget(oldest));
  }

  #forget(entry: Entry): void {
    const { service } = entry;
    entry.forget();
    for (const kept of [this.#entries, this.#empty, this.#strays, this.#hints]) kept.delete(service);
    this.#shards.delete(service);
    this.#parts.asked();
  }
}

/** Puts what was asked for behind all others. */
function touch(entries: Map<string, Entry>, name: string): void {
  const entry = entries.get(name);
  if (entry === undefined) return;
  entries.delete(name);
  entries.set(name, entry);
}

/** Of those to which nobody listens. False: there is none. */
function forgetOldest(entries: ReadonlyMap<string, Entry>, forget: (entry: Entry) => void): boolean {
  for (const entry of entries.values()) {
    if (entry.hasListeners) continue;
    forget(entry);
    return true;
  }
  return false;
}
