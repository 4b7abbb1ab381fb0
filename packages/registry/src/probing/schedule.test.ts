import { expect, it } from 'vitest';
import type { Crowd } from './batch-size.js';
import { ProbeSchedule } from './schedule.js';

it('begins the known however many strangers are due before them', () => {
  const schedule = new ProbeSchedule<string>();
  for (let index = 0; index < 1_000; index += 1) schedule.put(index, 'stranger', true);
  schedule.put(2_000, 'known', false);
  const begun: string[] = [];
  schedule.begin(
    2_000,
    () => 4,
    (item) => begun.push(item) > 0,
  );
  expect(begun).toEqual(['known', 'stranger', 'stranger', 'stranger', 'stranger']);
});

it('asks how many for each kind, with how many there are and how late the first of them is', () => {
  const schedule = new ProbeSchedule<string>();
  schedule.put(100, 'stranger', true);
  schedule.put(900, 'stranger', true);
  schedule.put(400, 'known', false);
  expect([schedule.nextAt, schedule.knownAt, schedule.strangersAt]).toEqual([100, 400, 100]);
  const crowds: Crowd[] = [];
  const most = (crowd: Crowd): number => crowds.push(crowd);
  schedule.begin(500, most, () => true);
  expect(crowds).toEqual([
    { size: 1, behindMs: 100, areStrangers: false },
    { size: 2, behindMs: 400, areStrangers: true },
  ]);
});

it('does not count what is not begun, and leaves what is not due', () => {
  const schedule = new ProbeSchedule<string>();
  for (const item of ['moved', 'due', 'due too']) schedule.put(1, item, false);
  schedule.put(9, 'later', false);
  const begun: string[] = [];
  schedule.begin(
    5,
    () => 1,
    (item) => item !== 'moved' && begun.push(item) > 0,
  );
  expect(begun).toEqual(['due']);
  schedule.begin(
    5,
    () => 10,
    (item) => begun.push(item) > 0,
  );
  expect(begun).toEqual(['due', 'due too']);
  expect(schedule.nextAt).toBe(9);
});
