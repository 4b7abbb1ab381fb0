import { RollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { afterEach, describe, expect, it } from 'vitest';
import type { Store, StoredInstance, StoredTombstone, Write } from './store.js';

/** Creates stores for the suite. */
export interface StoreHarness {
  /** An empty store, separate for each test, not yet loaded. */
  open(): Promise<Store>;
  /** A new store on the data of a closed one; omitted by stores that do not survive. */
  reopen?(store: Store): Promise<Store>;
}

/** The contract of every `Store`. */
export function storeContract(name: string, harness: StoreHarness): void {
  describe(`the store contract: ${name}`, () => {
    const bench = new Bench(harness);
    afterEach(() => bench.close());
    itKeepsWrites(bench);
    itKeepsTheOrder(bench);
    itBeginsAndEnds(bench);
  });
}

function itKeepsWrites(bench: Bench): void {
  it('keeps an instance to the last field', async () => {
    const one = storedInstance('orders-1', 7);
    expect(await bench.keptAfter([{ put: one }])).toEqual({ 'orders-1': one });
  });

  it('keeps the settings of an operator, also for an instance that was removed', async () => {
    const override = { admin: 'DRAINING', weight: 5, metadata: null, reason: 'ü', since: 7, untilMs: 8.5 } as const;
    const own = { weight: 100, metadata: { team: 'a' } };
    const one = { ...storedInstance('orders-1', 7), own, override };
    const gone = { ...storedTombstone('orders-2', 8), override };
    expect(await bench.keptAfter([{ put: one }, { bury: gone }])).toEqual({ 'orders-1': one, 'orders-2': gone });
  });

  it('keeps the last version of an instance', async () => {
    const last = { ...storedInstance('orders-1', 9), cause: 'silence' as const, proved: false };
    const kept = await bench.keptAfter([{ put: storedInstance('orders-1', 7) }], [{ put: last }]);
    expect(kept).toEqual({ 'orders-1': last });
  });

  it('replaces an instance by its tombstone', async () => {
    const tombstone = storedTombstone('orders-1', 8);
    const kept = await bench.keptAfter([{ put: storedInstance('orders-1', 7) }], [{ bury: tombstone }]);
    expect(kept).toEqual({ 'orders-1': tombstone });
  });

  it('keeps a tombstone of an instance that it never stored', async () => {
    const tombstone = storedTombstone('orders-1', 8);
    expect(await bench.keptAfter([{ bury: tombstone }])).toEqual({ 'orders-1': tombstone });
  });

  it('clears the tombstone of an instance that registers again', async () => {
    const back = storedInstance('orders-1', 9);
    const kept = await bench.keptAfter([{ bury: storedTombstone('orders-1', 8) }], [{ put: back }]);
    expect(kept).toEqual({ 'orders-1': back });
  });

  it('forgets a tombstone, and nothing else', async () => {
    const other = storedInstance('orders-2', 9);
    const kept = await bench.keptAfter(
      [{ bury: storedTombstone('orders-1', 8) }, { put: other }],
      [{ forget: 'orders-1' }, { forget: 'orders-2' }, { forget: 'unknown' }],
    );
    expect(kept).toEqual({ 'orders-2': other });
  });

  it('keeps the last state of self-preservation', async () => {
    const first = { registry: { usedAgoMs: [60_000], peak: 40 }, services: {} };
    const last = { ...first, services: { 'default/orders': { usedAgoMs: [], peak: 7 } } };
    const one = storedInstance('orders-1', 7);
    const kept = await bench.keptAfter([{ put: one }, { preserve: first }], [{ preserve: last }]);
    expect(kept).toEqual({ 'orders-1': one, preservation: last });
  });

  it('does nothing for a call without writes', async () => {
    expect(await bench.keptAfter([])).toEqual({});
  });
}

function itKeepsTheOrder(bench: Bench): void {
  it('applies a repeated write once', async () => {
    const writes: readonly Write[] = [
      { put: storedInstance('orders-1', 7) },
      { bury: storedTombstone('orders-2', 8) },
      { forget: 'orders-3' },
    ];
    const once = await bench.keptAfter(writes);
    expect(Object.keys(once)).toEqual(['orders-1', 'orders-2']);
    expect(await bench.keptAfter(writes, writes)).toEqual(once);
  });

  it('applies the writes of one call in their order', async () => {
    const last = storedInstance('orders-1', 9);
    const writes = [{ put: storedInstance('orders-1', 7) }, { bury: storedTombstone('orders-1', 8) }, { put: last }];
    expect(await bench.keptAfter(writes)).toEqual({ 'orders-1': last });
  });

  it('applies calls in their order, without waiting between them', async () => {
    const calls = Array.from({ length: 50 }, (_, index) => [
      index % 2 === 0 ? { put: storedInstance('orders-1', index) } : { bury: storedTombstone('orders-1', index) },
    ]);
    expect(await bench.keptAfter(...calls)).toEqual({ 'orders-1': storedTombstone('orders-1', 49) });
  });
}

function itBeginsAndEnds(bench: Bench): void {
  it('is empty at first', async () => {
    const store = await bench.open();
    expect(await store.load()).toEqual({ instances: [], tombstones: [], preservation: null });
  });

  it('reports its name, and whether it survives the process', async () => {
    const store = await bench.open();
    expect(store.name).not.toBe('');
    expect(store.durable).toBe(bench.survives);
  });

  it('reports no fault while there is none', async () => {
    const store = await bench.open();
    await store.load();
    await store.write([{ put: storedInstance('orders-1', 7) }]);
    expect(store.fault?.() ?? null).toBeNull();
  });

  it('refuses to write once it is closed, and may be closed twice', async () => {
    const store = await bench.open();
    await store.load();
    await store.close();
    await store.close();
    await expect(store.write([{ put: storedInstance('orders-1', 7) }])).rejects.toThrow(RollcallError);
  });
}

class Bench {
  readonly #harness: StoreHarness;
  readonly #opened: Store[] = [];

  constructor(harness: StoreHarness) {
    this.#harness = harness;
  }

  get survives(): boolean {
    return this.#harness.reopen !== undefined;
  }

  async open(): Promise<Store> {
    const store = await this.#harness.open();
    this.#opened.push(store);
    return store;
  }

  /** The content, by id, that a registry finds after these concurrent calls of an earlier one. */
  async keptAfter(...calls: readonly (readonly Write[])[]): Promise<Readonly<Record<string, unknown>>> {
    const store = await this.open();
    await store.load();
    await Promise.all(calls.map((writes) => store.write(writes)));
    await store.close();
    const next = (await this.#harness.reopen?.(store)) ?? store;
    this.#opened.push(next);
    const { instances, tombstones, preservation } = await next.load();
    const found = [
      ...instances.map((one) => [one.record.id, one]),
      ...tombstones.map((one) => [one.id, one]),
      ...(preservation === null ? [] : [['preservation', preservation]]),
    ];
    const kept: Record<string, unknown> = Object.fromEntries(found);
    expect(Object.keys(kept)).toHaveLength(found.length);
    return kept;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.splice(0).map((store) => store.close()));
  }
}

const RECORD: Instance = {
  id: '',
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
  revision: 0,
};
const SECRET_HASH = 'ab'.repeat(32);

/** An instance of `orders` with every field filled. */
export function storedInstance(id: string, revision: number): StoredInstance {
  const record = { ...RECORD, id, revision };
  const targets = record.endpoints;
  return { record, targets, secretHash: SECRET_HASH, callKey: 'cd'.repeat(32), cause: null, proved: true };
}

/** The tombstone of such an instance after its goodbye. */
export function storedTombstone(id: string, revision: number): StoredTombstone {
  const { service, namespace } = RECORD;
  const reason = { code: 'GOODBYE', text: 'it left' } as const;
  const removedAt = 1_790_000_000_000;
  return { id, service, namespace, revision, reason, secretHash: SECRET_HASH, ended: true, removedAt };
}
