import { RollcallError } from '@rollcall/core';
import { ManualTime, memoryMeter } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { MemoryStore } from './memory.js';
import { timedStore } from './timed.js';

it('measures each write, and counts and passes on failures', async () => {
  const time = new ManualTime();
  const meter = memoryMeter();
  const kept = new MemoryStore();
  let isFull = false;
  const slow = {
    name: kept.name,
    durable: kept.durable,
    load: () => kept.load(),
    close: () => kept.close(),
    fault: () => ({ text: 'gone', sinceMs: 7 }),
    write: async (): Promise<void> => {
      time.advance(20);
      await Promise.resolve();
      if (isFull) throw new RollcallError('STORE_UNREADABLE', 'full');
    },
  };
  const store = timedStore(slow, { time, meter });
  await store.load();
  await store.write([]);
  isFull = true;
  await expect(store.write([])).rejects.toThrow('full');
  expect(meter.values('rollcall_registry_store_write_seconds')).toEqual([0.02, 0.02]);
  expect(meter.count('rollcall_registry_store_failures_total')).toBe(1);
  expect(store).toMatchObject({ name: 'memory', durable: false });
  expect(store.fault?.()).toEqual({ text: 'gone', sinceMs: 7 });
  expect(timedStore(kept, { time, meter }).fault?.()).toBeNull();
  await store.close();
});
