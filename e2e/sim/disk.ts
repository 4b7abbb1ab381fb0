import { RollcallError } from '@rollcall/core';
import type { Random } from '@rollcall/core';
import { MemoryStore } from '@rollcall/registry';
import type { Contents, Store, Write } from '@rollcall/registry';
import type { Process } from './world.js';

/** The duration of a sync, uniform in ms. */
const SYNC_MS: readonly [least: number, most: number] = [0.5, 12];

/** Writes that go to the disk together. */
interface Group {
  readonly writes: Write[];
  readonly since: number;
  readonly done: (() => void)[];
}

/**
 * A disk that outlives the processes which write to it. It commits in groups, as DiskStore does: writes requested
 * during a sync go with the next sync, and a group is found whole or not at all. A crash loses the waiting writes;
 * chance decides whether the group under way is kept.
 */
export class Disk {
  /** The number of active faults that make it refuse writes. */
  full = 0;
  /** What the newest process has found here. */
  found: Contents = { instances: [], tombstones: [], preservation: null };
  /** When the oldest write that the last crash lost was requested, virtual ms; Infinity where it lost nothing. */
  lostSince = Infinity;
  readonly #random: Random;
  readonly #safe = new MemoryStore();
  #underWay: Group | null = null;
  #next: Group | null = null;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The store of one process. */
  storeOf(process: Process): Store {
    return {
      name: 'disk',
      durable: true,
      load: async () => {
        this.found = await this.#safe.load();
        return this.found;
      },
      write: (writes) => this.#write(process, writes),
      close: async () => {},
    };
  }

  /** The process that wrote is gone. May be called twice. */
  crash(): void {
    const [underWay, next] = [this.#underWay, this.#next];
    this.#underWay = null;
    this.#next = null;
    this.lostSince = next?.since ?? Infinity;
    if (underWay === null) return;
    if (this.#random.unit() < 0.5) void this.#safe.write(underWay.writes);
    else this.lostSince = underWay.since;
  }

  #write(process: Process, writes: readonly Write[]): Promise<void> {
    if (this.full > 0) {
      return Promise.reject(
        new RollcallError('STORE_FAILED', 'The disk takes no writes: it is full.', { retryable: true }),
      );
    }
    const isIdle = this.#underWay === null && this.#next === null;
    const group = (this.#next ??= { writes: [], since: process.machine.world.now, done: [] });
    group.writes.push(...writes);
    // writes that are requested later in this turn go with it
    if (isIdle) void Promise.resolve().then(() => this.#sync(process));
    return new Promise((done) => void group.done.push(done));
  }

  #sync(process: Process): void {
    const group = this.#next;
    if (group === null || this.#underWay !== null) return;
    this.#next = null;
    this.#underWay = group;
    const [least, most] = SYNC_MS;
    process.setTimer(least + (most - least) * this.#random.unit(), () => {
      if (this.#underWay !== group) return;
      this.#underWay = null;
      void this.#safe.write(group.writes);
      for (const done of group.done) done();
      this.#sync(process);
    });
  }
}
