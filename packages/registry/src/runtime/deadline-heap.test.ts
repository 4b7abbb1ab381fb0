import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeadlineHeap } from './deadline-heap.js';

describe('DeadlineHeap', () => {
  it('returns items in the order of time, and simultaneous ones in the order of arrival', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
        const heap = new DeadlineHeap<number>();
        for (const [index, at] of times.entries()) heap.put(at, index);
        const taken: [number, number][] = [];
        for (let next = heap.take(20); next !== null; next = heap.take(20)) taken.push([next.at, next.item]);
        const expected = times.map((at, index): [number, number] => [at, index]);
        expect(taken).toEqual(expected.toSorted(([a, i], [b, j]) => a - b || i - j));
        expect(heap.nextAt).toBe(Infinity);
      }),
    );
  });

  it('returns no item before its time', () => {
    const heap = new DeadlineHeap<string>();
    heap.put(5, 'later');
    expect(heap.take(4)).toBeNull();
    expect(heap.nextAt).toBe(5);
    expect(heap.take(5)?.item).toBe('later');
  });
});
