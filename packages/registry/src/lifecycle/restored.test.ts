import { DEFAULT_POLICY } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, silent, value, World } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const INTERVAL = DEFAULT_POLICY.intervalMs;
const HERE = '10.0.0.5';

/** An instance before the registry ended: `orders-1` … at the ports 3001 … */
interface Former {
  readonly id: string;
  readonly port: number;
  readonly address: string;
}

const former = (count: number, addressOf: (number: number) => string = () => HERE): readonly Former[] =>
  Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    return { id: `orders-${number}`, port: 3_000 + number, address: addressOf(number) };
  });

/** A registry on the store of an earlier one; only the given instances are still alive. */
async function restored(before: readonly Former[], isAlive: (id: string) => boolean): Promise<World> {
  const store = new MemoryStore();
  const first = await World.started({ store });
  for (const { id, port, address } of before) {
    first.moveIn(id, port);
    value(await first.register(id, port, {}, { address }));
    await first.time.advanceBy(10);
    expect(first.record(id).state).toBe('HEALTHY');
  }
  const second = new World({ store });
  for (const { id, port } of before) if (isAlive(id)) second.moveIn(id, port);
  await second.registry.start();
  return second;
}

const listed = (world: World): readonly string[] =>
  value(world.registry.service('default', 'orders')).instances.map(({ id, state }) => `${id} ${state}`);

const preservationOf = (world: World) => value(world.registry.describe()).preservation;

const allHealthy = (ids: readonly string[]): readonly string[] => ids.map((id) => `${id} HEALTHY`);

describe('a registry on the store of an earlier one', () => {
  it('removes instances that died meanwhile within a minute, without using the allowance', async () => {
    const alive = ['orders-1', 'orders-2', 'orders-3'];
    const world = await restored(former(11), (id) => alive.includes(id));
    await world.time.advanceBy(2 * INTERVAL);
    expect(preservationOf(world)).toMatchObject({ active: false, registry: { total: 3, silent: 0, peak: 3 } });
    await world.time.advanceBy(25 * SECOND);
    expect(listed(world)).toEqual(allHealthy(alive));
    expect(preservationOf(world).registry).toMatchObject({ used: 0, total: 3, silent: 0, peak: 3 });
  });

  it('reports that it has not heard from them since it started', async () => {
    const world = await restored(former(4), (id) => id === 'orders-1');
    await world.time.advanceBy(18 * SECOND);
    expect(world.record('orders-2')).toMatchObject({
      state: 'CRITICAL',
      reason: { code: 'SILENT', text: expect.stringContaining('ECONNREFUSED 10.0.0.5:3001; not heard from since') },
    });
  });

  it('still has the whole allowance for instances that fall silent now', async () => {
    const world = await restored(former(11), (id) => id === 'orders-1' || id === 'orders-2');
    await world.time.advanceBy(40 * SECOND);
    expect(listed(world)).toEqual(allHealthy(['orders-1', 'orders-2']));
    world.town.inhabitants.set(3_002, () => silent);
    await world.time.advanceBy(35 * SECOND);
    expect(listed(world)).toEqual(allHealthy(['orders-1']));
    expect(preservationOf(world).registry).toMatchObject({ used: 1, allowed: 1 });
  });

  it('removes the last instance of a service, too, but later', async () => {
    const store = new MemoryStore();
    const first = await World.started({ store });
    await first.healthy('orders-1', 3_001);
    first.moveIn('billing-1', 3_002);
    value(await first.register('billing-1', 3_002, { service: 'billing' }));
    await first.time.advanceBy(10);
    const world = new World({ store });
    world.moveIn('orders-1', 3_001);
    await world.registry.start();
    await world.time.advanceBy(30 * SECOND);
    expect(world.record('billing-1').state).toBe('UNHEALTHY');
    await world.time.advanceBy(20 * SECOND);
    expect(world.registry.instance('billing-1').ok).toBe(false);
    expect(preservationOf(world).registry.used).toBe(0);
  });

  it('keeps those of a host without a proved instance: a firewall may refuse for them', async () => {
    const world = await restored(
      former(6, (number) => (number <= 2 ? HERE : `10.0.0.${number + 10}`)),
      (id) => id === 'orders-1' || id === 'orders-2',
    );
    await world.time.advanceBy(60 * SECOND);
    expect(listed(world).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(4);
    expect(preservationOf(world).registry).toMatchObject({ total: 6, silent: 4 });
  });

  it('keeps all if no instance is proved', async () => {
    const world = await restored(former(6), () => false);
    await world.time.advanceBy(60 * SECOND);
    expect(listed(world).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(6);
  });

  it('removes them once an instance is proved on their host', async () => {
    const world = await restored(former(6), () => false);
    await world.time.advanceBy(60 * SECOND);
    await world.healthy('orders-7', 3_007);
    await world.time.advanceBy(7 * INTERVAL);
    expect(listed(world)).toEqual(['orders-7 HEALTHY']);
    expect(preservationOf(world).registry.used).toBe(0);
  });

  it('does not treat a stored HEALTHY instance as proved: both heartbeats must come first', async () => {
    const world = await restored(former(6), () => false);
    world.town.inhabitants.set(3_001, () => silent);
    value(world.beat('orders-1'));
    await world.time.advanceBy(6 * SECOND);
    expect(world.record('orders-1').state).toBe('HEALTHY');
    expect(preservationOf(world)).toMatchObject({ active: true, registry: { total: 6, rule: 'mass' } });
  });

  it.each<[string, (world: World) => void]>([
    ['has beaten', (world) => void value(world.beat('orders-2'))],
    ['holds its line', (world) => void world.hold('orders-2')],
  ])('uses the allowance for an instance that %s since, though it refuses', async (_what, live) => {
    const world = await restored(former(6), (id) => ['orders-1', 'orders-3', 'orders-4'].includes(id));
    await world.time.advanceBy(SECOND);
    live(world);
    await world.time.advanceBy(40 * SECOND);
    expect(listed(world)).not.toContain('orders-5 UNHEALTHY');
    // it is silent now, so it uses the allowance
    expect(preservationOf(world).registry).toMatchObject({ used: 1 });
  });

  it('counts an instance that does not answer at all as silent now', async () => {
    const world = await restored(former(6), (id) => id === 'orders-1' || id === 'orders-2');
    for (let port = 3_003; port <= 3_006; port += 1) world.town.inhabitants.set(port, () => silent);
    await world.time.advanceBy(60 * SECOND);
    expect(listed(world).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(4);
  });
});
