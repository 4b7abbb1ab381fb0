import type { Tombstone } from '@rollcall/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EPOCH, instanceOf } from './feed.fixture.js';
import { changeFrames, resetFrames } from './frames.js';
import type { SizedFrame } from './frames.js';

const ORDERS = { namespace: 'default', service: 'orders' };
const FRAME_BYTES = 65_536;

const instancesOf = (notes: readonly string[]) =>
  notes.map((note, index) => instanceOf('orders', `orders-${index}`, index, { metadata: { note } }));
const tombstonesOf = (count: number): readonly Tombstone[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `orders-gone-${index}`,
    revision: index,
    reason: { code: 'GOODBYE', text: 'it left' },
  }));

const dataOf = (frames: readonly SizedFrame[]) =>
  frames.map(({ shared }) => {
    const [head = '', json = '', ...rest] = Buffer.from(shared.bytes()).toString().split('\n');
    expect(rest).toEqual(['', '']);
    expect(head).toBe(`event: ${shared.frame.event}`);
    expect(JSON.parse(json.replace('data: ', ''))).toEqual(JSON.parse(JSON.stringify(shared.frame.data)));
    return shared.frame.data;
  });

describe('frames', () => {
  it('form the whole of any view in order, each within 64 KiB and of the estimated size', () => {
    const note = fc.integer({ min: 0, max: 15_000 }).map((length) => 'é\n'.repeat(length / 4));
    fc.assert(
      fc.property(fc.array(note, { maxLength: 12 }), fc.nat(2_000), (notes, removed) => {
        const [instances, tombstones] = [instancesOf(notes), tombstonesOf(removed)];
        const frames = resetFrames(ORDERS, { epoch: EPOCH, revision: 7 }, instances, tombstones);
        const data = dataOf(frames);
        const parts = data.flatMap((part) => ('part' in part ? [part] : []));
        expect(parts.flatMap((part) => part.instances)).toEqual(instances);
        expect(parts.map(({ part }) => part)).toEqual(parts.map((_, index) => index));
        expect(parts.map(({ complete }) => complete)).toEqual(parts.map((_, index) => index === parts.length - 1));
        for (const { shared, bytes } of frames) {
          expect(shared.bytes().byteLength).toBeLessThanOrEqual(FRAME_BYTES);
          expect(Math.abs(shared.bytes().byteLength - bytes)).toBeLessThan(1_024);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('have the tombstones of a view in its last part, and those beyond its size in changes after it', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.nat(2_000), (count, removed) => {
        const [instances, tombstones] = [
          instancesOf(Array<string>(count).fill('x'.repeat(5_000))),
          tombstonesOf(removed),
        ];
        const data = dataOf(resetFrames(ORDERS, { epoch: EPOCH, revision: 7 }, instances, tombstones));
        const last = data.findIndex((part) => 'complete' in part && part.complete);
        const parts = data.map((part) =>
          'removed' in part ? part.removed : 'remove' in part ? part.remove : undefined,
        );
        expect(parts.slice(0, last)).toEqual(Array(last).fill(undefined));
        expect(parts.slice(last).flat()).toEqual(tombstones);
        expect(parts[last]).not.toHaveLength(tombstones.length === 0 ? 1 : 0);
        expect(data.slice(last + 1).every((part) => 'upsert' in part && part.upsert.length === 0)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('carry changed instances and tombstones together, in several parts if needed', () => {
    const [instances, tombstones] = [instancesOf(['', '']), tombstonesOf(2)];
    expect(dataOf(changeFrames(ORDERS, instances, tombstones))).toEqual([
      { ...ORDERS, upsert: instances, remove: tombstones },
    ]);
    const many = changeFrames(ORDERS, instancesOf(Array<string>(20).fill('x'.repeat(10_000))), tombstonesOf(900));
    const data = dataOf(many);
    expect(data.flatMap((part) => ('upsert' in part ? part.upsert : []))).toHaveLength(20);
    expect(data.flatMap((part) => ('remove' in part ? part.remove : []))).toEqual(tombstonesOf(900));
    for (const { shared } of many) expect(shared.bytes().byteLength).toBeLessThanOrEqual(FRAME_BYTES);
  });

  it('do not exist without a change', () => {
    expect(changeFrames(ORDERS, [], [])).toEqual([]);
  });
});
