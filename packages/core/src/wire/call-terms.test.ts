import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attemptOf, remainingMsOf } from './call-terms.js';

describe('the metadata of a call', () => {
  it('is read from numbers (packets) and from texts (headers)', () => {
    expect([remainingMsOf(1_500), remainingMsOf('1500'), remainingMsOf('0'), remainingMsOf('-3')]).toEqual([
      1_500, 1_500, 0, -3,
    ]);
    expect([attemptOf(2), attemptOf('2'), attemptOf(undefined)]).toEqual([2, 2, 1]);
  });

  it.each([
    undefined,
    null,
    '',
    ' 5',
    '5 ',
    '1e3',
    '0x10',
    'soon',
    'Infinity',
    NaN,
    Infinity,
    true,
    {},
    ['5'],
    '5, 5',
    5n,
  ])('counts as missing if it is %s', (received) => {
    expect(remainingMsOf(received)).toBeNull();
    expect(attemptOf(received)).toBe(1);
  });

  it('is a finite time and an attempt from 1, or missing, for any input', () => {
    fc.assert(
      fc.property(fc.anything(), (received) => {
        const remainingMs = remainingMsOf(received);
        expect(remainingMs === null || Number.isFinite(remainingMs)).toBe(true);
        expect(attemptOf(received)).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});
