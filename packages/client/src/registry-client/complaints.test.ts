import { ManualTime } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { ThrottledLog } from './complaints.js';

function setUp() {
  const time = new ManualTime();
  const complaints = new ThrottledLog(time);
  const told: string[] = [];
  const add = (code: string): boolean => complaints.add(code, () => told.push(code));
  return { time, complaints, told, add };
}

it('logs a lasting problem once', () => {
  const { time, told, add } = setUp();
  expect(add('A')).toBe(true);
  for (let i = 0; i < 10; i += 1) {
    time.advance(60_000);
    expect(add('A')).toBe(false);
  }
  expect(told).toEqual(['A']);
});

it('treats alternating problems as new each time, but logs each at most once a minute', () => {
  const { time, told, add } = setUp();
  for (let i = 0; i < 1_000; i += 1) {
    expect(add(i % 2 === 0 ? 'A' : 'B')).toBe(true);
    time.advance(100);
  }
  expect(told).toEqual(['A', 'B', 'A', 'B']);
});

it('logs a recurring problem once a minute has passed since its last log line', () => {
  const { time, complaints, told, add } = setUp();
  add('A');
  complaints.over();
  time.advance(59_999);
  expect(add('A')).toBe(true);
  expect(told).toEqual(['A']);
  time.advance(1);
  expect(add('A')).toBe(false);
  expect(told).toEqual(['A', 'A']);
});
