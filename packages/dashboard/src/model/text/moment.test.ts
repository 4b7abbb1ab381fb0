import { expect, it } from 'vitest';
import { exactMomentText, fieldMoment, fieldText, momentText } from './moment.js';

const NOW = new Date(2026, 8, 21, 14, 2, 23).getTime();
const YESTERDAY = new Date(2026, 8, 20, 23, 59, 59, 7).getTime();

it('prints a date unless the moment is of today', () => {
  expect(momentText(NOW - 1_000, NOW)).toBe('14:02:22');
  expect(momentText(YESTERDAY, NOW)).toBe('2026-09-20 23:59:59');
  expect(exactMomentText(NOW, NOW)).toBe('14:02:23.000');
  expect(exactMomentText(YESTERDAY, NOW)).toBe('2026-09-20 23:59:59.007');
});

it('keeps a moment in the field of a form, to the minute', () => {
  const minute = NOW - 23_000;
  expect(fieldText(minute)).toBe('2026-09-21T14:02');
  expect(fieldMoment(fieldText(minute))).toBe(minute);
  expect(fieldMoment('')).toBeNull();
  expect(fieldText(null)).toBe('');
});
