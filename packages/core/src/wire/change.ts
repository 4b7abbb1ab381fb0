import type { ChangeFrame, Frame, ResetFrame } from './feed-frame.js';
import type { Instance, InstanceId, Tombstone } from './instance.js';
import type { Cursor } from './protocol.js';

/** The frames that concern the view of one service; `status` and `gone` do not. */
export type ServiceFrame = Extract<Frame, { readonly event: 'reset' | 'change' | 'unknown' }>;

/** `waiting`: no complete word yet; `unknown`: the registry, settled, knows no such service, and neither do we. */
export type ServiceStatus = 'waiting' | 'known' | 'unknown';

/**
 * What a frame did. `broken`: it does not follow the protocol (a part is missing, a change without a base, too much of it): the
 * view is as before, and the watch has to be opened anew, without resuming this service.
 */
export type Applied = 'changed' | 'same' | 'broken';

/** A copy of one service as it is put away, for a later process to begin with. */
export interface KeptService {
  readonly epoch: string;
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** Those of the instances that the registry of this epoch has not named. */
  readonly unconfirmed: readonly InstanceId[];
}

/** More instances of one service than this are not believed. */
const MAX_INSTANCES = 100_000;
/** The newest tombstones are enough: an older frame can only come within one flush, which names each instance once. */
const KEPT_TOMBSTONES = 1_024;

/** Instances and tombstones whose revisions are of one epoch: the higher revision wins, whichever comes first. */
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

  bury(tombstone: Tombstone): boolean {
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

/** A reset of which some parts have come. */
interface Pending {
  readonly epoch: string;
  readonly revision: number;
  /** Of our epoch and not older than what we knew when it began: then what it does not name is gone. */
  readonly absenceCounts: boolean;
  readonly view: View;
  nextPart: number;
}

/**
 * The client's copy of one service, kept by the frames of the change feed (docs/PROTOCOL.md, "The change feed"). Free of time and
 * I/O. One frame costs what it names, not what the service holds (a complete reset costs what both hold).
 *
 * Nothing disappears because a registry knows less than we do: within an epoch an instance goes by a tombstone or by its absence
 * from a complete reset; what a registry of another epoch does not name is kept as *unconfirmed* until a tombstone, `confirm`
 * or `disprove` removes it.
 */
export class ServiceSnapshot {
  #view = new View();
  #unconfirmed = new Set<InstanceId>();
  #epoch: string | null = null;
  #revision = 0;
  #pending: Pending | null = null;
  /** Do we hold all of the service, as of the last cursor? Not while a reset is under way, after a gap, or after `unknown`. */
  #whole = false;
  #denied = false;
  #heard = false;
  /** Is all of it from an earlier process, and has no registry spoken since? */
  #restored = false;
  #list: readonly Instance[] | null = null;

  get status(): ServiceStatus {
    if (this.#view.instances.size > 0) return 'known';
    if (this.#denied) return 'unknown';
    return this.#heard ? 'known' : 'waiting';
  }

  /** Null before the first complete reset. */
  get epoch(): string | null {
    return this.#epoch;
  }

  /** The highest revision heard of this service within the epoch. */
  get revision(): number {
    return this.#revision;
  }

  /** All we know of, the unconfirmed too; the same array until something changes. Made when asked for. */
  get instances(): readonly Instance[] {
    this.#list ??= [...this.#view.instances.values()];
    return this.#list;
  }

  get(id: InstanceId): Instance | undefined {
    return this.#view.instances.get(id);
  }

  /** Why an instance is gone, for those removed lately. */
  tombstone(id: InstanceId): Tombstone | undefined {
    return this.#view.tombstones.get(id);
  }

  /** Known, but not to the registry that speaks now: from an earlier epoch and neither named nor buried in this one, or denied. */
  isUnconfirmed(id: InstanceId): boolean {
    return this.#unconfirmed.has(id) || ((this.#denied || this.#restored) && this.#view.instances.has(id));
  }

  /** For `restore`; null when there is nothing worth it. */
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
   * Begins with what an earlier process kept, all of it unconfirmed until a registry speaks: one of the same epoch confirms it or not,
   * as ever; one of another epoch finds it as it finds all that it does not know. False, and nothing, when a registry has spoken.
   */
  restore({ epoch, revision, instances, unconfirmed }: KeptService): boolean {
    if (this.#heard || this.#epoch !== null || instances.length === 0) return false;
    for (const instance of instances.slice(0, MAX_INSTANCES)) this.#view.upsert(instance);
    this.#unconfirmed = new Set(unconfirmed.filter((id) => this.#view.instances.has(id)));
    this.#epoch = epoch;
    this.#revision = revision;
    this.#restored = true;
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
   * May the service be named in `resume` with this cursor? The cursor must come from a stream that carried the service. Otherwise
   * the service is watched anew and gets a reset.
   */
  canResume(cursor: Cursor): boolean {
    return this.#whole && this.#epoch === cursor.epoch;
  }

  /**
   * Removes the unconfirmed that are also ejected here, if the registry is settled (has been up long enough that what it does not
   * know does not exist). Returns whether anything went.
   */
  confirm(settled: boolean, isEjected: (id: InstanceId) => boolean): boolean {
    if (!settled) return false;
    let changed = false;
    for (const id of this.#denied ? this.#view.instances.keys() : this.#unconfirmed) {
      if (isEjected(id)) changed = this.disprove(id) || changed;
    }
    return changed;
  }

  /** Its address turned out not to be it: removes the instance if it is unconfirmed (else the registry has the word). */
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

  /** Removes nothing; whom we know is unconfirmed until the next reset. */
  #deny(): Applied {
    this.#pending = null;
    this.#whole = false;
    this.#denied = true;
    return 'same';
  }

  #change(frame: ChangeFrame): Applied {
    const pending = this.#pending;
    if (pending === null && (this.#epoch === null || this.#restored)) return this.#break();
    if (!fits(this.#view, frame.upsert) || (pending !== null && !fits(pending.view, frame.upsert)))
      return this.#break();
    if (pending !== null) {
      for (const instance of frame.upsert) pending.view.upsert(instance);
      for (const tombstone of frame.remove) pending.view.bury(tombstone);
      // its revisions mean nothing in our epoch: they count when the reset is complete
      if (pending.epoch !== this.#epoch) return 'same';
    }
    return this.#merge(frame.upsert, frame.remove) ? 'changed' : 'same';
  }

  #reset(frame: ResetFrame): Applied {
    this.#whole = false;
    if (frame.part === 0) this.#pending = this.#begin(frame);
    const pending = this.#pending;
    if (pending === null || !continues(pending, frame) || !fits(pending.view, frame.instances)) return this.#break();
    pending.nextPart += 1;
    for (const instance of frame.instances) pending.view.upsert(instance);
    if (!frame.complete) return 'same';
    for (const tombstone of frame.removed ?? []) buryIn(pending, tombstone);
    return this.#complete(pending);
  }

  #begin(frame: ResetFrame): Pending {
    const absenceCounts = frame.epoch === this.#epoch && frame.revision >= this.#revision;
    return { epoch: frame.epoch, revision: frame.revision, absenceCounts, view: new View(), nextPart: 0 };
  }

  #complete(pending: Pending): Applied {
    this.#pending = null;
    this.#whole = true;
    this.#denied = false;
    this.#restored = false;
    this.#heard = true;
    if (pending.epoch !== this.#epoch) return this.#enter(pending);
    let changed = this.#merge(pending.view.instances.values(), pending.view.tombstones.values());
    if (pending.absenceCounts) changed = this.#removeAbsent(pending) || changed;
    this.#revision = Math.max(this.#revision, pending.revision);
    return changed ? 'changed' : 'same';
  }

  /** Another epoch: its view replaces ours, and what it does not name or bury stays, unconfirmed. */
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

  /** What a complete reset of our epoch does not name has been removed; what came meanwhile is in its view as well. */
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
      changed = this.#view.bury(tombstone) || changed;
      this.#revision = Math.max(this.#revision, tombstone.revision);
    }
    return changed;
  }

  #break(): Applied {
    this.#pending = null;
    this.#whole = false;
    return 'broken';
  }
}

function continues(pending: Pending, frame: ResetFrame): boolean {
  return frame.part === pending.nextPart && frame.epoch === pending.epoch && frame.revision === pending.revision;
}

/** Would the view stay within bounds with these in it? */
function fits(view: View, instances: readonly Instance[]): boolean {
  const room = MAX_INSTANCES - view.instances.size;
  return instances.length <= room || instances.filter(({ id }) => !view.instances.has(id)).length <= room;
}

/**
 * A reset's tombstones hold across epochs, so their revisions may be of an earlier one: all of them are at or before the reset's.
 * An instance that the same reset names is alive.
 */
function buryIn(pending: Pending, tombstone: Tombstone): void {
  if (pending.view.instances.has(tombstone.id)) return;
  pending.view.bury({ ...tombstone, revision: Math.min(tombstone.revision, pending.revision) });
}
