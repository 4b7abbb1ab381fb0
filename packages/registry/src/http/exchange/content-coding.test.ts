import { expect, it } from 'vitest';
import { codingOf } from './content-coding.js';

it.each([
  [undefined, 'identity'],
  ['', 'identity'],
  ['*', 'identity'],
  ['br, zstd', 'identity'],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['deflate, gzip;q=0.5, br', 'gzip'],
  ['gzip;q=0', 'identity'],
  ['gzip; q=0.000', 'identity'],
  ['gzip;q=often', 'identity'],
  ['x-gzip', 'identity'],
] as const)('parses %j as %s', (accept, coding) => {
  expect(codingOf(accept)).toBe(coding);
});
