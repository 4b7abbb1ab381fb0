import { describe, expect, it } from 'vitest';
import { Turnstile } from './turnstile.js';
import type { Lane, Passer } from './turnstile.js';

function turnstileOf(places: number) {
  const turnstile = new Turnstile(places);
  const passed: Lane[] = [];
  const arrive = (lane: Lane, count = 1): Passer => {
    let last: Passer = { places: 1, lane: null, pass: () => {} };
    for (let index = 0; index < count; index += 1) {
      last = { places: 1, lane: null, pass: (by) => passed.push(by) };
      turnstile.arrive(last, lane);
    }
    return last;
  };
  return { turnstile, passed, arrive };
}

const countOf = (passed: readonly Lane[], lane: Lane): number => passed.filter((one) => one === lane).length;

describe('strangers', () => {
  it('have half of the places at most, however many they are', () => {
    const { turnstile, passed, arrive } = turnstileOf(10);
    arrive('stranger', 100);
    expect(passed).toHaveLength(5);
    arrive('ordinary', 5);
    expect(countOf(passed, 'ordinary')).toBe(5);
    turnstile.leave(1, 'stranger');
    expect(countOf(passed, 'stranger')).toBe(6);
  });

  it('pass every fourth time while others wait', () => {
    const { turnstile, passed, arrive } = turnstileOf(2);
    arrive('urgent', 2);
    arrive('stranger', 50);
    arrive('urgent', 50);
    for (let index = 0; index < 40; index += 1) turnstile.leave(1, passed[index] ?? 'urgent');
    expect(countOf(passed, 'stranger')).toBeGreaterThanOrEqual(9);
    expect(countOf(passed, 'stranger')).toBeLessThanOrEqual(11);
  });

  it('are not hastened', () => {
    const { turnstile, arrive } = turnstileOf(2);
    arrive('stranger', 2);
    const waiting = arrive('stranger');
    turnstile.hasten(waiting);
    expect(waiting.lane).toBe('stranger');
    expect(turnstile.waiting).toBe(2);
  });
});

it('the urgent pass first, and every fourth is an ordinary one', () => {
  const { turnstile, passed, arrive } = turnstileOf(1);
  arrive('urgent');
  arrive('ordinary', 20);
  arrive('urgent', 20);
  for (let index = 0; index < 8; index += 1) turnstile.leave(1, 'urgent');
  expect(passed.slice(1)).toEqual(['urgent', 'urgent', 'ordinary', 'urgent', 'urgent', 'urgent', 'ordinary', 'urgent']);
});

it('one that waits may be hastened', () => {
  const { turnstile, passed, arrive } = turnstileOf(1);
  arrive('urgent');
  arrive('ordinary', 3);
  const hastened = arrive('ordinary');
  turnstile.hasten(hastened);
  turnstile.leave(1, 'urgent');
  expect(passed).toEqual(['urgent', 'urgent']);
  expect(hastened.lane).toBe(null);
  expect(turnstile.waiting).toBe(3);
});
