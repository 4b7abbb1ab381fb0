import { describe, expect, it } from 'vitest';
import { PeakEwma, TypicalLatency } from './loads.js';

describe('peak EWMA', () => {
  it('rises to a peak at once', () => {
    const load = new PeakEwma(new TypicalLatency());
    load.forget(0);
    load.observe(0, 10, 0, true);
    load.observe(0, 500, 1, true);
    expect(load.cost(0, 1, 0)).toBe(500);
  });

  it('decays slowly after a failure: by a factor of e in 10 s without an answer', () => {
    const load = new PeakEwma(new TypicalLatency());
    load.forget(0);
    load.observe(0, 500, 0, false);
    expect(load.cost(0, 10_000, 0)).toBeCloseTo(500 / Math.E);
    load.observe(0, 10, 1_000, true);
    expect(load.cost(0, 1_000, 0)).toBeGreaterThan(450);
  });

  it('decays within seconds after a slow answer, for one call: during that call it stays as it was', () => {
    const load = new PeakEwma(new TypicalLatency());
    load.forget(0);
    load.observe(0, 300, 0, true);
    expect(load.cost(0, 500, 0)).toBeGreaterThan(280);
    expect(load.cost(0, 5_000, 0)).toBeLessThan(5);
    expect(load.cost(0, 5_000, 1)).toBeGreaterThan(2 * 150);
    load.observe(0, 5, 5_005, true);
    expect(load.cost(0, 5_005, 0)).toBeLessThan(10);
  });

  it('is multiplied by the calls in flight plus one', () => {
    const load = new PeakEwma(new TypicalLatency());
    load.forget(0);
    load.observe(0, 10, 0, true);
    expect(load.cost(0, 0, 4)).toBe(50);
  });

  it('is half of the typical latency of the service before the first measurement and after `forget`', () => {
    const typical = new TypicalLatency();
    const load = new PeakEwma(typical);
    load.forget(0);
    expect(load.cost(0, 0, 0)).toBe(15);
    typical.observe(4);
    expect(load.cost(0, 0, 1)).toBe(4);
    load.observe(0, 90, 0, true);
    load.forget(0);
    expect(load.cost(0, 0, 0)).toBe(2);
  });

  it('is not changed by a read', () => {
    const load = new PeakEwma(new TypicalLatency());
    load.forget(0);
    load.observe(0, 100, 0, true);
    const first = load.cost(0, 5_000, 0);
    load.cost(0, 20_000, 0);
    expect(load.cost(0, 5_000, 0)).toBe(first);
  });
});
