import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Shards } from './stream-shards.js';

const longName = (i: number): string => `${String(i).padStart(4, '0')}-${'x'.repeat(58)}`;

/** The size of the requests if all names are resumed. */
function urlOf(names: readonly string[]): string {
  return names.map((name) => `&service=${name}&resume=${name}`).join('');
}

describe('Shards', () => {
  it('are one shard without names at first', () => {
    const { all } = new Shards();
    expect(all.map(({ names }) => names)).toEqual([[]]);
  });

  it.each([
    ['short', (i: number) => `s${i}`, 20],
    ['of 63 characters', longName, 60],
  ])('divide 5,000 names that are %s, so that each request stays within the limits of registries', (_, nameOf, max) => {
    const shards = new Shards();
    const names = Array.from({ length: 5_000 }, (_name, i) => nameOf(i));
    for (const name of names) shards.add(name);
    expect(shards.all.flatMap((shard) => shard.names)).toEqual(names);
    expect(shards.all.length).toBeLessThanOrEqual(max);
    for (const shard of shards.all) {
      expect(shard.names.length).toBeLessThanOrEqual(256);
      expect(urlOf(shard.names).length).toBeLessThan(15_000);
    }
  });

  it('change one shard for each added name', () => {
    const shards = new Shards();
    for (let i = 0; i < 600; i += 1) shards.add(`s${i}`);
    const before = shards.all.map(({ additions }) => additions);
    shards.add('one-more');
    shards.add('one-more');
    const after = shards.all.map(({ additions }) => additions);
    expect(after).toEqual([before[0], before[1], (before[2] ?? 0) + 1]);
  });

  it('give a name a new ticket when it is added again', () => {
    const shards = new Shards();
    shards.add('orders');
    const [shard] = shards.all;
    const ticket = shard?.ticket('orders');
    shards.delete('orders');
    shards.delete('orders');
    expect(shard?.ticket('orders')).toBeUndefined();
    shards.add('orders');
    expect(shard?.ticket('orders')).not.toBe(ticket);
  });

  it('drop empty shards, except the first', () => {
    const shards = new Shards();
    const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
    for (const name of names) shards.add(name);
    const [first] = shards.all;
    for (const name of names) shards.delete(name);
    expect(shards.all).toEqual([first]);
    expect(first?.names).toEqual([]);
  });

  it('contain each name once, within the limits, after any additions and removals', () => {
    const random = seededRandom(7);
    const shards = new Shards();
    const held = new Set<string>();
    for (let i = 0; i < 20_000; i += 1) {
      const n = Math.floor(random.unit() * 1_500);
      const name = n % 2 === 0 ? `s${n}` : longName(n);
      if (random.unit() < 0.55) {
        shards.add(name);
        held.add(name);
      } else {
        shards.delete(name);
        held.delete(name);
      }
    }
    const all = shards.all.flatMap(({ names }) => names);
    expect(all.toSorted()).toEqual([...held].toSorted());
    for (const { names } of shards.all) expect(urlOf(names).length).toBeLessThan(15_000);
  });
});
