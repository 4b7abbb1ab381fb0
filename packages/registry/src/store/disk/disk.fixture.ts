import type { Log, Random, Time } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import type { Contents } from '../store.js';
import { DiskStore } from './disk.js';
import { FakeDisk } from './fake-disk.fixture.js';
import { lockFolder } from './folder-lock.js';
import type { FolderLock, Holder } from './folder-lock.js';
import type { Folder } from './folder.js';

interface StoreParts {
  readonly folder: Folder;
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  /** The process of the store. */
  readonly pid: number;
  readonly isAlive?: (holder: Holder) => boolean | null;
  readonly compactAtBytes?: number;
}

/** The store of one process of a machine; by default only that process itself is alive. */
export function storeOf({
  pid,
  isAlive = (holder) => holder.pid === pid,
  compactAtBytes = 2_000,
  ...rest
}: StoreParts): DiskStore {
  const self = { pid, startedAt: '1', space: 'here' };
  const processes = { self, isAlive: async (holder: Holder) => isAlive(holder) };
  return new DiskStore({ ...rest, compactAtBytes, processes: async () => processes });
}

/** A disk, a clock, and one process after another that opens a store there. */
export class Bench {
  readonly time = new ManualTime();
  readonly random: Random;
  readonly log = recordingLog();
  readonly disk: FakeDisk;
  #pid = 0;

  constructor(seed = 1) {
    this.random = seededRandom(seed);
    this.disk = new FakeDisk(this.random);
  }

  /** The store of another process, not yet loaded. */
  store(overrides: Partial<StoreParts> = {}): DiskStore {
    this.#pid += 1;
    const { time, random, log } = this;
    return storeOf({ folder: this.disk.mount(), time, random, log, pid: this.#pid, ...overrides });
  }

  /** The lock of the folder, for one of many processes; the timers of a process not in `alive` do nothing. */
  lock(pid: number, alive: ReadonlySet<number>): Promise<FolderLock> {
    const self = { pid, startedAt: '1', space: 'here' };
    const processes = { self, isAlive: async (holder: Holder) => alive.has(holder.pid) };
    const time: Time = {
      now: () => this.time.now(),
      wall: () => this.time.wall(),
      setTimer: (ms, run, options) => this.time.setTimer(ms, () => (alive.has(pid) ? run() : undefined), options),
    };
    return lockFolder({ folder: this.disk.mount(), processes, time, random: this.random, log: this.log });
  }

  /** Loads a store, and advances the time for which it watches a lock that a loss of power has emptied. */
  async load(store = this.store()): Promise<Contents> {
    const loading = store.load();
    loading.catch(() => undefined);
    await this.time.advanceBy(4_000);
    return loading;
  }

  /** Completes everything that is under way. */
  settle(): Promise<void> {
    return this.time.advanceBy(0);
  }
}
