import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Registries } from './registry-order.js';

const listed = (): Registries<string> => new Registries(['a', 'b', 'c'], 'listed', seededRandom(1));

describe('Registries, listed', () => {
  it('starts with the first registry, and wraps around', () => {
    const registries = listed();
    expect(registries.round).toEqual(['a', 'b', 'c']);
    registries.failed('a');
    expect(registries.round).toEqual(['b', 'c', 'a']);
    registries.failed('b');
    registries.failed('c');
    expect(registries.current).toBe('a');
  });

  it('stays with the registry that answered, and lists the preferred ones', () => {
    const registries = listed();
    registries.answered('c');
    expect(registries.current).toBe('c');
    expect(registries.better).toEqual(['a', 'b']);
    registries.answered('a');
    expect(registries.better).toEqual([]);
  });

  it('ignores a failure of a registry that is no longer current', () => {
    const registries = listed();
    registries.failed('a');
    registries.failed('a');
    expect(registries.current).toBe('b');
  });
});

describe('Registries, random', () => {
  it('distributes the processes: each registry comes first about equally often', () => {
    const random = seededRandom(7);
    const firsts = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < 3_000; i += 1) {
      firsts[new Registries<'a' | 'b' | 'c'>(['a', 'b', 'c'], 'random', random).current] += 1;
    }
    for (const count of Object.values(firsts)) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  it('has no preferred registries', () => {
    const registries = new Registries(['a', 'b'], 'random', seededRandom(1));
    registries.failed(registries.current);
    expect(registries.better).toEqual([]);
  });

  it('tries each registry once per round, after any history', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(4)));
    fc.assert(
      fc.property(fc.integer(), steps, (seed, history) => {
        const registries = new Registries([0, 1, 2, 3, 4], 'random', seededRandom(seed));
        for (const [isAnswer, which] of history) {
          if (isAnswer) registries.answered(which);
          else registries.failed(which);
          if (isAnswer) expect(registries.current).toBe(which);
        }
        expect(registries.round[0]).toBe(registries.current);
        expect(registries.round.toSorted((one, other) => one - other)).toEqual([0, 1, 2, 3, 4]);
      }),
    );
  });
});
