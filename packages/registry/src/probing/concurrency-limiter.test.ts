import { describe, expect, it } from 'vitest';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import type { Lane, Waiter } from './waiter.js';

const ONE = { source: '10.0.0.1', isNew: false, places: 1, lane: null } as const;

function turnstileOf(places: number) {
  const concurrencyLimiter = new ConcurrencyLimiter(places);
  const passed: Lane[] = [];
  /** Of those inside, by lane, the one that came first leaves. */
  const inside: { readonly passer: Waiter; readonly lane: Lane }[] = [];
  const arrive = (lane: Lane, count = 1, sources: readonly string[] = [ONE.source]): Waiter => {
    let last: Waiter = { ...ONE, pass: () => {} };
    for (let index = 0; index < count; index += 1) {
      const passer: Waiter = {
        ...ONE,
        source: sources[index % sources.length] ?? ONE.source,
        pass(by) {
          passed.push(by);
          inside.push({ passer, lane: by });
        },
      };
      last = passer;
      concurrencyLimiter.arrive(passer, lane);
    }
    return last;
  };
  const leave = (lane?: Lane): void => {
    const at = inside.findIndex((one) => lane === undefined || one.lane === lane);
    const [left] = inside.splice(at, 1);
    if (left !== undefined) concurrencyLimiter.leave(left.passer, left.lane);
  };
  const sourcesInside = (): readonly string[] => inside.map(({ passer }) => passer.source);
  return { turnstile: concurrencyLimiter, passed, arrive, leave, sourcesInside };
}

const countOf = (passed: readonly Lane[], lane: Lane): number => passed.filter((one) => one === lane).length;

describe('strangers', () => {
  it('have half of the places at most, however many they are', () => {
    const { passed, arrive, leave } = turnstileOf(20);
    arrive('stranger', 100, ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    expect(passed).toHaveLength(10);
    arrive('ordinary', 10);
    expect(countOf(passed, 'ordinary')).toBe(10);
    leave('stranger');
    expect(countOf(passed, 'stranger')).toBe(11);
  });

  it('of one source leave an eighth, so that one of another passes at once', () => {
    const { turnstile: concurrencyLimiter, arrive, sourcesInside, leave } = turnstileOf(16);
    arrive('stranger', 100, ['10.0.0.1']);
    expect(sourcesInside()).toHaveLength(7);
    arrive('stranger', 1, ['10.0.0.2']);
    expect(sourcesInside()).toContain('10.0.0.2');
    expect(concurrencyLimiter.waiting).toBe(93);
    for (let left = 0; left < 101; left += 1) leave();
    expect([concurrencyLimiter.waiting, sourcesInside().length]).toEqual([0, 0]);
  });

  it('of different sources take turns, however many of one wait', () => {
    const { arrive, sourcesInside, leave } = turnstileOf(4);
    arrive('stranger', 100, ['10.0.0.1', '10.0.0.2']);
    arrive('stranger', 1, ['10.0.0.3']);
    for (let left = 0; left < 3; left += 1) leave();
    expect(sourcesInside()).toContain('10.0.0.3');
  });

  it('that are new pass before the others of their source, but for every fourth', () => {
    const concurrencyLimiter = new ConcurrencyLimiter(2);
    const passed: Waiter[] = [];
    const arrive = (isNew: boolean): void =>
      concurrencyLimiter.arrive(
        { ...ONE, isNew, pass: () => void passed.push({ ...ONE, isNew, pass: () => {} }) },
        'stranger',
      );
    for (let index = 0; index < 9; index += 1) arrive(false);
    for (let index = 0; index < 9; index += 1) arrive(true);
    for (let index = 0; index < 8; index += 1) concurrencyLimiter.leave({ ...ONE, pass: () => {} }, 'stranger');
    const order = passed.map(({ isNew }) => (isNew ? 'new' : 'again'));
    expect(order).toEqual(['again', 'new', 'new', 'new', 'again', 'new', 'new', 'new', 'again']);
  });

  it('that need more places than their source may have pass one at a time', () => {
    const concurrencyLimiter = new ConcurrencyLimiter(8);
    const passed: Waiter[] = [];
    const passers = [1, 2].map((): Waiter => ({
      ...ONE,
      places: 16,
      pass: () => void passed.push(wide(passed.length)),
    }));
    const wide = (index: number): Waiter => passers[index] ?? { ...ONE, pass: () => {} };
    for (const passer of passers) concurrencyLimiter.arrive(passer, 'stranger');
    expect(passed).toHaveLength(1);
    concurrencyLimiter.leave(wide(0), 'stranger');
    expect(passed).toHaveLength(2);
  });

  it('pass every fourth time while others wait', () => {
    const { passed, arrive, leave } = turnstileOf(2);
    arrive('urgent', 2);
    arrive('stranger', 50);
    arrive('urgent', 50);
    for (let index = 0; index < 40; index += 1) leave();
    expect(countOf(passed, 'stranger')).toBeGreaterThanOrEqual(9);
    expect(countOf(passed, 'stranger')).toBeLessThanOrEqual(11);
  });

  it('are not hastened', () => {
    const { turnstile: concurrencyLimiter, arrive } = turnstileOf(2);
    arrive('stranger', 2);
    const waiting = arrive('stranger');
    concurrencyLimiter.hasten(waiting);
    expect(waiting.lane).toBe('stranger');
    expect(concurrencyLimiter.waiting).toBe(2);
  });
});

it('the urgent pass first, and every fourth is an ordinary one', () => {
  const { passed, arrive, leave } = turnstileOf(1);
  arrive('urgent');
  arrive('ordinary', 20);
  arrive('urgent', 20);
  for (let index = 0; index < 8; index += 1) leave();
  expect(passed.slice(1)).toEqual(['urgent', 'urgent', 'ordinary', 'urgent', 'urgent', 'urgent', 'ordinary', 'urgent']);
});

it('one that waits may be hastened', () => {
  const { turnstile: concurrencyLimiter, passed, arrive, leave } = turnstileOf(1);
  arrive('urgent');
  arrive('ordinary', 3);
  const hastened = arrive('ordinary');
  concurrencyLimiter.hasten(hastened);
  leave();
  expect(passed).toEqual(['urgent', 'urgent']);
  expect(hastened.lane).toBe(null);
  expect(concurrencyLimiter.waiting).toBe(3);
});
