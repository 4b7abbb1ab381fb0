import { expect, it } from 'vitest';
import type { Crowd } from './batch-size.js';
import { Calendar } from './schedule.js';

it('begins the known however many strangers are due before them', () => {
  const calendar = new Calendar<string>();
  for (let index = 0; index < 1_000; index += 1) calendar.put(index, 'stranger', true);
  calendar.put(2_000, 'known', false);
  const begun: string[] = [];
  calendar.begin(
    2_000,
    () => 4,
    (item) => begun.push(item) > 0,
  );
  expect(begun).toEqual(['known', 'stranger', 'stranger', 'stranger', 'stranger']);
});

it('asks how many for each kind, with how many there are and how late the first of them is', () => {
  const calendar = new Calendar<string>();
  calendar.put(100, 'stranger', true);
  calendar.put(900, 'stranger', true);
  calendar.put(400, 'known', false);
  expect([calendar.nextAt, calendar.knownAt, calendar.strangersAt]).toEqual([100, 400, 100]);
  const crowds: Crowd[] = [];
  const most = (crowd: Crowd): number => crowds.push(crowd);
  calendar.begin(500, most, () => true);
  expect(crowds).toEqual([
    { size: 1, behindMs: 100, areStrangers: false },
    { size: 2, behindMs: 400, areStrangers: true },
  ]);
});

it('does not count what is not begun, and leaves what is not due', () => {
  const calendar = new Calendar<string>();
  for (const item of ['moved', 'due', 'due too']) calendar.put(1, item, false);
  calendar.put(9, 'later', false);
  const begun: string[] = [];
  calendar.begin(
    5,
    () => 1,
    (item) => item !== 'moved' && begun.push(item) > 0,
  );
  expect(begun).toEqual(['due']);
  calendar.begin(
    5,
    () => 10,
    (item) => begun.push(item) > 0,
  );
  expect(begun).toEqual(['due', 'due too']);
  expect(calendar.nextAt).toBe(9);
});
