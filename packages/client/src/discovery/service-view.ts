import { ServiceSnapshot } from '@rollcall/core';
import type { Applied, Cursor, Instance, InstanceId, ServiceFrame } from '@rollcall/core';
import type { KeptCopy } from './cache-file.js';

/**
 * One service in our own copy of the registry. The object lives as long as the catalog, unless the registry does not know the service and
 * nobody listens: then it may be forgotten (`isWatched` is false from then on), and `Services.service` gives another one.
 */
export interface ServiceView {
  readonly service: string;
  /**
   * `waiting`: no word about this name yet; `known`: there is, or was, such a service; `unknown`: the registry, settled, has answered
   * that it knows no service of this very name.
   */
  readonly status: 'waiting' | 'known' | 'unknown';
  /** All we know of, in any state; the same array object until something changes. */
  readonly instances: readonly Instance[];
  /**
   * How often the registry has spoken of this very name; it only grows. Whoever keeps it and finds it grown has an answer that came since:
   * the registry knew, or did not know, the service then. News are counted too, so between two calls it may grow by more than one.
   */
  readonly answers: number;
  /** Monotonic ms of the last of these answers; -Infinity when there was none. */
  readonly answeredAt: number;
  /** Monotonic ms of the last change, of the last change of `status`, and of the last word that the copy is current. */
  readonly changedAt: number;
  readonly statusAt: number;
  readonly confirmedAt: number;
  /** Is the feed that keeps it current away? The copy stays full and usable; `unknown` is then an old answer. */
  readonly stale: boolean;
  /** False when no registry tells of it: for a name that no service can have, for fixed addresses, and after it was forgotten. */
  readonly isWatched: boolean;
  /**
   * Called after each change of `instances` or `status`, synchronously, and once for all changes that came together; it must not throw.
   * Returns how to stop.
   */
  onChange(listener: () => void): () => void;
}

/** A view that a catalog keeps. */
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

  /** `hasChanged`: its listeners are to be told. */
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

  /** Something was heard of it, and there is no instance. */
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
    // the first parts of a reset are no answer yet
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

  /** Nobody tells of it any more. */
  forget(): void {
    this.stale = true;
    this.isWatched = false;
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
    if (this.status !== this.#lastStatus) this.statusAt = now;
    this.#lastStatus = this.status;
    this.#hasChanged(this);
  }
}

const nothing = (): void => {};

/** A view of which no registry tells, for as long as somebody holds it. */
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
    onChange: () => nothing,
  };
}
