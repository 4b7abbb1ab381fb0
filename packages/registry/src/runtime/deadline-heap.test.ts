import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeadlineHeap } from './deadline-heap.js';

describe('DeadlineHeap', () => {
  it('returns items in the order of time, and simultaneous ones in the order of arrival', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
        const agenda = new DeadlineHeap<number>();
        for (const [index, at] of times.entries()) agenda.put(at, index);
        const taken: [number, number][] = [];
        for (let next = agenda.take(20); next !== null; next = agenda.take(20)) taken.push([next.at, next.item]);
        const expected = times.map((at, index): [number, number] => [at, index]);
        expect(taken).toEqual(expected.toSorted(([a, i], [b, j]) => a - b || i - j));
        expect(agenda.nextAt).toBe(Infinity);
      }),
    );
  });

  it('returns no item before its time', () => {
    const agenda = new DeadlineHeap<string>();
    agenda.put(5, 'later');
    expect(agenda.take(4)).toBeNull();
    expect(agenda.nextAt).toBe(5);
    expect(agenda.take(5)?.item).toBe('later');
  });
});
