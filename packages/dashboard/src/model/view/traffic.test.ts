import { expect, it } from 'vitest';
import { newestP99, successIn } from './traffic.js';

it('computes the success ratio of the counted calls, unknown without calls', () => {
  expect(successIn([{ calls: 100, failures: 100 }])).toBe(0);
  expect(
    successIn([
      { calls: 100, failures: 100 },
      { calls: 300, failures: 0 },
    ]),
  ).toBe(0.75);
  expect(successIn([{ calls: 0, failures: 0 }])).toBeNull();
  expect(successIn([])).toBeNull();
});

const points = (...all: readonly (number | null)[]): { readonly p99Ms: number | null }[] =>
  all.map((p99Ms) => ({ p99Ms }));

it('returns a current p99 or none: a step from minutes ago does not count', () => {
  expect(newestP99(points(9, 4, null))).toBe(4);
  expect(newestP99(points(9, null, null, null))).toBeNull();
  expect(newestP99([])).toBeNull();
});
