import { RollcallError } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { storedInstance, storedTombstone } from './contract.js';
import { MemoryStore } from './memory.js';
import type { StoreFault, Write } from './store.js';
import { WriteBehind } from './write-behind.js';

/** A store on a disk that is full now and then, and slow when asked to be. */
class FaultyStore {
  readonly time = new ManualTime();
  readonly log = recordingLog();
  readonly kept = new MemoryStore();
  readonly writeBehind: WriteBehind;
  isFull = false;
  calls = 0;
  /** The fault that the store reports. */
  fault: StoreFault | null = null;

  constructor() {
    const store = { write: (writes: readonly Write[]) => this.#write(writes), fault: () => this.fault };
    this.writeBehind = new WriteBehind({ store, time: this.time, log: this.log });
  }

  remember(...writes: readonly Write[]): Promise<void> {
    for (const write of writes) this.writeBehind.remember(write);
    return this.time.advanceBy(0);
  }

  async found(): Promise<readonly string[]> {
    const { instances, tombstones } = await this.kept.load();
    const found = [
      ...instances.map(({ record }) => `${record.id}@${record.revision}`),
      ...tombstones.map(({ id, revision }) => `${id}†${revision}`),
    ];
    return found.toSorted();
  }

  async #write(writes: readonly Write[]): Promise<void> {
    this.calls += 1;
    const { isFull } = this;
    await Promise.resolve();
    if (isFull) throw new RollcallError('STORE_FAILED', 'The disk is full.');
    await this.kept.write(writes);
  }
}

const put = (id: string, revision: number): Write => ({ put: storedInstance(id, revision) });
const bury = (id: string, revision: number): Write => ({ bury: storedTombstone(id, revision) });

describe('write-behind', () => {
  it('acknowledges what is stored, and nothing else', async () => {
    const store = new FaultyStore();
    await store.writeBehind.acknowledge(put('a', 1));
    store.isFull = true;
    await expect(store.writeBehind.acknowledge(put('b', 2))).rejects.toThrow('The disk is full.');
    store.isFull = false;
    await store.time.advanceBy(10_000);
    expect(await store.found()).toEqual(['a@1']);
  });

  it('reports the writes that the store refuses, with reason and start, until all of them are stored', async () => {
    const store = new FaultyStore();
    expect(store.writeBehind.trouble).toBeNull();
    store.isFull = true;
    await expect(store.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('The disk is full.');
    expect(store.writeBehind.trouble).toEqual({ text: 'The disk is full.', sinceMs: 0, owed: 0 });
    await store.remember(put('b', 2), put('c', 3));
    await store.time.advanceBy(2_500);
    expect(store.writeBehind.trouble).toEqual({ text: 'The disk is full.', sinceMs: 2_500, owed: 2 });
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(store.writeBehind.trouble).toBeNull();
  });

  it('reports a fault of the store without a write, as long as the store reports it or changes are owed', async () => {
    const store = new FaultyStore();
    store.fault = { text: 'The folder is gone.', sinceMs: 7 };
    expect(store.writeBehind.trouble).toEqual({ text: 'The folder is gone.', sinceMs: 7, owed: 0 });
    store.isFull = true;
    await expect(store.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('full');
    await store.remember(put('b', 2));
    expect(store.writeBehind.trouble).toEqual({ text: 'The folder is gone.', sinceMs: 7, owed: 1 });
    store.fault = null;
    expect(store.writeBehind.trouble).toMatchObject({ owed: 1 });
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(store.writeBehind.trouble).toBeNull();
    // and if nothing was owed, no write is needed to detect the end
    store.fault = { text: 'The folder is gone.', sinceMs: 0 };
    store.isFull = true;
    await expect(store.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('full');
    store.fault = null;
    expect(store.writeBehind.trouble).toBeNull();
  });

  it('repeats refused writes, the last one for each instance', async () => {
    const store = new FaultyStore();
    await store.remember(put('a', 1), put('b', 2), put('c', 3));
    store.isFull = true;
    await store.remember(put('a', 4), bury('a', 5), bury('b', 6));
    await store.time.advanceBy(5_000);
    expect(await store.found()).toEqual(['a@1', 'b@2', 'c@3']);
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(await store.found()).toEqual(['a†5', 'b†6', 'c@3']);
  });

  it('logs once that changes are owed, and once that none are', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    for (let revision = 0; revision < 50; revision += 1) await store.remember(put(`a${revision}`, revision));
    await store.time.advanceBy(5_000);
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(store.log.texts()).toEqual([
      'The store could not keep a change: The disk is full. It is retried every 1 s; changes that are not stored are lost if the registry ends before.',
      'The store has accepted all pending changes.',
    ]);
    expect(store.time.pending().background).toBe(0);
  });

  it('logs that too if a newer change was stored instead, so that the next fault is logged', async () => {
    const store = new FaultyStore();
    for (let trouble = 0; trouble < 2; trouble += 1) {
      store.isFull = true;
      await store.remember(put('a', 1));
      store.isFull = false;
      await store.remember(bury('a', 2));
      await store.time.advanceBy(1_000);
    }
    const once = [expect.stringContaining('could not keep a change'), 'The store has accepted all pending changes.'];
    expect(store.log.texts()).toEqual([...once, ...once]);
    expect(store.time.pending().background).toBe(0);
  });

  it('tries a failing store with one change, not with all of them', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    for (let revision = 0; revision < 50; revision += 1) await store.remember(put(`a${revision}`, revision));
    const before = store.calls;
    await store.time.advanceBy(3_000);
    expect(store.calls - before).toBe(3);
  });

  it('keeps an owed change if the registration that would replace it is refused', async () => {
    const store = new FaultyStore();
    await store.remember(put('a', 1));
    store.isFull = true;
    await store.remember(bury('a', 2));
    await expect(store.writeBehind.acknowledge(put('a', 3))).rejects.toThrow('full');
    // and where both were under way at once
    const both = [bury('a', 4), put('a', 5)] as const;
    store.writeBehind.remember(both[0]);
    await expect(store.writeBehind.acknowledge(both[1])).rejects.toThrow('full');
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(await store.found()).toEqual(['a†4']);
  });

  it('drops an owed change that a registration replaces', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    await store.remember(bury('a', 2));
    store.isFull = false;
    await store.writeBehind.acknowledge(put('a', 3));
    await store.time.advanceBy(10_000);
    expect(await store.found()).toEqual(['a@3']);
  });

  it('does not repeat a change that a newer one in flight replaces', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    store.writeBehind.remember(put('a', 1));
    store.isFull = false;
    await store.remember(put('a', 2));
    await store.time.advanceBy(10_000);
    expect(await store.found()).toEqual(['a@2']);
    expect(store.calls).toBe(2);
    expect(store.log.texts()).toEqual([]);
  });

  it('removes an instance whose removal was refused, although its tombstone has expired', async () => {
    const store = new FaultyStore();
    await store.remember(put('a', 1));
    store.isFull = true;
    await store.remember(bury('a', 2));
    await store.remember({ forget: 'a' });
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(await store.found()).toEqual([]);
  });

  it('reports when a change is stored, or why it is not', async () => {
    const store = new FaultyStore();
    expect(await store.writeBehind.waitUntilStored('a')).toBeNull();
    store.writeBehind.remember(put('a', 1));
    expect(await store.writeBehind.waitUntilStored('a')).toBeNull();
    expect(await store.found()).toEqual(['a@1']);
    store.isFull = true;
    store.writeBehind.remember(bury('a', 2));
    expect(await store.writeBehind.waitUntilStored('a')).toBe('The disk is full.');
    expect(await store.writeBehind.waitUntilStored('a')).toBe('The disk is full.');
    expect(await store.writeBehind.waitUntilStored('b')).toBeNull();
    store.isFull = false;
    await store.time.advanceBy(1_000);
    expect(await store.writeBehind.waitUntilStored('a')).toBeNull();
  });

  it('waits for the later change if the store refused the earlier one', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    store.writeBehind.remember(put('a', 1));
    store.isFull = false;
    store.writeBehind.remember(bury('a', 2));
    expect(await store.writeBehind.waitUntilStored('a')).toBeNull();
    expect(await store.found()).toEqual(['a†2']);
  });

  it('repeats all owed changes when it is closed, and logs what is lost', async () => {
    const store = new FaultyStore();
    store.isFull = true;
    await store.remember(put('a', 1), put('b', 2));
    store.isFull = false;
    await store.writeBehind.close();
    expect(await store.found()).toEqual(['a@1', 'b@2']);

    const other = new FaultyStore();
    other.isFull = true;
    await other.remember(put('a', 1), put('b', 2));
    await other.writeBehind.close();
    await other.writeBehind.close();
    expect(other.log.texts('error').at(-1)).toBe('2 changes are lost: the store did not accept them.');
    await other.remember(put('c', 3));
    expect(other.time.pending().background).toBe(0);
  });
});
