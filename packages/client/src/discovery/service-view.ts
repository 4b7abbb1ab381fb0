import { ServiceSnapshot } from '@rollcall/core';
import type { Applied, Cursor, Instance, InstanceId, ServiceFrame } from '@rollcall/core';
import type { KeptCopy } from './cache-file.js';

/**
 * One service in our own copy of the registry. The object lives as long as the catalog, unless the registry does not
 * know the service and it has no listener: then the catalog may forget it (`isWatched` is false from then on), and
 * `Services.service` returns another one.
 */
export interface ServiceView {
  readonly service: string;
  /**
   * `waiting`: no answer about this name yet; `known`: there is, or was, such a service; `unknown`: the settled
   * registry has answered that it does not know a service of this exact name.
   */
  readonly status: 'waiting' | 'known' | 'unknown';
  /** All known instances, in any state; the same array until something changes. */
  readonly instances: readonly Instance[];
  /**
   * How many answers the registry has given about this exact name; it only grows. If it has grown since you read it,
   * the registry has answered in between that it knew, or did not know, the service. Changes count, too, so it may grow
   * by more than one between two calls.
   */
  readonly answers: number;
  /** Monotonic ms of the last of these answers; -Infinity before the first. */
  readonly answeredAt: number;
  /**
   * Monotonic ms of the last change, of the last change of `status`, and of the last confirmation that the copy is
   * current.
   */
  readonly changedAt: number;
  readonly statusAt: number;
  readonly confirmedAt: number;
  /** True while the feed that keeps it current is disconnected. The copy is kept and can be used; `unknown` is then an old answer. */
  readonly stale: boolean;
  /** False if no registry reports on it: an invalid name, fixed addresses, or a forgotten service. */
  readonly isWatched: boolean;
  /**
   * Registers a listener for changes of `instances` or `status`. It is called synchronously, once for all changes that
   * arrive together, and must not throw. Returns a function that removes it.
   */
  onChange(listener: () => void): () => void;
}

/** A view that a catalog maintains. */
export class Entry implements ServiceView {
  readonly service: string;
  readonly #snapshot = new ServiceSnapshot();
  readonly #listeners = new Set<() => void>();
  readonly #hasChanged: (entry: Entry) => void;
  answers = 0;
  answeredAt = -Infinity;
  changedAt: number;
  statusAt: number;
  confirmedAt: number;
  stale = true;
  isWatched = true;
  #lastStatus: ServiceView['status'] = 'waiting';

  /** `hasChanged` asks the catalog to notify the listeners. */
  constructor(service: string, now: number, hasChanged: (entry: Entry) => void) {
    this.service = service;
    this.#hasChanged = hasChanged;
    this.changedAt = now;
    this.statusAt = now;
    this.confirmedAt = now;
  }

  get status(): ServiceView['status'] {
    return this.#snapshot.status;
  }

  get instances(): readonly Instance[] {
    return this.#snapshot.instances;
  }

  /** True if the registry has answered and the service has no instance. */
  get isEmpty(): boolean {
    return this.status !== 'waiting' && this.instances.length === 0;
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
    // the first parts of a reset are not an answer yet
    if (applied !== 'broken' && (frame.event !== 'reset' || frame.data.complete)) {
      this.answers += 1;
      this.answeredAt = now;
    }
    if (applied === 'changed') this.#changed(now);
    return applied;
  }

  lost(): void {
    this.stale = true;
  }

  /** Marks the view as forgotten: it is no longer updated. */
  forget(): void {
    this.stale = true;
    this.isWatched = false;
  }

  notify(): void {
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
    // whole ms are precise enough
    return kept === null
      ? null
      : { service: this.service, heardAt: Math.round(wall - now + this.confirmedAt), ...kept };
  }

  restore(copy: KeptCopy, now: number, wall: number): void {
    if (!this.#snapshot.restore(copy)) return;
    // the time is by the wall clock of another process: a time in the future counts as now
    this.confirmedAt = now - Math.max(0, wall - copy.heardAt);
    this.#changed(now);
  }

  #changed(now: number): void {
    this.changedAt = now;
    if (this.status !== this.#lastStatus) this.statusAt = now;
    this.#lastStatus = this.status;
    this.#hasChanged(this);
  }
}

const noop = (): void => {};

/** A view of a service on which no registry reports; it exists only as long as a caller refers to it. */
export function unwatched(service: string, status: 'waiting' | 'unknown', now: number): ServiceView {
  return {
    service,
    status,
    instances: [],
    answers: 0,
    answeredAt: -Infinity,
    changedAt: now,
    statusAt: now,
    confirmedAt: now,
    stale: status === 'waiting',
    isWatched: false,
    onChange: () => noop,
  };
}
