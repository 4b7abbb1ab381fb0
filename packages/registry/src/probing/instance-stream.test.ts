import { describe, expect, it } from 'vitest';
import { value, RegistryFixture } from '../registry.fixture.js';

const SECOND = 1_000;

describe('the line of an instance', () => {
  it('is counted with its duration for ten minutes if its peer ends it', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const losses = () => value(fixture.registry.instance('orders-1')).lineLosses;
    expect(losses()).toBeNull();
    for (const lastedMs of [15 * SECOND, 16 * SECOND, 15 * SECOND]) {
      const { watcher } = fixture.openLine('orders-1');
      await fixture.time.advanceBy(lastedMs);
      watcher.closed();
      await fixture.registerHealthy('orders-1', 3001);
    }
    expect(losses()?.times).toBe(3);
    const { shortestMs = 0, longestMs = 0 } = losses() ?? {};
    expect([shortestMs >= 15 * SECOND, longestMs < 17 * SECOND]).toEqual([true, true]);
  });

  it('does not count as lost if a newer line replaces it', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const old = fixture.openLine('orders-1');
    fixture.openLine('orders-1');
    old.watcher.closed();
    expect(value(fixture.registry.instance('orders-1')).lineLosses).toBeNull();
  });

  it('is remembered at most eight times', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    for (let times = 0; times < 20; times += 1) fixture.openLine('orders-1').watcher.closed();
    expect(value(fixture.registry.instance('orders-1')).lineLosses).toEqual({ times: 8, shortestMs: 0, longestMs: 0 });
  });
});
