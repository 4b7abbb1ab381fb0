import { describe, expect, it } from 'vitest';
import { ageText, countText, latencyText, percentText, plural, rateText, spanText } from './age.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('the texts of numbers', () => {
  it.each([
    [null, '–'],
    [-5, '0 s'],
    [0, '0 s'],
    [7_400, '7 s'],
    [48 * MINUTE, '48 min'],
    [3 * HOUR + 12 * MINUTE, '3 h 12 min'],
    [3 * HOUR, '3 h'],
    [52 * HOUR, '2 d 4 h'],
  ])('print an age of %s ms as %s', (ms, text) => expect(ageText(ms)).toBe(text));

  it('print short gaps to the second', () => {
    expect(spanText(213_000)).toBe('3 min 33 s');
    expect(spanText(2 * HOUR)).toBe('2 h');
  });

  it.each([
    [null, '–'],
    [1.84, '1.8 ms'],
    [24.4, '24 ms'],
    [12_345, '12.3 s'],
  ])('print a latency of %s ms as %s', (ms, text) => expect(latencyText(ms)).toBe(text));

  it('never round a share up to 100', () => {
    expect(percentText(1)).toBe('100.00');
    expect(percentText(0.999_99)).toBe('99.99');
    expect(percentText(0.9998)).toBe('99.98');
    expect(percentText(null)).toBe('–');
  });

  it('print unknown counts as a dash, not as 0', () => {
    expect(countText(null)).toBe('–');
    expect(countText(48_213)).toBe('48,213');
    expect(rateText(0.42)).toBe('0.4');
    expect(rateText(206.4)).toBe('206');
    expect(plural(1, 'call')).toBe('1 call');
    expect(plural(0, 'call')).toBe('0 calls');
  });
});
