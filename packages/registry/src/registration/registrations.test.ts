import { describe, expect, it } from 'vitest';
import { value, World } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const METHODS = { find: { idempotent: true, timeoutMs: 200 } };

describe('what an instance says of its methods', () => {
  it('is published with it, and is no field at all where it says nothing', async () => {
    const world = await World.started();
    value(await world.register('orders-1', 3001, { methods: METHODS }));
    value(await world.register('orders-2', 3002));
    value(await world.register('orders-3', 3003, { methods: {} }));
    const { instances } = value(world.registry.service('default', 'orders'));
    expect(instances.map(({ id, methods }) => [id, methods])).toEqual([
      ['orders-1', METHODS],
      ['orders-2', undefined],
      ['orders-3', undefined],
    ]);
    expect(instances.map((instance) => Object.hasOwn(instance, 'methods'))).toEqual([true, false, false]);
  });

  it('reaches who watches', async () => {
    const world = await World.started();
    value(await world.register('orders-1', 3001));
    const { frames } = world.hold('orders-1');
    await world.time.advanceBy(100);
    value(await world.register('orders-1', 3001, { methods: METHODS }));
    await world.time.advanceBy(100);
    expect(frames).toContainEqual(
      expect.objectContaining({
        event: 'change',
        data: expect.objectContaining({ upsert: [expect.objectContaining({ methods: METHODS })] }),
      }),
    );
  });

  it('is replaced when it registers again, also by nothing; the same words are no news', async () => {
    const world = await World.started();
    value(await world.register('orders-1', 3001, { methods: METHODS }));
    const { revision } = world.record('orders-1');
    value(await world.register('orders-1', 3001, { methods: METHODS }));
    expect(world.record('orders-1').revision).toBe(revision);
    value(await world.register('orders-1', 3001));
    expect(world.record('orders-1').methods).toEqual({});
    const silent = world.record('orders-1').revision;
    value(await world.register('orders-1', 3001));
    expect(world.record('orders-1').revision).toBe(silent);
    value(await world.register('orders-1', 3001, { methods: METHODS }));
    expect(world.record('orders-1').methods).toEqual(METHODS);
  });

  it('survives the registry, and what was stored without it still loads', async () => {
    const store = new MemoryStore();
    const before = await World.started({ store });
    value(await before.register('orders-1', 3001, { methods: METHODS }));
    value(await before.register('orders-2', 3002));
    await before.registry.close();
    const after = await World.started({ store });
    expect(after.record('orders-1').methods).toEqual(METHODS);
    expect(Object.hasOwn(after.record('orders-2'), 'methods')).toBe(false);
  });
});
