import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { countSuccess, forgetSuccesses, SUCCESS_CELLS, successesWithin } from './successes.js';

it('counts the successes of the last 10 s, exactly if they arrive evenly', () => {
  const cells = new Float64Array(SUCCESS_CELLS);
  for (let now = 0; now < 35_000; now += 10) countSuccess(cells, 0, now);
  expect(Math.abs(successesWithin(cells, 0, 35_000) - 1_000)).toBeLessThanOrEqual(1);
  expect(successesWithin(cells, 0, 46_000)).toBeLessThan(501);
  expect(successesWithin(cells, 0, 51_000)).toBe(0);
  countSuccess(cells, 0, 52_000);
  expect(successesWithin(cells, 0, 52_000)).toBe(1);
  forgetSuccesses(cells, 0);
  expect(successesWithin(cells, 0, 52_000)).toBe(0);
});

it('differs from the exact count by at most the successes of the previous window', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 200 });
  fc.assert(
    fc.property(gaps, fc.nat(20_000), (all, later) => {
      const cells = new Float64Array(2 + SUCCESS_CELLS);
      const times: number[] = [];
      let now = 5_000;
      for (const gap of all) {
        now += gap;
        times.push(now);
        countSuccess(cells, 2, now);
      }
      const at = now + later;
      const window = 10_000 * Math.floor(at / 10_000);
      const current = times.filter((time) => time >= window).length;
      const before = times.filter((time) => time >= window - 10_000).length;
      expect(successesWithin(cells, 2, at)).toBeGreaterThanOrEqual(current);
      expect(successesWithin(cells, 2, at)).toBeLessThanOrEqual(before);
    }),
  );
});
