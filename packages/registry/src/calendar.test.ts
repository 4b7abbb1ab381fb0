import { expect, it } from 'vitest';
import { Calendar } from './calendar.js';

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

it('asks how many for each kind, with how late its first is', () => {
  const calendar = new Calendar<string>();
  calendar.put(100, 'stranger', true);
  calendar.put(400, 'known', false);
  const late: number[] = [];
  calendar.begin(
    500,
    (behindMs) => late.push(behindMs),
    () => true,
  );
  expect(late).toEqual([100, 400]);
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
  expect([calendar.nextAt, calendar.size]).toEqual([9, 1]);
});
