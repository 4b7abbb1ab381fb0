import { describe, expect, it } from 'vitest';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import type { Lane, Waiter } from './waiter.js';

const ONE = { source: '10.0.0.1', isNew: false, places: 1, lane: null } as const;

function limiterOf(places: number) {
  const limiter = new ConcurrencyLimiter(places);
  const passed: Lane[] = [];
  /** The admitted waiters; `leave` releases the first one of a lane. */
  const inside: { readonly waiter: Waiter; readonly lane: Lane }[] = [];
  const arrive = (lane: Lane, count = 1, sources: readonly string[] = [ONE.source]): Waiter => {
    let last: Waiter = { ...ONE, admit: () => {} };
    for (let index = 0; index < count; index += 1) {
      const waiter: Waiter = {
        ...ONE,
        source: sources[index % sources.length] ?? ONE.source,
        admit(by) {
          passed.push(by);
          inside.push({ waiter, lane: by });
        },
      };
      last = waiter;
      limiter.enqueue(waiter, lane);
    }
    return last;
  };
  const leave = (lane?: Lane): void => {
    const at = inside.findIndex((one) => lane === undefined || one.lane === lane);
    const [left] = inside.splice(at, 1);
    if (left !== undefined) limiter.release(left.waiter, left.lane);
  };
  const sourcesInside = (): readonly string[] => inside.map(({ waiter }) => waiter.source);
  return { limiter, passed, arrive, leave, sourcesInside };
}

const countOf = (passed: readonly Lane[], lane: Lane): number => passed.filter((one) => one === lane).length;

describe('unverified waiters', () => {
  it('hold at most half of the places', () => {
    const { passed, arrive, leave } = limiterOf(20);
    arrive('unverified', 100, ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    expect(passed).toHaveLength(10);
    arrive('ordinary', 10);
    expect(countOf(passed, 'ordinary')).toBe(10);
    leave('unverified');
    expect(countOf(passed, 'unverified')).toBe(11);
  });

  it('leave an eighth if all have one source, so that one of another source is admitted at once', () => {
    const { limiter, arrive, sourcesInside, leave } = limiterOf(16);
    arrive('unverified', 100, ['10.0.0.1']);
    expect(sourcesInside()).toHaveLength(7);
    arrive('unverified', 1, ['10.0.0.2']);
    expect(sourcesInside()).toContain('10.0.0.2');
    expect(limiter.waiting).toBe(93);
    for (let left = 0; left < 101; left += 1) leave();
    expect([limiter.waiting, sourcesInside().length]).toEqual([0, 0]);
  });

  it('take turns by source, regardless of the number of one', () => {
    const { arrive, sourcesInside, leave } = limiterOf(4);
    arrive('unverified', 100, ['10.0.0.1', '10.0.0.2']);
    arrive('unverified', 1, ['10.0.0.3']);
    for (let left = 0; left < 3; left += 1) leave();
    expect(sourcesInside()).toContain('10.0.0.3');
  });

  it('are admitted before the others of their source if they are new, except every fourth time', () => {
    const limiter = new ConcurrencyLimiter(2);
    const passed: Waiter[] = [];
    const arrive = (isNew: boolean): void =>
      limiter.enqueue(
        { ...ONE, isNew, admit: () => void passed.push({ ...ONE, isNew, admit: () => {} }) },
        'unverified',
      );
    for (let index = 0; index < 9; index += 1) arrive(false);
    for (let index = 0; index < 9; index += 1) arrive(true);
    for (let index = 0; index < 8; index += 1) limiter.release({ ...ONE, admit: () => {} }, 'unverified');
    const order = passed.map(({ isNew }) => (isNew ? 'new' : 'again'));
    expect(order).toEqual(['again', 'new', 'new', 'new', 'again', 'new', 'new', 'new', 'again']);
  });

  it('are admitted one at a time if they need more places than their source may hold', () => {
    const limiter = new ConcurrencyLimiter(8);
    const passed: Waiter[] = [];
    const waiters = [1, 2].map((): Waiter => ({
      ...ONE,
      places: 16,
      admit: () => void passed.push(wide(passed.length)),
    }));
    const wide = (index: number): Waiter => waiters[index] ?? { ...ONE, admit: () => {} };
    for (const waiter of waiters) limiter.enqueue(waiter, 'unverified');
    expect(passed).toHaveLength(1);
    limiter.release(wide(0), 'unverified');
    expect(passed).toHaveLength(2);
  });

  it('are admitted every fourth time while others wait', () => {
    const { passed, arrive, leave } = limiterOf(2);
    arrive('urgent', 2);
    arrive('unverified', 50);
    arrive('urgent', 50);
    for (let index = 0; index < 40; index += 1) leave();
    expect(countOf(passed, 'unverified')).toBeGreaterThanOrEqual(9);
    expect(countOf(passed, 'unverified')).toBeLessThanOrEqual(11);
  });

  it('are never prioritized', () => {
    const { limiter, arrive } = limiterOf(2);
    arrive('unverified', 2);
    const waiting = arrive('unverified');
    limiter.prioritize(waiting);
    expect(waiting.lane).toBe('unverified');
    expect(limiter.waiting).toBe(2);
  });
});

it('admits urgent waiters first, and an ordinary one every fourth time', () => {
  const { passed, arrive, leave } = limiterOf(1);
  arrive('urgent');
  arrive('ordinary', 20);
  arrive('urgent', 20);
  for (let index = 0; index < 8; index += 1) leave();
  expect(passed.slice(1)).toEqual(['urgent', 'urgent', 'ordinary', 'urgent', 'urgent', 'urgent', 'ordinary', 'urgent']);
});

it('prioritizes a waiting ordinary call', () => {
  const { limiter, passed, arrive, leave } = limiterOf(1);
  arrive('urgent');
  arrive('ordinary', 3);
  const prioritized = arrive('ordinary');
  limiter.prioritize(prioritized);
  leave();
  expect(passed).toEqual(['urgent', 'urgent']);
  expect(prioritized.lane).toBe(null);
  expect(limiter.waiting).toBe(3);
});
