import { expect, it } from 'vitest';
import type { DueGroup } from './batch-size.js';
import { ProbeSchedule } from './schedule.js';

it('begins verified items even if many unverified ones are due before them', () => {
  const schedule = new ProbeSchedule<string>();
  for (let index = 0; index < 1_000; index += 1) schedule.put(index, 'unverified', true);
  schedule.put(2_000, 'known', false);
  const begun: string[] = [];
  schedule.begin(
    2_000,
    () => 4,
    (item) => begun.push(item) > 0,
  );
  expect(begun).toEqual(['known', 'unverified', 'unverified', 'unverified', 'unverified']);
});

it('asks for the batch size of each kind, with its size and how late its first item is', () => {
  const schedule = new ProbeSchedule<string>();
  schedule.put(100, 'unverified', true);
  schedule.put(900, 'unverified', true);
  schedule.put(400, 'known', false);
  expect([schedule.nextAt, schedule.verifiedAt, schedule.unverifiedAt]).toEqual([100, 400, 100]);
  const groups: DueGroup[] = [];
  const max = (group: DueGroup): number => groups.push(group);
  schedule.begin(500, max, () => true);
  expect(groups).toEqual([
    { size: 1, behindMs: 100, areUnverified: false },
    { size: 2, behindMs: 400, areUnverified: true },
  ]);
});

it('does not count items that were not begun, and leaves items that are not due', () => {
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
