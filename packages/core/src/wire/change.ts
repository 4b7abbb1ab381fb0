import type { ChangeFrame, Frame, ResetFrame } from './feed-frame.js';
import type { Instance, InstanceId, Tombstone } from './instance.js';
import type { Cursor } from './protocol.js';

/** The frames that concern the view of one service; `status` and `gone` do not. */
export type ServiceFrame = Extract<Frame, { readonly event: 'reset' | 'change' | 'unknown' }>;

/** `waiting`: no complete answer yet; `unknown`: the settled registry does not know the service, and neither does this process. */
export type ServiceStatus = 'waiting' | 'known' | 'unknown';

/**
 * The effect of a frame. `broken`: it violates the protocol (a missing part, a change without a base, too many
 * instances). The view is unchanged, and the caller must open the watch again without resuming this service.
 */
export type Applied = 'changed' | 'same' | 'broken';

/** A stored copy of one service, with which a later process starts. */
export interface KeptService {
  readonly epoch: string;
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** The instances that were missing in the registry of this epoch. */
  readonly unconfirmed: readonly InstanceId[];
}

/** A service with more instances than this is rejected as implausible. */
const MAX_INSTANCES = 100_000;
/** The newest tombstones suffice: an older frame can only arrive within one flush, which contains each instance once. */
const KEPT_TOMBSTONES = 1_024;

/** Instances and tombstones with revisions of one epoch: the higher revision wins, in any order of arrival. */
class View {
  readonly instances = new Map<InstanceId, Instance>();
  readonly tombstones = new Map<InstanceId, Tombstone>();

  upsert(instance: Instance): boolean {
    const known = this.instances.get(instance.id);
    if (known !== undefined && known.revision >= instance.revision) return false;
    const tombstone = this.tombstones.get(instance.id);
    if (tombstone !== undefined && tombstone.revision >= instance.revision) return false;
    this.tombstones.delete(instance.id);
    this.instances.set(instance.id, instance);
    return true;
  }

  addTombstone(tombstone: Tombstone): boolean {
    const known = this.instances.get(tombstone.id);
    if (known !== undefined && known.revision > tombstone.revision) return false;
    const older = this.tombstones.get(tombstone.id);
    if (older === undefined || older.revision < tombstone.revision) this.#keep(tombstone);
    return this.instances.delete(tombstone.id);
  }

  #keep(tombstone: Tombstone): void {
    this.tombstones.delete(tombstone.id);
    this.tombstones.set(tombstone.id, tombstone);
    if (this.tombstones.size <= KEPT_TOMBSTONES) return;
    for (const oldest of this.tombstones.keys()) {
      this.tombstones.delete(oldest);
      return;
    }
  }
}

/** A partially received reset. */
interface Pending {
  readonly epoch: string;
  readonly revision: number;
  /** True if the reset is of our epoch and not older than our view when it began: instances that it does not contain are then removed. */
  readonly absenceCounts: boolean;
  readonly view: View;
  nextPart: number;
}

/**
 * The client's copy of one service, maintained from the frames of the change feed (docs/PROTOCOL.md, "The change
 * feed"). It uses neither time nor I/O. The cost of a frame grows with the instances that it names, not with the size
 * of the service (a complete reset costs the sum of both).
 *
 * An instance never disappears because a registry knows less than we do: within an epoch it is removed by a tombstone
 * or by its absence from a complete reset; an instance that a registry of another epoch does not name stays
 * *unconfirmed* until a tombstone, `confirm` or `disprove` removes it.
 */
export class ServiceSnapshot {
  #view = new View();
  #unconfirmed = new Set<InstanceId>();
  #epoch: string | null = null;
  #revision = 0;
  #pending: Pending | null = null;
  /** True if the view is complete as of the last cursor: not during a reset, after a gap, or after `unknown`. */
  #isComplete = false;
  #isDenied = false;
  #isAnswered = false;
  /** True while the whole view is from an earlier process and no registry has answered since. */
  #isRestored = false;
  #list: readonly Instance[] | null = null;

  get status(): ServiceStatus {
    if (this.#view.instances.size > 0) return 'known';
    if (this.#isDenied) return 'unknown';
    return this.#isAnswered ? 'known' : 'waiting';
  }

  /** The epoch of the view; null before the first complete reset. */
  get epoch(): string | null {
    return this.#epoch;
  }

  /** The highest revision of this service received within the epoch. */
  get revision(): number {
    return this.#revision;
  }

  /** All known instances, with the unconfirmed; the same array until the view changes. Built on demand. */
  get instances(): readonly Instance[] {
    this.#list ??= [...this.#view.instances.values()];
    return this.#list;
  }

  get(id: InstanceId): Instance | undefined {
    return this.#view.instances.get(id);
  }

  /** The tombstone of a recently removed instance. */
  tombstone(id: InstanceId): Tombstone | undefined {
    return this.#view.tombstones.get(id);
  }

  /**
   * True if we know the instance but the current registry does not: it is from an earlier epoch and not named or buried
   * since, or denied.
   */
  isUnconfirmed(id: InstanceId): boolean {
    return this.#unconfirmed.has(id) || ((this.#isDenied || this.#isRestored) && this.#view.instances.has(id));
  }

  /** The copy for `restore`; null if there is nothing to store. */
  get kept(): KeptService | null {
    if (this.#epoch === null || this.#view.instances.size === 0) return null;
    return {
      epoch: this.#epoch,
      revision: this.#revision,
      instances: this.instances,
      unconfirmed: [...this.#unconfirmed],
    };
  }

  /**
   * Starts from the copy of an earlier process; all of it is unconfirmed until a registry answers. A registry of the
   * same epoch confirms or removes instances as usual; for one of another epoch they stay unconfirmed like any that it
   * does not name. Returns false, without effect, if a registry has already answered.
   */
  restore({ epoch, revision, instances, unconfirmed }: KeptService): boolean {
    if (this.#isAnswered || this.#epoch !== null || instances.length === 0) return false;
    for (const instance of instances.slice(0, MAX_INSTANCES)) this.#view.upsert(instance);
    this.#unconfirmed = new Set(unconfirmed.filter((id) => this.#view.instances.has(id)));
    this.#epoch = epoch;
    this.#revision = revision;
    this.#isRestored = true;
    this.#list = null;
    return true;
  }

  apply(frame: ServiceFrame): Applied {
    const before = this.status;
    const applied = this.#apply(frame);
    if (applied === 'changed') this.#list = null;
    return applied === 'same' && before !== this.status ? 'changed' : applied;
  }

  /**
   * True if the watch may name the service in `resume` with this cursor, which must come from a stream that carried the
   * service. Otherwise the watch starts over and receives a reset.
   */
  canResume(cursor: Cursor): boolean {
    return this.#isComplete && this.#epoch === cursor.epoch;
  }

  /**
   * Removes unconfirmed instances that are also ejected here, if the registry is settled (up long enough that an
   * instance it does not know does not exist). Returns true if it removed any.
   */
  confirm(settled: boolean, isEjected: (id: InstanceId) => boolean): boolean {
    if (!settled) return false;
    let changed = false;
    for (const id of this.#isDenied ? this.#view.instances.keys() : this.#unconfirmed) {
      if (isEjected(id)) changed = this.disprove(id) || changed;
    }
    return changed;
  }

  /**
   * Another process answers at the address of this instance: removes it if it is unconfirmed (else the registry
   * decides).
   */
  disprove(id: InstanceId): boolean {
    if (!this.isUnconfirmed(id)) return false;
    this.#unconfirmed.delete(id);
    this.#view.instances.delete(id);
    this.#list = null;
    return true;
  }

  #apply(frame: ServiceFrame): Applied {
    if (frame.event === 'reset') return this.#reset(frame.data);
    if (frame.event === 'change') return this.#change(frame.data);
    return this.#deny();
  }

  /** Removes nothing; all known instances are unconfirmed until the next reset. */
  #deny(): Applied {
    this.#pending = null;
    this.#isComplete = false;
    this.#isDenied = true;
    return 'same';
  }

  #change(frame: ChangeFrame): Applied {
    const pending = this.#pending;
    if (pending === null && (this.#epoch === null || this.#isRestored)) return this.#break();
    if (!fits(this.#view, frame.upsert) || (pending !== null && !fits(pending.view, frame.upsert)))
      return this.#break();
    if (pending !== null) {
      for (const instance of frame.upsert) pending.view.upsert(instance);
      for (const tombstone of frame.remove) pending.view.addTombstone(tombstone);
      // revisions of another epoch do not compare with ours; the change applies once the reset is complete
      if (pending.epoch !== this.#epoch) return 'same';
    }
    return this.#merge(frame.upsert, frame.remove) ? 'changed' : 'same';
  }

  #reset(frame: ResetFrame): Applied {
    this.#isComplete = false;
    if (frame.part === 0) this.#pending = this.#begin(frame);
    const pending = this.#pending;
    if (pending === null || !continues(pending, frame) || !fits(pending.view, frame.instances)) return this.#break();
    pending.nextPart += 1;
    for (const instance of frame.instances) pending.view.upsert(instance);
    if (!frame.complete) return 'same';
    for (const tombstone of frame.removed ?? []) addTombstoneTo(pending, tombstone);
    return this.#complete(pending);
  }

  #begin(frame: ResetFrame): Pending {
    const absenceCounts = frame.epoch === this.#epoch && frame.revision >= this.#revision;
    return { epoch: frame.epoch, revision: frame.revision, absenceCounts, view: new View(), nextPart: 0 };
  }

  #complete(pending: Pending): Applied {
    this.#pending = null;
    this.#isComplete = true;
    this.#isDenied = false;
    this.#isRestored = false;
    this.#isAnswered = true;
    if (pending.epoch !== this.#epoch) return this.#enter(pending);
    let changed = this.#merge(pending.view.instances.values(), pending.view.tombstones.values());
    if (pending.absenceCounts) changed = this.#removeAbsent(pending) || changed;
    this.#revision = Math.max(this.#revision, pending.revision);
    return changed ? 'changed' : 'same';
  }

  /** Enters another epoch: its view replaces ours, and instances that it does not name or bury stay unconfirmed. */
  #enter(pending: Pending): Applied {
    const { instances, tombstones } = pending.view;
    this.#unconfirmed = new Set();
    for (const known of this.#view.instances.values()) {
      if (instances.size >= MAX_INSTANCES) break;
      if (instances.has(known.id) || tombstones.has(known.id)) continue;
      instances.set(known.id, known);
      this.#unconfirmed.add(known.id);
    }
    this.#view = pending.view;
    this.#epoch = pending.epoch;
    this.#revision = pending.revision;
    return 'changed';
  }

  /**
   * Removes the instances that a complete reset of our epoch does not name; changes during the reset are in its view,
   * too.
   */
  #removeAbsent(pending: Pending): boolean {
    let changed = false;
    for (const known of this.#view.instances.values()) {
      if (pending.view.instances.has(known.id) || this.#unconfirmed.has(known.id)) continue;
      this.#view.instances.delete(known.id);
      changed = true;
    }
    return changed;
  }

  #merge(upserts: Iterable<Instance>, removals: Iterable<Tombstone>): boolean {
    let changed = false;
    for (const instance of upserts) {
      if (this.#unconfirmed.delete(instance.id)) this.#view.instances.delete(instance.id);
      changed = this.#view.upsert(instance) || changed;
      this.#revision = Math.max(this.#revision, instance.revision);
    }
    for (const tombstone of removals) {
      if (this.#unconfirmed.delete(tombstone.id)) changed = this.#view.instances.delete(tombstone.id) || changed;
      changed = this.#view.addTombstone(tombstone) || changed;
      this.#revision = Math.max(this.#revision, tombstone.revision);
    }
    return changed;
  }

  #break(): Applied {
    this.#pending = null;
    this.#isComplete = false;
    return 'broken';
  }
}

function continues(pending: Pending, frame: ResetFrame): boolean {
  return frame.part === pending.nextPart && frame.epoch === pending.epoch && frame.revision === pending.revision;
}

/** True if the view stays within `MAX_INSTANCES` with these instances. */
function fits(view: View, instances: readonly Instance[]): boolean {
  const room = MAX_INSTANCES - view.instances.size;
  return instances.length <= room || instances.filter(({ id }) => !view.instances.has(id)).length <= room;
}

/**
 * Tombstones of a reset hold across epochs, so their revisions may be of an earlier one; none counts as newer than the
 * reset. An instance that the same reset names is alive.
 */
function addTombstoneTo(pending: Pending, tombstone: Tombstone): void {
  if (pending.view.instances.has(tombstone.id)) return;
  pending.view.addTombstone({ ...tombstone, revision: Math.min(tombstone.revision, pending.revision) });
}
