import { DEFAULT_POLICY } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, silent, value, RegistryFixture } from '../registry.fixture.js';
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
async function startRestored(before: readonly Former[], isAlive: (id: string) => boolean): Promise<RegistryFixture> {
  const store = new MemoryStore();
  const first = await RegistryFixture.start({ store });
  for (const { id, port, address } of before) {
    first.addService(id, port);
    value(await first.register(id, port, {}, { address }));
    await first.time.advanceBy(10);
    expect(first.record(id).state).toBe('HEALTHY');
  }
  const second = new RegistryFixture({ store });
  for (const { id, port } of before) if (isAlive(id)) second.addService(id, port);
  await second.registry.start();
  return second;
}

const listed = (fixture: RegistryFixture): readonly string[] =>
  value(fixture.registry.service('default', 'orders')).instances.map(({ id, state }) => `${id} ${state}`);

const preservationOf = (fixture: RegistryFixture) => value(fixture.registry.describe()).preservation;

const allHealthy = (ids: readonly string[]): readonly string[] => ids.map((id) => `${id} HEALTHY`);

describe('a registry on the store of an earlier one', () => {
  it('removes instances that died meanwhile within a minute, without using the allowance', async () => {
    const alive = ['orders-1', 'orders-2', 'orders-3'];
    const fixture = await startRestored(former(11), (id) => alive.includes(id));
    await fixture.time.advanceBy(2 * INTERVAL);
    expect(preservationOf(fixture)).toMatchObject({ active: false, registry: { total: 3, silent: 0, peak: 3 } });
    await fixture.time.advanceBy(25 * SECOND);
    expect(listed(fixture)).toEqual(allHealthy(alive));
    expect(preservationOf(fixture).registry).toMatchObject({ used: 0, total: 3, silent: 0, peak: 3 });
  });

  it('reports that it has not heard from them since it started', async () => {
    const fixture = await startRestored(former(4), (id) => id === 'orders-1');
    await fixture.time.advanceBy(18 * SECOND);
    expect(fixture.record('orders-2')).toMatchObject({
      state: 'CRITICAL',
      reason: { code: 'SILENT', text: expect.stringContaining('ECONNREFUSED 10.0.0.5:3001; not heard from since') },
    });
  });

  it('still has the whole allowance for instances that fall silent now', async () => {
    const fixture = await startRestored(former(11), (id) => id === 'orders-1' || id === 'orders-2');
    await fixture.time.advanceBy(40 * SECOND);
    expect(listed(fixture)).toEqual(allHealthy(['orders-1', 'orders-2']));
    fixture.network.responders.set(3_002, () => silent);
    await fixture.time.advanceBy(35 * SECOND);
    expect(listed(fixture)).toEqual(allHealthy(['orders-1']));
    expect(preservationOf(fixture).registry).toMatchObject({ used: 1, allowed: 1 });
  });

  it('removes the last instance of a service, too, but later', async () => {
    const store = new MemoryStore();
    const first = await RegistryFixture.start({ store });
    await first.registerHealthy('orders-1', 3_001);
    first.addService('billing-1', 3_002);
    value(await first.register('billing-1', 3_002, { service: 'billing' }));
    await first.time.advanceBy(10);
    const fixture = new RegistryFixture({ store });
    fixture.addService('orders-1', 3_001);
    await fixture.registry.start();
    await fixture.time.advanceBy(30 * SECOND);
    expect(fixture.record('billing-1').state).toBe('UNHEALTHY');
    await fixture.time.advanceBy(20 * SECOND);
    expect(fixture.registry.instance('billing-1').ok).toBe(false);
    expect(preservationOf(fixture).registry.used).toBe(0);
  });

  it('keeps those of a host without a proved instance: a firewall may refuse for them', async () => {
    const fixture = await startRestored(
      former(6, (number) => (number <= 2 ? HERE : `10.0.0.${number + 10}`)),
      (id) => id === 'orders-1' || id === 'orders-2',
    );
    await fixture.time.advanceBy(60 * SECOND);
    expect(listed(fixture).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(4);
    expect(preservationOf(fixture).registry).toMatchObject({ total: 6, silent: 4 });
  });

  it('keeps all if no instance is proved', async () => {
    const fixture = await startRestored(former(6), () => false);
    await fixture.time.advanceBy(60 * SECOND);
    expect(listed(fixture).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(6);
  });

  it('removes them once an instance is proved on their host', async () => {
    const fixture = await startRestored(former(6), () => false);
    await fixture.time.advanceBy(60 * SECOND);
    await fixture.registerHealthy('orders-7', 3_007);
    await fixture.time.advanceBy(7 * INTERVAL);
    expect(listed(fixture)).toEqual(['orders-7 HEALTHY']);
    expect(preservationOf(fixture).registry.used).toBe(0);
  });

  it('does not treat a stored HEALTHY instance as proved: both heartbeats must come first', async () => {
    const fixture = await startRestored(former(6), () => false);
    fixture.network.responders.set(3_001, () => silent);
    value(fixture.beat('orders-1'));
    await fixture.time.advanceBy(6 * SECOND);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    expect(preservationOf(fixture)).toMatchObject({ active: true, registry: { total: 6, rule: 'mass' } });
  });

  it.each<[string, (fixture: RegistryFixture) => void]>([
    ['has beaten', (fixture) => void value(fixture.beat('orders-2'))],
    ['holds its line', (fixture) => void fixture.openLine('orders-2')],
  ])('uses the allowance for an instance that %s since, though it refuses', async (_what, live) => {
    const fixture = await startRestored(former(6), (id) => ['orders-1', 'orders-3', 'orders-4'].includes(id));
    await fixture.time.advanceBy(SECOND);
    live(fixture);
    await fixture.time.advanceBy(40 * SECOND);
    expect(listed(fixture)).not.toContain('orders-5 UNHEALTHY');
    // it is silent now, so it uses the allowance
    expect(preservationOf(fixture).registry).toMatchObject({ used: 1 });
  });

  it('counts an instance that does not answer at all as silent now', async () => {
    const fixture = await startRestored(former(6), (id) => id === 'orders-1' || id === 'orders-2');
    for (let port = 3_003; port <= 3_006; port += 1) fixture.network.responders.set(port, () => silent);
    await fixture.time.advanceBy(60 * SECOND);
    expect(listed(fixture).filter((line) => line.endsWith('UNHEALTHY'))).toHaveLength(4);
  });
});
