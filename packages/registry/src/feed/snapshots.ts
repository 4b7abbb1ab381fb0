import type { Instance, Tombstone } from '@rollcall/core';
import { serviceKeyOf } from '../instances/instance-table.js';
import { changeFrames, resetFrames } from './frames.js';
import type { ServiceRef, SizedFrame } from './frames.js';

/** What the feed reads to tell a watcher all of a service. It must hold whatever was published, at the time it is published. */
export interface FeedView {
  instances(namespace: string, service: string): readonly Instance[];
  /** All that are kept; at least those of the last ten minutes. */
  tombstones(namespace: string, service: string): readonly Tombstone[];
  /** Has it an instance or a tombstone? */
  has(namespace: string, service: string): boolean;
  /** Every service that has an instance or a tombstone; of all namespaces for `*`. */
  services(namespace: string): Iterable<ServiceRef>;
}

/**
 * The past, as far as a watcher may need it. No log of changes is kept beside the view: every record and every tombstone
 * carries the revision of its last change, so those above a cursor are what its owner missed, unless a tombstone above
 * it has been dropped.
 */
export class Snapshots {
  readonly #view: FeedView;
  readonly #epoch: string;
  /** Of each service that was asked for since it changed last: true of every later revision too, as long as it does not change. */
  readonly #resets = new Map<string, readonly SizedFrame[]>();
  /** The revision at which each service appeared (missing: before all): who knows less was told nothing of it, or that it is unknown. */
  readonly #appearedAt = new Map<string, number>();
  /** The highest revision of a tombstone that was dropped: who knows less cannot catch up. */
  #horizon = 0;

  constructor(view: FeedView, epoch: string) {
    this.#view = view;
    this.#epoch = epoch;
  }

  /** History begins behind this revision: nobody can know what was before. */
  begin(revision: number): void {
    this.#horizon = revision;
  }

  /** Can somebody who knows everything up to this revision be told only what changed since? */
  reachesBackTo(revision: number): boolean {
    return revision >= this.#horizon;
  }

  /** The view of a service has changed. */
  changed(key: string, revision: number): void {
    this.#resets.delete(key);
    if (!this.#appearedAt.has(key)) this.#appearedAt.set(key, revision);
  }

  /** A tombstone was dropped. Nobody who does not know of it can catch up. */
  forget({ namespace, service, revision }: ServiceRef & { readonly revision: number }): void {
    this.#horizon = Math.max(this.#horizon, revision);
    const key = serviceKeyOf(namespace, service);
    this.#resets.delete(key);
    if (!this.#view.has(namespace, service)) this.#appearedAt.delete(key);
  }

  /** The whole view of a service as it is at `revision`: the same frames for all that ask before its next change. */
  reset(of: ServiceRef, revision: number): readonly SizedFrame[] {
    const { namespace, service } = of;
    const key = serviceKeyOf(namespace, service);
    const known = this.#resets.get(key);
    if (known !== undefined) return known;
    const instances = this.#view.instances(namespace, service);
    const tombstones = this.#view.tombstones(namespace, service);
    const frames = resetFrames(of, { epoch: this.#epoch, revision }, instances, tombstones);
    // names that never were would fill it
    if (this.#view.has(namespace, service)) this.#resets.set(key, frames);
    return frames;
  }

  /** What changed since a revision; null when only a reset tells the truth: it is too long ago, or the service was not there. */
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
