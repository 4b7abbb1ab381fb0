import { ManualTime } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { ThrottledLog } from './throttled-log.js';

function setUp() {
  const time = new ManualTime();
  const log = new ThrottledLog(time);
  const logged: string[] = [];
  const add = (code: string): boolean => log.add(code, () => logged.push(code));
  return { time, log, logged, add };
}

it('logs a continuing problem once', () => {
  const { time, logged, add } = setUp();
  expect(add('A')).toBe(true);
  for (let i = 0; i < 10; i += 1) {
    time.advance(60_000);
    expect(add('A')).toBe(false);
  }
  expect(logged).toEqual(['A']);
});

it('treats alternating problems as new each time, but logs each at most once a minute', () => {
  const { time, logged, add } = setUp();
  for (let i = 0; i < 1_000; i += 1) {
    expect(add(i % 2 === 0 ? 'A' : 'B')).toBe(true);
    time.advance(100);
  }
  expect(logged).toEqual(['A', 'B', 'A', 'B']);
});

it('logs a recurring problem again after a minute', () => {
  const { time, log, logged, add } = setUp();
  add('A');
  log.over();
  time.advance(59_999);
  expect(add('A')).toBe(true);
  expect(logged).toEqual(['A']);
  time.advance(1);
  expect(add('A')).toBe(false);
  expect(logged).toEqual(['A', 'A']);
});
