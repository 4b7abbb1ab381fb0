import { RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { afterEach, describe, expect, it } from 'vitest';
import type { Store, StoredInstance, StoredTombstone, Write } from './store.js';

/** How the suite gets at a store. */
export interface StoreHarness {
  /** An empty store of its own for each test, not yet loaded. */
  open(): Promise<Store>;
  /** A second life on what an earlier, closed store has kept; left out by stores that do not survive. */
  reopen?(store: Store): Promise<Store>;
}

const record: Instance = {
  id: 'orders-1',
  service: 'orders',
  namespace: 'default',
  endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
  version: '1.4.2',
  zone: 'eu-1a',
  weight: 100,
  metadata: { team: 'Ünïcode ✓' },
  state: 'HEALTHY',
  reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
  since: 1_790_000_000_000,
  next: { state: 'CRITICAL', afterMs: 5_000, unless: 'HEARTBEAT_1' },
  admin: 'ENABLED',
  source: 'native',
  registeredAt: 1_790_000_000_000,
  revision: 7,
};

export function storedInstance(id: string, revision: number): StoredInstance {
  const secretHash = 'ab'.repeat(32);
  return { record: { ...record, id, revision }, secretHash, callKey: 'cd'.repeat(32), cause: null, proved: true };
}

export function storedTombstone(id: string, revision: number): StoredTombstone {
  const { service, namespace } = record;
  const reason = { code: 'GOODBYE', text: 'it left' } as const;
  return {
    id,
    service,
    namespace,
    revision,
    reason,
    secretHash: 'ab'.repeat(32),
    ended: true,
    removedAt: 1_790_000_000_000,
  };
}

/** Instances and tombstones by id, whatever their order. */
async function contentsOf(store: Store): Promise<Record<string, unknown>> {
  const { instances, tombstones } = await store.load();
  const byId = [...instances.map((one) => [one.record.id, one]), ...tombstones.map((one) => [one.id, one])];
  expect(byId.length).toBe(instances.length + tombstones.length);
  return Object.fromEntries(byId);
}

/** What every store promises: see `Store`. */
export function storeContract(name: string, harness: StoreHarness): void {
  describe(`the store contract: ${name}`, () => {
    const opened: Store[] = [];
    const open = async (): Promise<Store> => {
      const store = await harness.open();
      opened.push(store);
      return store;
    };
    /** What a registry finds that starts after this one. */
    const keptBy = async (store: Store): Promise<Record<string, unknown>> => {
      await store.close();
      const next = harness.reopen === undefined ? store : await harness.reopen(store);
      opened.push(next);
      return contentsOf(next);
    };
    const keptAfter = async (...calls: readonly (readonly Write[])[]): Promise<Record<string, unknown>> => {
      const store = await open();
      await store.load();
      await Promise.all(calls.map((writes) => store.write(writes)));
      return keptBy(store);
    };

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    it('is empty at first', async () => {
      expect(await (await open()).load()).toEqual({ instances: [], tombstones: [] });
    });

    it('says what it is and whether it survives the process', async () => {
      const store = await open();
      expect(store.name).not.toBe('');
      expect(store.durable).toBe(harness.reopen !== undefined);
    });

    it('keeps an instance to the last field', async () => {
      const one = storedInstance('orders-1', 7);
      expect(await keptAfter([{ put: one }])).toEqual({ 'orders-1': one });
    });

    it('keeps the last word about an instance', async () => {
      const last = { ...storedInstance('orders-1', 9), cause: 'silence' as const, proved: false };
      expect(await keptAfter([{ put: storedInstance('orders-1', 7) }], [{ put: last }])).toEqual({ 'orders-1': last });
    });

    it('buries an instance', async () => {
      const tombstone = storedTombstone('orders-1', 8);
      const kept = await keptAfter([{ put: storedInstance('orders-1', 7) }], [{ bury: tombstone }]);
      expect(kept).toEqual({ 'orders-1': tombstone });
    });

    it('keeps a tombstone of an instance that it never held', async () => {
      const tombstone = storedTombstone('orders-1', 8);
      expect(await keptAfter([{ bury: tombstone }])).toEqual({ 'orders-1': tombstone });
    });

    it('clears the tombstone of an instance that comes back', async () => {
      const back = storedInstance('orders-1', 9);
      expect(await keptAfter([{ bury: storedTombstone('orders-1', 8) }], [{ put: back }])).toEqual({
        'orders-1': back,
      });
    });

    it('forgets a tombstone, and nothing else', async () => {
      const other = storedInstance('orders-2', 9);
      const kept = await keptAfter(
        [{ bury: storedTombstone('orders-1', 8) }, { put: other }],
        [{ forget: 'orders-1' }, { forget: 'orders-2' }, { forget: 'nobody' }],
      );
      expect(kept).toEqual({ 'orders-2': other });
    });

    it('takes every write twice as once', async () => {
      const writes: readonly Write[] = [
        { put: storedInstance('orders-1', 7) },
        { bury: storedTombstone('orders-2', 8) },
        { forget: 'orders-3' },
      ];
      expect(await keptAfter(writes, writes)).toEqual(await keptAfter(writes));
    });

    it('applies the writes of one call in their order', async () => {
      const last = storedInstance('orders-1', 9);
      const writes = [{ put: storedInstance('orders-1', 7) }, { bury: storedTombstone('orders-1', 8) }, { put: last }];
      expect(await keptAfter(writes)).toEqual({ 'orders-1': last });
    });

    it('applies calls in their order, although nobody waited in between', async () => {
      const calls = Array.from({ length: 50 }, (_, index) => [
        index % 2 === 0 ? { put: storedInstance('orders-1', index) } : { bury: storedTombstone('orders-1', index) },
      ]);
      expect(await keptAfter(...calls)).toEqual({ 'orders-1': storedTombstone('orders-1', 49) });
    });

    it('does nothing for a call without writes', async () => {
      expect(await keptAfter([])).toEqual({});
    });

    it('refuses to write once it is closed, and may be closed twice', async () => {
      const store = await open();
      await store.load();
      await store.close();
      await store.close();
      await expect(store.write([{ put: storedInstance('orders-1', 7) }])).rejects.toThrow(RollcallError);
    });
  });
}
