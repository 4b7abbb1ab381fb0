import type { Random } from '@rollcall/core';
import type { Folder, FolderFile, Place } from './folder.js';

export type Verb =
  | 'make'
  | 'list'
  | 'read'
  | 'create'
  | 'append'
  | 'truncate'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'sync-folder'
  | 'touch';

/** Something that goes wrong at the next verb of its kind. */
export interface Fault {
  readonly verb: Verb;
  /** The error code of the system: ENOSPC, EIO … */
  readonly code: string;
  /** And at every one after that. Default false. */
  readonly isLasting?: boolean;
}

/**
 * How a life ends: the process alone, which leaves the system's memory of the disk; or the power, with all that was not
 * synced.
 */
export type End = 'kill' | 'power';

const WRITING: readonly Verb[] = ['create', 'append', 'truncate', 'sync', 'rename', 'remove', 'sync-folder', 'touch'];

/** A file's bytes as programs see them, and as they would be found after a loss of power. */
interface Inode {
  seen: Buffer;
  safe: Buffer;
  /** After a failed sync, later ones succeed without effect: the system has marked the pages clean. */
  isLying: boolean;
  /** True if it was truncated since the last sync. */
  isCut: boolean;
  touchedAt: number;
}

/** A change of names that is not yet safe. */
interface Renaming {
  readonly removed: string | null;
  readonly added: readonly [name: string, inode: Inode] | null;
}

/**
 * A disk with the faults of real disks: it loses what was not synced, tears the last write, forgets some of the names,
 * fails once, and reports a failed sync as done. One in-memory folder that survives any number of simulated crashes.
 */
export class FakeDisk {
  /** The number of operations in this life, and the one at which it ends. */
  verbs = 0;
  endsAt = Infinity;
  /** True if it has refused, in this life, to remove the last write: then that may be found. */
  refusedTakeBack = false;
  readonly faults: Fault[] = [];
  readonly #random: Random;
  #names = new Map<string, Inode>();
  #safeNames = new Map<string, Inode>();
  #renamings: Renaming[] = [];
  #life = {};
  #clock = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The files as the next life will see them. */
  get files(): ReadonlyMap<string, Buffer> {
    return new Map([...this.#names].map(([name, { seen }]) => [name, seen]));
  }

  /** Writes a file from outside, safely. */
  plant(name: string, bytes: Uint8Array): void {
    const inode = newInode(bytes);
    this.#names.set(name, inode);
    this.#safeNames.set(name, inode);
  }

  /** Deletes a file from outside. */
  unlink(name: string): void {
    this.#names.delete(name);
    this.#safeNames.delete(name);
  }

  /** Ends the current life: none of its operations, also those in progress, ever resolves. */
  end(how: End): void {
    this.#life = {};
    this.verbs = 0;
    this.endsAt = Infinity;
    this.refusedTakeBack = false;
    this.faults.length = 0;
    if (how === 'power') this.#losePower();
  }

  /** Refuses these operations until `repair`. */
  refuse(code: string, verbs: readonly Verb[] = WRITING): void {
    for (const verb of verbs) this.faults.push({ verb, code, isLasting: true });
  }

  repair(): void {
    this.faults.length = 0;
  }

  /** The folder, for one life. */
  mount(path = '/data'): Folder {
    const life = this.#life;
    const at = <Value>(verb: Verb, run: () => Value): Promise<Value> => this.#at(life, verb, { run });
    return {
      path,
      make: () => at('make', () => undefined),
      list: () => at('list', () => [...this.#names.keys()]),
      read: (name) => at('read', () => Buffer.from(this.#inode(name).seen)),
      create: (name) => at('create', () => this.#create(life, name)),
      rename: (from, to) =>
        at('rename', () => {
          const inode = this.#inode(from);
          this.#names.delete(from);
          this.#names.set(to, inode);
          this.#renamings.push({ removed: from, added: [to, inode] });
        }),
      remove: (name) =>
        at('remove', () => {
          if (this.#names.delete(name)) this.#renamings.push({ removed: name, added: null });
        }),
      sync: () =>
        at('sync-folder', () => {
          this.#safeNames = new Map(this.#names);
          this.#renamings = [];
        }),
      touch: (name) => at('touch', () => void (this.#inode(name).touchedAt = this.#clock += 1)),
      touchedAt: (name) => at('touch', () => this.#inode(name).touchedAt),
      // looks change nothing, and are not counted
      sizeOf: async (name) => this.#names.get(name)?.seen.length ?? null,
      id: async () => 'the folder',
    };
  }

  #create(life: object, name: string): FolderFile {
    if (this.#names.has(name)) throw systemError('EEXIST');
    const inode = newInode(Buffer.alloc(0));
    this.#names.set(name, inode);
    this.#renamings.push({ removed: null, added: [name, inode] });
    const write = (bytes: Uint8Array): void => void (inode.seen = Buffer.concat([inode.seen, bytes]));
    const refuse = (): void => void (this.refusedTakeBack = true);
    return {
      append: (bytes) =>
        this.#at(life, 'append', {
          run: () => write(bytes),
          fail: () => write(bytes.subarray(0, this.#below(bytes.length + 1))),
        }),
      truncate: (length) => this.#at(life, 'truncate', { run: () => cut(inode, length), fail: refuse }),
      sync: () =>
        this.#at(life, 'sync', {
          run: () => makeSafe(inode),
          fail: () => {
            if (inode.isCut) refuse();
            if (this.#below(2) === 0) makeSafe(inode);
            else inode.isLying = true;
          },
        }),
      size: async () => inode.seen.length,
      place: async () => this.#placeOf(name, inode),
      close: async () => undefined,
    };
  }

  #placeOf(name: string, inode: Inode): Place {
    const found = this.#names.get(name);
    if (found === undefined) return 'gone';
    return found === inode ? 'here' : 'replaced';
  }

  /**
   * One verb: takes its time, may fail, and is the last one where the life ends; then it may have happened in part or
   * not at all.
   */
  async #at<Value>(life: object, verb: Verb, { run, fail }: { run: () => Value; fail?: () => void }): Promise<Value> {
    // mostly as quick as any, now and then overtaken by many
    for (let turns = this.#below(this.#below(16) === 0 ? 200 : 4); turns > 0; turns -= 1) await Promise.resolve();
    if (life !== this.#life) return new Promise(() => undefined);
    this.verbs += 1;
    if (this.verbs > this.endsAt) {
      if (this.#below(2) === 0) fail?.();
      this.#life = {};
      return new Promise(() => undefined);
    }
    const fault = this.faults.find((one) => one.verb === verb);
    if (fault === undefined) return run();
    fail?.();
    if (fault.isLasting !== true) this.faults.splice(this.faults.indexOf(fault), 1);
    throw systemError(fault.code);
  }

  #losePower(): void {
    const names = new Map(this.#safeNames);
    for (const { removed, added } of this.#renamings) {
      if (this.#below(2) === 0) continue;
      if (removed !== null) names.delete(removed);
      if (added !== null) names.set(...added);
    }
    for (const inode of new Set(names.values())) {
      inode.seen = inode.safe = this.#torn(inode);
      Object.assign(inode, { isLying: false, isCut: false });
    }
    this.#names = names;
    this.#safeNames = new Map(names);
    this.#renamings = [];
  }

  /** The synced content, and any part of what was written after it, perhaps with a hole. */
  #torn({ seen, safe }: Inode): Buffer {
    const isLonger = seen.length >= safe.length && seen.subarray(0, safe.length).equals(safe);
    if (!isLonger) return this.#below(2) === 0 ? safe : Buffer.from(seen);
    const kept = Buffer.from(seen.subarray(0, safe.length + this.#below(seen.length - safe.length + 1)));
    const hole = safe.length + this.#below(kept.length - safe.length + 1);
    if (this.#below(3) === 0) kept.fill(0, hole, Math.min(kept.length, hole + 16));
    return kept;
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw systemError('ENOENT');
    return inode;
  }

  #below(count: number): number {
    return Math.floor(this.#random.unit() * count);
  }
}

function newInode(bytes: Uint8Array): Inode {
  return { seen: Buffer.from(bytes), safe: Buffer.from(bytes), isLying: false, isCut: false, touchedAt: 0 };
}

function cut(inode: Inode, length: number): void {
  inode.seen = inode.seen.subarray(0, length);
  inode.isCut = true;
}

function makeSafe(inode: Inode): void {
  inode.isCut = false;
  if (!inode.isLying) inode.safe = Buffer.from(inode.seen);
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: reported by the disk`), { code });
}
