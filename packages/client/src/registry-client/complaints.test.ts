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

it('a lasting trouble is told once', () => {
  const { time, told, add } = setUp();
  expect(add('A')).toBe(true);
  for (let i = 0; i < 10; i += 1) {
    time.advance(60_000);
    expect(add('A')).toBe(false);
  }
  expect(told).toEqual(['A']);
});

it('troubles in turns are news each time, but each is told at most once a minute', () => {
  const { time, told, add } = setUp();
  for (let i = 0; i < 1_000; i += 1) {
    expect(add(i % 2 === 0 ? 'A' : 'B')).toBe(true);
    time.advance(100);
  }
  expect(told).toEqual(['A', 'B', 'A', 'B']);
});

it('one that is back after all was well is told when a minute has passed since the last time', () => {
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
