import { describe, expect, it } from 'vitest';
import { isoText, parseMoment, momentText } from './moments.js';

const at = (...parts: [number, number, number, number, number, number]): number => new Date(...parts).getTime();
const NOW = at(2026, 8, 21, 14, 2, 23);

describe('a moment', () => {
  it('omits the date on the day it is read', () => {
    expect(momentText(at(2026, 8, 21, 4, 2, 3), NOW)).toBe('04:02:03');
    expect(momentText(at(2026, 8, 20, 23, 59, 59), NOW)).toBe('2026-09-20 23:59:59');
    expect(momentText(at(2025, 8, 21, 14, 2, 23), NOW)).toBe('2025-09-21 14:02:23');
    expect(momentText(at(2026, 8, 22, 0, 0, 0), NOW)).toBe('2026-09-22 00:00:00');
  });

  it('carries in a log its date, its milliseconds and its offset to UTC', () => {
    expect(isoText(NOW + 7)).toMatch(/^2026-09-21T14:02:23\.007[+-]\d\d:\d\d$/);
    expect(Date.parse(isoText(NOW + 7))).toBe(NOW + 7);
  });
});

describe('a typed moment', () => {
  it.each([
    ['30m', NOW - 1_800_000],
    ['1d', NOW - 86_400_000],
    ['14:00', at(2026, 8, 21, 14, 0, 0)],
    ['08:30:15', at(2026, 8, 21, 8, 30, 15)],
    ['2026-09-20', at(2026, 8, 20, 0, 0, 0)],
    ['2026-09-20 08:30', at(2026, 8, 20, 8, 30, 0)],
    ['2026-09-20T08:30:15', at(2026, 8, 20, 8, 30, 15)],
    ['2026-09-20T08:30:15.250Z', Date.UTC(2026, 8, 20, 8, 30, 15, 250)],
    ['2026-09-20T08:30+02:00', Date.UTC(2026, 8, 20, 6, 30, 0)],
  ])('parses an age, a time of today, or a date: %s', (typed, wall) => {
    expect(parseMoment(typed, '--since', NOW)).toBe(wall);
  });

  it.each(['', 'yesterday', '25:00', '2026-13-01', '2026-09-20T', '-5m'])('refuses "%s"', (typed) => {
    expect(() => parseMoment(typed, '--since', NOW)).toThrow(/--since: received ".*", allowed is/);
  });
});
