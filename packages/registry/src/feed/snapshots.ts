import type { Instance, Tombstone } from '@rollcall/core';
import { serviceKeyOf } from '../instances/instance-table.js';
import { changeFrames, resetFrames } from './frames.js';
import type { ServiceRef, SizedFrame } from './frames.js';

/** The data that the feed reads to send a watcher a whole service. It must contain everything published so far. */
export interface FeedView {
  instances(namespace: string, service: string): readonly Instance[];
  /** All tombstones kept; at least those of the last ten minutes. */
  tombstones(namespace: string, service: string): readonly Tombstone[];
  /** True if the service has an instance or a tombstone. */
  has(namespace: string, service: string): boolean;
  /** All services with an instance or a tombstone; of all namespaces for `*`. */
  services(namespace: string): Iterable<ServiceRef>;
}

/**
 * The history, as far as a watcher needs it. There is no log of changes beside the view: every record and tombstone
 * carries the revision of its last change, so those above a cursor are what its owner missed, unless a tombstone above
 * it was dropped.
 */
export class Snapshots {
  readonly #view: FeedView;
  readonly #epoch: string;
  /** The frames of each service requested since its last change: valid for every later revision until it changes. */
  readonly #resets = new Map<string, readonly SizedFrame[]>();
  /**
   * The revision at which each service appeared (missing: before all revisions). A watcher with an earlier cursor has
   * no instance of the service, or knows it as unknown.
   */
  readonly #appearedAt = new Map<string, number>();
  /** The highest revision of a dropped tombstone: an earlier cursor cannot catch up. */
  #horizon = 0;

  constructor(view: FeedView, epoch: string) {
    this.#view = view;
    this.#epoch = epoch;
  }

  /** The history begins after this revision: earlier cursors cannot resume. */
  begin(revision: number): void {
    this.#horizon = revision;
  }

  /** True if a watcher that knows everything up to this revision can receive just the changes since. */
  reachesBackTo(revision: number): boolean {
    return revision >= this.#horizon;
  }

  /** Called when the view of a service has changed. */
  changed(key: string, revision: number): void {
    this.#resets.delete(key);
    if (!this.#appearedAt.has(key)) this.#appearedAt.set(key, revision);
  }

  /** Called when a tombstone was dropped: a cursor before it cannot catch up. */
  forget({ namespace, service, revision }: ServiceRef & { readonly revision: number }): void {
    this.#horizon = Math.max(this.#horizon, revision);
    const key = serviceKeyOf(namespace, service);
    this.#resets.delete(key);
    if (!this.#view.has(namespace, service)) this.#appearedAt.delete(key);
  }

  /** The whole view of a service at `revision`: the same frames for all watchers until its next change. */
  reset(of: ServiceRef, revision: number): readonly SizedFrame[] {
    const { namespace, service } = of;
    const key = serviceKeyOf(namespace, service);
    const known = this.#resets.get(key);
    if (known !== undefined) return known;
    const instances = this.#view.instances(namespace, service);
    const tombstones = this.#view.tombstones(namespace, service);
    const frames = resetFrames(of, { epoch: this.#epoch, revision }, instances, tombstones);
    // names that never existed would fill the cache
    if (this.#view.has(namespace, service)) this.#resets.set(key, frames);
    return frames;
  }

  /**
   * The changes since a revision; null if only a reset is correct: it is too long ago, or the service did not exist
   * then.
   */
  changes(of: ServiceRef, since: number): readonly SizedFrame[] | null {
    const { namespace, service } = of;
    const appearedAt = this.#appearedAt.get(serviceKeyOf(namespace, service)) ?? 0;
    if (!this.reachesBackTo(since) || since < appearedAt) return null;
    const isNewer = (record: { readonly revision: number }): boolean => record.revision > since;
    const instances = this.#view.instances(namespace, service);
    const tombstones = this.#view.tombstones(namespace, service);
    return changeFrames(of, instances.filter(isNewer), tombstones.filter(isNewer));
  }
}
