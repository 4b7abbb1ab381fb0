import { expect, it } from 'vitest';
import { SECOND, value, RegistryFixture } from '../registry.fixture.js';

const REPORT = { by: 'gateway', outcome: 'refused' } as const;

async function startFleet(
  size: number,
): Promise<{ readonly fixture: RegistryFixture; readonly ids: readonly string[] }> {
  const fixture = await RegistryFixture.start();
  const ids = Array.from({ length: size }, (_, index) => `orders-${index}`);
  for (const [index, id] of ids.entries()) await fixture.registerHealthy(id, 3_001 + index);
  await fixture.time.advanceBy(SECOND);
  return { fixture, ids };
}

it('lets each reporter cause a thousand calls at once and then as many a minute', async () => {
  const { fixture, ids } = await startFleet(50);
  const report = async (ms: number, address: string): Promise<number> => {
    const before = fixture.network.calls.length;
    for (let at = 0; at < ms; at += 50) {
      for (const id of ids) value(fixture.registry.suspect(id, REPORT, { address }));
      await fixture.time.advanceBy(50);
    }
    return fixture.network.calls.length - before;
  };
  // fifty reports every 50 ms are a thousand a second
  const first = await report(10 * SECOND, '10.6.6.6');
  const ordinary = 2 * ids.length;
  expect(first).toBeGreaterThanOrEqual(1_000);
  expect(first).toBeLessThanOrEqual(1_000 + 10 * (1_000 / 60) + ordinary + ids.length);
  expect(await report(SECOND, '10.0.0.7')).toBeGreaterThanOrEqual(900);
});

it('charges no allowance for a report that brings no call forward', async () => {
  const { fixture } = await startFleet(2);
  const peer = { address: '10.6.6.6' };
  for (let i = 0; i < 5_000; i += 1) value(fixture.registry.suspect('orders-0', REPORT, peer));
  await fixture.time.advanceBy(60);
  const before = fixture.network.calls.length;
  value(fixture.registry.suspect('orders-1', REPORT, peer));
  await fixture.time.advanceBy(10);
  expect(fixture.network.calls.length - before).toBe(1);
});

it('treats peers with the same token as one reporter, regardless of their address', async () => {
  const { fixture, ids } = await startFleet(50);
  const before = fixture.network.calls.length;
  for (let round = 0; round < 60; round += 1) {
    const peer = { address: `10.6.6.${round}`, token: 'evil' };
    for (const id of ids) value(fixture.registry.suspect(id, REPORT, peer));
    await fixture.time.advanceBy(50);
  }
  expect(fixture.network.calls.length - before).toBeLessThan(1_300);
});
