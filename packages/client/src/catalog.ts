import type { Applied, Cursor, Instance, InstanceId, Log, ServiceFrame, Time } from '@rollcall/core';
import { MOST_NAMES, NAME_PATTERN, ServiceSnapshot } from '@rollcall/core';
import type { KeptCopy } from './cache-file.js';

/** One service in our own copy of the registry. The object lives as long as the catalog (see `MAX_SERVICES`); its fields move. */
export interface ServiceView {
  readonly service: string;
  /** `waiting`: no word about it yet; `unknown`: the registry, settled, knows no such service. */
  readonly status: 'waiting' | 'known' | 'unknown';
  /** All we know of, in any state; the same array object until something changes. */
  readonly instances: readonly Instance[];
  /** Monotonic ms of the last change, and of the last word that the copy is current. */
  readonly changedAt: number;
  readonly confirmedAt: number;
  /** Is the feed that keeps it current away? The copy stays full and usable. */
  readonly stale: boolean;
  /**
   * Called after each change of `instances` or `status`, synchronously, and once for all changes that came together; it must not throw.
   * Returns how to stop.
   */
  onChange(listener: () => void): () => void;
}

/** What the call path reads. The first question about a service makes the feed watch it. */
export interface Services {
  service(name: string): ServiceView;
  /** Resolves as soon as the status is not `waiting`, or after `timeoutMs`: look at the status. */
  settle(view: ServiceView, timeoutMs: number): Promise<void>;
  /** Names we have heard of, for a did-you-mean. */
  names(): readonly string[];
}

/**
 * More services than this are not watched: names may come from strangers, and each costs room in the watch's URL, in which a registry takes
 * no more. When they are too many, those that have no instances, or that the registry does not know, and that nobody listens to are
 * forgotten; then further ones count as unknown.
 */
export const MAX_SERVICES = MOST_NAMES;
/** Nor more than have names of so many characters together: a watch may name each twice, and servers read 16 KiB of a request's head. */
const MAX_NAME_CHARACTERS = 5_000;
/** So that strangers cannot have the feed opened anew all the time. */
const FORGET_AGAIN_MS = 10_000;

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
  /** What changed of what comes together; null: each change is told at once. */
  #untold: Set<Entry> | null = null;
  #services: readonly string[] = [];
  #nameCharacters = 0;
  #forgotAt = -Infinity;
  #isFullTold = false;
  #isClosed = false;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /** For a name that no service can have, and for one too many, a view that is `unknown` and stays so. */
  service(name: string): ServiceView {
    const known = this.#entries.get(name) ?? this.#fixed.get(name);
    if (known !== undefined) return known;
    const now = this.#parts.time.now();
    if (!NAME_PATTERN.test(name) || !this.#makeRoom(name, now)) return unwatched(name, now);
    const entry = new Entry(name, now, (changed) => this.#changed(changed));
    this.#entries.set(name, entry);
    this.#nameCharacters += name.length;
    this.#services = [...this.#entries.keys()];
    this.#recall(entry);
    this.#parts.asked();
    return entry;
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

  /** What the feed has to watch; the same array until that changes. */
  get services(): readonly string[] {
    return this.#services;
  }

  /** `broken`: the stream does not follow the protocol; see `Applied`. */
  apply(frame: ServiceFrame): Applied {
    const entry = this.#entries.get(frame.data.service);
    if (entry !== undefined && frame.event === 'unknown' && frame.data.nearest !== undefined) {
      this.#hints.set(frame.data.service, frame.data.nearest);
    }
    return entry === undefined ? 'same' : entry.apply(frame, this.#parts.time.now());
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
    return this.#entries.get(name)?.canResume(cursor) ?? false;
  }

  /** Everything about these services has been heard up to now. */
  confirm(names: readonly string[]): void {
    const now = this.#parts.time.now();
    for (const name of names) this.#entries.get(name)?.confirm(now);
  }

  /** The registry has been up long enough: what it does not name, and does not answer us either, is gone. */
  settled(): void {
    const now = this.#parts.time.now();
    for (const entry of this.#entries.values()) entry.settled(this.#parts.isEjected, now);
  }

  /** Another process answers at its address. */
  disprove(id: InstanceId): void {
    const now = this.#parts.time.now();
    for (const entry of this.#entries.values()) entry.disprove(id, now);
  }

  /** The feed is away: everything stays as it is, and may be old. */
  lost(): void {
    for (const entry of this.#entries.values()) entry.stale = true;
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

  #changed(entry: Entry): void {
    if (this.#untold !== null) return void this.#untold.add(entry);
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

  #hasRoom(name: string): boolean {
    return this.#entries.size < MAX_SERVICES && this.#nameCharacters + name.length <= MAX_NAME_CHARACTERS;
  }

  #makeRoom(name: string, now: number): boolean {
    if (!this.#hasRoom(name)) this.#forgetGone(now);
    if (this.#hasRoom(name)) return true;
    if (!this.#isFullTold) {
      this.#parts.log.warn(
        `${this.#entries.size} services are watched already, as many as fit: "${name}" and any further one count as unknown. Do names come from requests? Check them first.`,
      );
    }
    this.#isFullTold = true;
    return false;
  }

  #forgetGone(now: number): void {
    if (now - this.#forgotAt < FORGET_AGAIN_MS) return;
    this.#forgotAt = now;
    for (const [name, entry] of this.#entries) {
      if (entry.status === 'waiting' || entry.instances.length > 0 || entry.hasListeners) continue;
      this.#entries.delete(name);
      this.#nameCharacters -= name.length;
      this.#hints.delete(name);
    }
  }
}

class Entry implements ServiceView {
  readonly service: string;
  readonly #snapshot = new ServiceSnapshot();
  readonly #listeners = new Set<() => void>();
  readonly #hasChanged: (entry: Entry) => void;
  changedAt: number;
  confirmedAt: number;
  stale = true;

  /** `hasChanged`: its listeners are to be told. */
  constructor(service: string, now: number, hasChanged: (entry: Entry) => void) {
    this.service = service;
    this.#hasChanged = hasChanged;
    this.changedAt = now;
    this.confirmedAt = now;
  }

  get status(): ServiceView['status'] {
    return this.#snapshot.status;
  }

  get instances(): readonly Instance[] {
    return this.#snapshot.instances;
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  apply(frame: ServiceFrame, now: number): Applied {
    const applied = this.#snapshot.apply(frame);
    if (applied === 'changed') this.#changed(now);
    return applied;
  }

  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  canResume(cursor: Cursor): boolean {
    return this.#snapshot.canResume(cursor);
  }

  confirm(now: number): void {
    this.confirmedAt = now;
    this.stale = false;
  }

  settled(isEjected: (id: InstanceId) => boolean, now: number): void {
    if (this.#snapshot.confirm(true, isEjected)) this.#changed(now);
  }

  disprove(id: InstanceId, now: number): void {
    if (this.#snapshot.disprove(id)) this.#changed(now);
  }

  kept(now: number, wall: number): KeptCopy | null {
    const { kept } = this.#snapshot;
    // in whole ms: nobody needs it finer
    return kept === null
      ? null
      : { service: this.service, heardAt: Math.round(wall - now + this.confirmedAt), ...kept };
  }

  restore(copy: KeptCopy, now: number, wall: number): void {
    if (!this.#snapshot.restore(copy)) return;
    // by the wall clock of another process: what comes from the future was heard just now
    this.confirmedAt = now - Math.max(0, wall - copy.heardAt);
    this.#changed(now);
  }

  #changed(now: number): void {
    this.changedAt = now;
    this.#hasChanged(this);
  }
}

const nothing = (): void => {};

function unwatched(service: string, now: number): ServiceView {
  return {
    service,
    status: 'unknown',
    instances: [],
    changedAt: now,
    confirmedAt: now,
    stale: false,
    onChange: () => nothing,
  };
}
