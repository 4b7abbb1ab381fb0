import { expect, it } from 'vitest';
import { RegistryFixture, SECRET, value } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

/** A registry with two instances: orders-1 is HEALTHY, orders-2 was removed by an operator. */
async function startWithRemoval(): Promise<{ readonly fixture: RegistryFixture; readonly store: MemoryStore }> {
  const store = new MemoryStore();
  const fixture = await RegistryFixture.start({ store });
  await fixture.registerHealthy('orders-1', 3001);
  await fixture.registerHealthy('orders-2', 3002);
  value(await fixture.registry.leave('orders-2', { operator: true }));
  await fixture.time.advanceBy(100);
  return { fixture, store };
}

it('gives the store, watchers, readers and the history one revision of each decision', async () => {
  const { fixture, store } = await startWithRemoval();
  const { frames } = fixture.openLine('orders-1');
  await fixture.time.advanceBy(100);
  const { revision } = fixture.record('orders-1');
  const removed = fixture.registry.timeline('orders-2');
  const removedAt = value(removed).events.at(-1)?.revision;

  const { instances, tombstones } = await store.load();
  expect(instances.map(({ record }) => [record.id, record.revision])).toEqual([['orders-1', revision]]);
  expect(tombstones.map((tombstone) => [tombstone.id, tombstone.revision])).toEqual([['orders-2', removedAt]]);
  expect(value(fixture.registry.timeline('orders-1')).events.at(-1)).toMatchObject({ revision, state: 'HEALTHY' });
  expect(frames.find(({ event }) => event === 'reset')).toMatchObject({
    data: { instances: [{ id: 'orders-1', revision }], removed: [{ id: 'orders-2', revision: removedAt }] },
  });
});

it('continues after the highest stored revision, also if that is a removal', async () => {
  const { fixture, store } = await startWithRemoval();
  const before = value(fixture.registry.services('*')).revision;
  const second = await RegistryFixture.start({ store });
  value(await second.register('orders-3', 3003));
  expect(second.record('orders-3').revision).toBeGreaterThan(before);
});

it('publishes nothing of a registration that the store refuses', async () => {
  const store = new MemoryStore();
  store.write = () => Promise.reject(new Error('The disk is full.'));
  const fixture = await RegistryFixture.start({ store });
  const before = value(fixture.registry.services('*'));
  const answer = await fixture.register('orders-1', 3001, { secret: SECRET });
  expect(answer).toMatchObject({ ok: false, problem: { code: 'NOT_READY' } });
  expect(value(fixture.registry.services('*'))).toEqual(before);
});
