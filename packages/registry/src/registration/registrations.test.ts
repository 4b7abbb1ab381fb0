import { describe, expect, it } from 'vitest';
import { value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const METHODS = { find: { idempotent: true, timeoutMs: 200 } };

describe('the methods of an instance', () => {
  it('are published, and are absent if it registers none', async () => {
    const fixture = await RegistryFixture.start();
    value(await fixture.register('orders-1', 3001, { methods: METHODS }));
    value(await fixture.register('orders-2', 3002));
    value(await fixture.register('orders-3', 3003, { methods: {} }));
    const { instances } = value(fixture.registry.service('default', 'orders'));
    expect(instances.map(({ id, methods }) => [id, methods])).toEqual([
      ['orders-1', METHODS],
      ['orders-2', undefined],
      ['orders-3', undefined],
    ]);
    expect(instances.map((instance) => Object.hasOwn(instance, 'methods'))).toEqual([true, false, false]);
  });

  it('reach watchers', async () => {
    const fixture = await RegistryFixture.start();
    value(await fixture.register('orders-1', 3001));
    const { frames } = fixture.openLine('orders-1');
    await fixture.time.advanceBy(100);
    value(await fixture.register('orders-1', 3001, { methods: METHODS }));
    await fixture.time.advanceBy(100);
    expect(frames).toContainEqual(
      expect.objectContaining({
        event: 'change',
        data: expect.objectContaining({ upsert: [expect.objectContaining({ methods: METHODS })] }),
      }),
    );
  });

  it('are replaced when it registers again, also by none; the same methods change nothing', async () => {
    const fixture = await RegistryFixture.start();
    value(await fixture.register('orders-1', 3001, { methods: METHODS }));
    const { revision } = fixture.record('orders-1');
    value(await fixture.register('orders-1', 3001, { methods: METHODS }));
    expect(fixture.record('orders-1').revision).toBe(revision);
    value(await fixture.register('orders-1', 3001));
    expect(fixture.record('orders-1').methods).toEqual({});
    const silent = fixture.record('orders-1').revision;
    value(await fixture.register('orders-1', 3001));
    expect(fixture.record('orders-1').revision).toBe(silent);
    value(await fixture.register('orders-1', 3001, { methods: METHODS }));
    expect(fixture.record('orders-1').methods).toEqual(METHODS);
  });

  it('survive a restart of the registry, and an instance stored without methods still loads', async () => {
    const store = new MemoryStore();
    const before = await RegistryFixture.start({ store });
    value(await before.register('orders-1', 3001, { methods: METHODS }));
    value(await before.register('orders-2', 3002));
    await before.registry.close();
    const after = await RegistryFixture.start({ store });
    expect(after.record('orders-1').methods).toEqual(METHODS);
    expect(Object.hasOwn(after.record('orders-2'), 'methods')).toBe(false);
  });
});
