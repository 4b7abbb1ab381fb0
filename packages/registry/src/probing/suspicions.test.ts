import { expect, it } from 'vitest';
import { SECOND, value, World } from '../registry.fixture.js';

const REPORT = { by: 'gateway', outcome: 'refused' } as const;

async function fleet(size: number): Promise<{ readonly world: World; readonly ids: readonly string[] }> {
  const world = await World.started();
  const ids = Array.from({ length: size }, (_, index) => `orders-${index}`);
  for (const [index, id] of ids.entries()) await world.healthy(id, 3_001 + index);
  await world.time.advanceBy(SECOND);
  return { world, ids };
}

it('a reporter may cause a thousand calls at once and then as many a minute; each has its own allowance', async () => {
  const { world, ids } = await fleet(50);
  const report = async (ms: number, address: string): Promise<number> => {
    const before = world.town.calls.length;
    for (let at = 0; at < ms; at += 50) {
      for (const id of ids) value(world.registry.suspect(id, REPORT, { address }));
      await world.time.advanceBy(50);
    }
    return world.town.calls.length - before;
  };
  // fifty reports every 50 ms are a thousand a second
  const first = await report(10 * SECOND, '10.6.6.6');
  const ordinary = 2 * ids.length;
  expect(first).toBeGreaterThanOrEqual(1_000);
  expect(first).toBeLessThanOrEqual(1_000 + 10 * (1_000 / 60) + ordinary + ids.length);
  expect(await report(SECOND, '10.0.0.7')).toBeGreaterThanOrEqual(900);
});

it('a report that brings no call forward costs its reporter nothing', async () => {
  const { world } = await fleet(2);
  const peer = { address: '10.6.6.6' };
  for (let i = 0; i < 5_000; i += 1) value(world.registry.suspect('orders-0', REPORT, peer));
  await world.time.advanceBy(60);
  const before = world.town.calls.length;
  value(world.registry.suspect('orders-1', REPORT, peer));
  await world.time.advanceBy(10);
  expect(world.town.calls.length - before).toBe(1);
});

it('peers with the same token are one reporter, whatever their address', async () => {
  const { world, ids } = await fleet(50);
  const before = world.town.calls.length;
  for (let round = 0; round < 60; round += 1) {
    const peer = { address: `10.6.6.${round}`, token: 'evil' };
    for (const id of ids) value(world.registry.suspect(id, REPORT, peer));
    await world.time.advanceBy(50);
  }
  expect(world.town.calls.length - before).toBeLessThan(1_300);
});
