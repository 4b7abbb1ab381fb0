import { RollcallError } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { storedInstance, storedTombstone } from './contract.js';
import { MemoryStore } from './memory.js';
import type { StoreFault, Write } from './store.js';
import { WriteBehind } from './write-behind.js';

/** A write-behind on a store that is full or slow on request. */
class WriteBehindFixture {
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
  it('acknowledges only stored writes', async () => {
    const fixture = new WriteBehindFixture();
    await fixture.writeBehind.acknowledge(put('a', 1));
    fixture.isFull = true;
    await expect(fixture.writeBehind.acknowledge(put('b', 2))).rejects.toThrow('The disk is full.');
    fixture.isFull = false;
    await fixture.time.advanceBy(10_000);
    expect(await fixture.found()).toEqual(['a@1']);
  });

  it('reports the writes that the store refuses, with reason and start, until all of them are stored', async () => {
    const fixture = new WriteBehindFixture();
    expect(fixture.writeBehind.trouble).toBeNull();
    fixture.isFull = true;
    await expect(fixture.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('The disk is full.');
    expect(fixture.writeBehind.trouble).toEqual({ text: 'The disk is full.', sinceMs: 0, owed: 0 });
    await fixture.remember(put('b', 2), put('c', 3));
    await fixture.time.advanceBy(2_500);
    expect(fixture.writeBehind.trouble).toEqual({ text: 'The disk is full.', sinceMs: 2_500, owed: 2 });
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(fixture.writeBehind.trouble).toBeNull();
  });

  it('reports a fault of the store without a write, as long as the store reports it or changes are owed', async () => {
    const fixture = new WriteBehindFixture();
    fixture.fault = { text: 'The folder is gone.', sinceMs: 7 };
    expect(fixture.writeBehind.trouble).toEqual({ text: 'The folder is gone.', sinceMs: 7, owed: 0 });
    fixture.isFull = true;
    await expect(fixture.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('full');
    await fixture.remember(put('b', 2));
    expect(fixture.writeBehind.trouble).toEqual({ text: 'The folder is gone.', sinceMs: 7, owed: 1 });
    fixture.fault = null;
    expect(fixture.writeBehind.trouble).toMatchObject({ owed: 1 });
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(fixture.writeBehind.trouble).toBeNull();
    // and if nothing was owed, no write is needed to detect the end
    fixture.fault = { text: 'The folder is gone.', sinceMs: 0 };
    fixture.isFull = true;
    await expect(fixture.writeBehind.acknowledge(put('a', 1))).rejects.toThrow('full');
    fixture.fault = null;
    expect(fixture.writeBehind.trouble).toBeNull();
  });

  it('repeats refused writes, the last one for each instance', async () => {
    const fixture = new WriteBehindFixture();
    await fixture.remember(put('a', 1), put('b', 2), put('c', 3));
    fixture.isFull = true;
    await fixture.remember(put('a', 4), bury('a', 5), bury('b', 6));
    await fixture.time.advanceBy(5_000);
    expect(await fixture.found()).toEqual(['a@1', 'b@2', 'c@3']);
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(await fixture.found()).toEqual(['a†5', 'b†6', 'c@3']);
  });

  it('logs once that changes are owed, and once that none are', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    for (let revision = 0; revision < 50; revision += 1) await fixture.remember(put(`a${revision}`, revision));
    await fixture.time.advanceBy(5_000);
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(fixture.log.texts()).toEqual([
      'The store could not keep a change: The disk is full. It is retried every 1 s; changes that are not stored are lost if the registry ends before.',
      'The store has accepted all pending changes.',
    ]);
    expect(fixture.time.pending().background).toBe(0);
  });

  it('logs that too if a newer change was stored instead, so that the next fault is logged', async () => {
    const fixture = new WriteBehindFixture();
    for (let trouble = 0; trouble < 2; trouble += 1) {
      fixture.isFull = true;
      await fixture.remember(put('a', 1));
      fixture.isFull = false;
      await fixture.remember(bury('a', 2));
      await fixture.time.advanceBy(1_000);
    }
    const once = [expect.stringContaining('could not keep a change'), 'The store has accepted all pending changes.'];
    expect(fixture.log.texts()).toEqual([...once, ...once]);
    expect(fixture.time.pending().background).toBe(0);
  });

  it('tries a failing store with one change, not with all of them', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    for (let revision = 0; revision < 50; revision += 1) await fixture.remember(put(`a${revision}`, revision));
    const before = fixture.calls;
    await fixture.time.advanceBy(3_000);
    expect(fixture.calls - before).toBe(3);
  });

  it('keeps an owed change if the registration that would replace it is refused', async () => {
    const fixture = new WriteBehindFixture();
    await fixture.remember(put('a', 1));
    fixture.isFull = true;
    await fixture.remember(bury('a', 2));
    await expect(fixture.writeBehind.acknowledge(put('a', 3))).rejects.toThrow('full');
    // and where both were under way at once
    const both = [bury('a', 4), put('a', 5)] as const;
    fixture.writeBehind.remember(both[0]);
    await expect(fixture.writeBehind.acknowledge(both[1])).rejects.toThrow('full');
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(await fixture.found()).toEqual(['a†4']);
  });

  it('drops an owed change that a registration replaces', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    await fixture.remember(bury('a', 2));
    fixture.isFull = false;
    await fixture.writeBehind.acknowledge(put('a', 3));
    await fixture.time.advanceBy(10_000);
    expect(await fixture.found()).toEqual(['a@3']);
  });

  it('does not repeat a change that a newer one in flight replaces', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    fixture.writeBehind.remember(put('a', 1));
    fixture.isFull = false;
    await fixture.remember(put('a', 2));
    await fixture.time.advanceBy(10_000);
    expect(await fixture.found()).toEqual(['a@2']);
    expect(fixture.calls).toBe(2);
    expect(fixture.log.texts()).toEqual([]);
  });

  it('removes an instance whose removal was refused, although its tombstone has expired', async () => {
    const fixture = new WriteBehindFixture();
    await fixture.remember(put('a', 1));
    fixture.isFull = true;
    await fixture.remember(bury('a', 2));
    await fixture.remember({ forget: 'a' });
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(await fixture.found()).toEqual([]);
  });

  it('reports when a change is stored, or why it is not', async () => {
    const fixture = new WriteBehindFixture();
    expect(await fixture.writeBehind.waitUntilStored('a')).toBeNull();
    fixture.writeBehind.remember(put('a', 1));
    expect(await fixture.writeBehind.waitUntilStored('a')).toBeNull();
    expect(await fixture.found()).toEqual(['a@1']);
    fixture.isFull = true;
    fixture.writeBehind.remember(bury('a', 2));
    expect(await fixture.writeBehind.waitUntilStored('a')).toBe('The disk is full.');
    expect(await fixture.writeBehind.waitUntilStored('a')).toBe('The disk is full.');
    expect(await fixture.writeBehind.waitUntilStored('b')).toBeNull();
    fixture.isFull = false;
    await fixture.time.advanceBy(1_000);
    expect(await fixture.writeBehind.waitUntilStored('a')).toBeNull();
  });

  it('waits for the later change if the store refused the earlier one', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    fixture.writeBehind.remember(put('a', 1));
    fixture.isFull = false;
    fixture.writeBehind.remember(bury('a', 2));
    expect(await fixture.writeBehind.waitUntilStored('a')).toBeNull();
    expect(await fixture.found()).toEqual(['a†2']);
  });

  it('repeats all owed changes when it is closed, and logs lost ones', async () => {
    const fixture = new WriteBehindFixture();
    fixture.isFull = true;
    await fixture.remember(put('a', 1), put('b', 2));
    fixture.isFull = false;
    await fixture.writeBehind.close();
    expect(await fixture.found()).toEqual(['a@1', 'b@2']);

    const other = new WriteBehindFixture();
    other.isFull = true;
    await other.remember(put('a', 1), put('b', 2));
    await other.writeBehind.close();
    await other.writeBehind.close();
    expect(other.log.texts('error').at(-1)).toBe('2 changes are lost: the store did not accept them.');
    await other.remember(put('c', 3));
    expect(other.time.pending().background).toBe(0);
  });
});
