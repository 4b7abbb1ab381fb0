import { describe, expect, it } from 'vitest';
import { SECOND, value, RegistryFixture } from '../registry.fixture.js';
import { ListeningGaps } from './listening-gaps.js';

const INTERVAL_MS = 5_000;

describe('ListeningGaps', () => {
  it('lists the spans of the last five minutes as ages, oldest first', () => {
    const gaps = new ListeningGaps();
    gaps.add({ fromMs: 0, toMs: 10_000 }, INTERVAL_MS);
    gaps.add({ fromMs: 100_000, toMs: 125_000 }, INTERVAL_MS);
    expect(gaps.read(130_000)).toEqual([
      { fromAgoMs: 130_000, toAgoMs: 120_000 },
      { fromAgoMs: 30_000, toAgoMs: 5_000 },
    ]);
    expect(gaps.read(310_001)).toEqual([{ fromAgoMs: 210_001, toAgoMs: 185_001 }]);
  });

  it('leaves out short spans, and joins those with hardly any time between them', () => {
    const gaps = new ListeningGaps();
    gaps.add({ fromMs: 0, toMs: 1_249 }, INTERVAL_MS);
    expect(gaps.read(2_000)).toEqual([]);
    gaps.add({ fromMs: 10_000, toMs: 12_000 }, INTERVAL_MS);
    gaps.add({ fromMs: 13_200, toMs: 15_000 }, INTERVAL_MS);
    gaps.add({ fromMs: 16_300, toMs: 18_000 }, INTERVAL_MS);
    expect(gaps.read(20_000)).toEqual([
      { fromAgoMs: 10_000, toAgoMs: 5_000 },
      { fromAgoMs: 3_700, toAgoMs: 2_000 },
    ]);
  });

  it('keeps the newest 128', () => {
    const gaps = new ListeningGaps();
    for (let n = 0; n < 1_000; n += 1) gaps.add({ fromMs: n * 100, toMs: n * 100 + 50 }, 100);
    const kept = gaps.read(100_000);
    expect(kept).toHaveLength(128);
    expect(kept.at(-1)).toEqual({ fromAgoMs: 100, toAgoMs: 50 });
  });
});

describe('a time in which the registry could not listen', () => {
  it('is listed with the heartbeats of an instance, and no heartbeat counts as missed in it', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.time.advanceBy(20 * SECOND);
    expect(value(fixture.registry.beats('orders-1')).notListening).toEqual([]);
    fixture.stoppedMs += 25 * SECOND;
    await fixture.time.advanceBy(10 * SECOND);
    const { heartbeat2, notListening } = value(fixture.registry.beats('orders-1'));
    expect(notListening).toHaveLength(1);
    const [{ fromAgoMs, toAgoMs } = { fromAgoMs: 0, toAgoMs: 0 }] = notListening;
    expect(fromAgoMs - toAgoMs).toBeGreaterThan(24.8 * SECOND);
    // its timers run up to one interval later
    expect(fromAgoMs - toAgoMs).toBeLessThan(30.1 * SECOND);
    // the span covers everything beyond one interval of the gap between two heartbeats
    const [before] = heartbeat2.filter(({ agoMs }) => agoMs >= fromAgoMs).slice(-1);
    expect((before?.agoMs ?? Infinity) - fromAgoMs).toBeLessThanOrEqual(5 * SECOND);
  });

  it('is listed for an instance that never sent a heartbeat, too', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.stoppedMs += 25 * SECOND;
    await fixture.time.advanceBy(6 * SECOND);
    await fixture.registerHealthy('orders-2', 3002);
    expect(value(fixture.registry.beats('orders-2')).notListening).toHaveLength(1);
  });
});
