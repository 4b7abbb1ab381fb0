import { describe, expect, it } from 'vitest';
import { SECOND, SECRET, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const MINUTE = 60 * SECOND;

/** Registers and removes `count` instances, one after another. */
async function registerAndLeave(fixture: RegistryFixture, count: number, service = 'orders'): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const id = `${service}-${fixture.time.now()}-${i}`;
    value(await fixture.register(id, 3001, { service }));
    value(await fixture.registry.leave(id, { secret: SECRET }));
    if (i % 200 === 199) await fixture.time.advanceBy(SECOND);
  }
  await fixture.time.advanceBy(SECOND);
}

const removed = (fixture: RegistryFixture, service = 'orders'): readonly { readonly id: string }[] =>
  value(fixture.registry.service('default', service)).removed;

describe('tombstones', () => {
  it('are kept for ten minutes', async () => {
    const fixture = await RegistryFixture.start();
    await registerAndLeave(fixture, 50);
    await fixture.time.advanceBy(9 * MINUTE);
    expect(removed(fixture)).toHaveLength(50);
    await fixture.time.advanceBy(2 * MINUTE);
    expect(fixture.registry.service('default', 'orders').ok).toBe(false);
  });

  it('are the newest 1,000 of one service at most; those of other services stay', async () => {
    const store = new MemoryStore();
    const fixture = await RegistryFixture.start({ store });
    await registerAndLeave(fixture, 3, 'users');
    await registerAndLeave(fixture, 2_500);
    expect(removed(fixture)).toHaveLength(1_000);
    expect(removed(fixture).at(-1)?.id).toMatch(/-2499$/);
    expect(removed(fixture, 'users')).toHaveLength(3);
    expect((await store.load()).tombstones).toHaveLength(1_003);
  });

  it('are at most 20,000 for all services together, the oldest go first', async () => {
    const fixture = await RegistryFixture.start();
    const endpoints = [{ protocol: 'tcp' as const, port: 3001 }];
    for (let i = 0; i < 20_500; i += 1) {
      const registration = { id: `i-${i}`, service: `s-${i % 41}`, secret: SECRET, endpoints };
      value(await fixture.registry.register(registration, { address: `10.0.0.${i % 3}` }));
      value(await fixture.registry.leave(registration.id, { secret: SECRET }));
    }
    await fixture.time.advanceBy(SECOND);
    const kept = Array.from({ length: 41 }, (_, index) => removed(fixture, `s-${index}`)).flat();
    expect(kept).toHaveLength(20_000);
    expect(kept.map(({ id }) => id)).not.toContain('i-499');
    expect(kept.map(({ id }) => id)).toContain('i-500');
  });

  it('keep their limit after a restart', async () => {
    const store = new MemoryStore();
    const before = await RegistryFixture.start({ store });
    await registerAndLeave(before, 1_500);
    await before.registry.close();
    const fixture = await RegistryFixture.start({ store });
    await fixture.time.advanceBy(SECOND);
    expect(removed(fixture)).toHaveLength(1_000);
  });

  it('give a watcher that resumes from before them the whole view if they were dropped early', async () => {
    const fixture = await RegistryFixture.start();
    value(await fixture.register('orders-1', 3002));
    await fixture.time.advanceBy(SECOND);
    const { epoch, revision } = value(fixture.registry.service('default', 'orders'));
    const events = async (): Promise<readonly string[]> => {
      const received: string[] = [];
      const order = {
        namespace: 'default',
        services: ['orders'],
        resume: ['orders'],
        cursor: { epoch, revision },
        line: null,
      };
      const watcher = fixture.registry.watch(order, {
        flush: (frames) => void received.push(...frames.map(({ frame }) => frame.event)),
        beat() {},
        backlog: () => 0,
        end() {},
      });
      await fixture.time.advanceBy(SECOND);
      value(watcher).closed();
      return received;
    };
    await registerAndLeave(fixture, 100);
    expect(await events()).not.toContain('reset');
    await registerAndLeave(fixture, 1_000);
    expect(await events()).toContain('reset');
  });

  it('are at most as many as the instances of a large service', async () => {
    const fixture = await RegistryFixture.start();
    const ids = Array.from({ length: 2_400 }, (_, index) => `orders-${index}`);
    for (const [index, id] of ids.entries()) value(await fixture.register(id, 3001 + index));
    for (const id of ids.slice(0, 1_200)) value(await fixture.registry.leave(id, { secret: SECRET }));
    await fixture.time.advanceBy(200);
    expect(removed(fixture)).toHaveLength(1_200);
    for (const id of ids.slice(1_200, 1_400)) value(await fixture.registry.leave(id, { secret: SECRET }));
    await fixture.time.advanceBy(200);
    expect(removed(fixture)).toHaveLength(1_000);
  });
});
