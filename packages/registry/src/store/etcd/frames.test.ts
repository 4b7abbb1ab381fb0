import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameOf, FrameReader } from './frames.js';

const split = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const pieces: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
};

describe('FrameReader', () => {
  it('reads the same messages from pieces of any size', () => {
    const message = fc.uint8Array({ maxLength: 3_000 });
    const sizes = fc.array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), sizes, (messages, pieces) => {
        const reader = new FrameReader(4_096);
        const all = Buffer.concat(messages.map(frameOf));
        const read = split(all, pieces).flatMap((piece) => [...reader.push(piece)]);
        expect(read.map((one) => one.toString('hex'))).toEqual(messages.map((one) => Buffer.from(one).toString('hex')));
        expect(reader.isPartial).toBe(false);
      }),
    );
  });

  it('is partial within a message and within its head', () => {
    const reader = new FrameReader(100);
    expect(reader.push(Buffer.from([0, 0]))).toEqual([]);
    expect(reader.isPartial).toBe(true);
    expect(reader.push(Buffer.from([0, 0, 2, 7]))).toEqual([]);
    expect(reader.push(Buffer.from([8]))).toEqual([Buffer.from([7, 8])]);
    expect(reader.isPartial).toBe(false);
  });

  it('refuses a message that is longer than allowed at its head, before it arrives', () => {
    expect(() => new FrameReader(100).push(Buffer.from([0, 0, 0, 0, 101]))).toThrow(/101 bytes; 100 are allowed/);
    expect(() => new FrameReader(100).push(Buffer.from([0, 255, 255, 255, 255]))).toThrow(/4294967295 bytes/);
  });

  it('refuses a compressed message', () => {
    expect(() => new FrameReader(100).push(Buffer.from([1, 0, 0, 0, 1]))).toThrow(/compressed/);
  });

  it('copies a message in single bytes a constant number of times', () => {
    const reader = new FrameReader(1_000_000);
    const frame = frameOf(Buffer.alloc(300_000, 7));
    const pieces = split(frame, [1]);
    const last = pieces.pop() as Buffer;
    const early = pieces.filter((piece) => reader.push(piece).length > 0);
    expect(early).toEqual([]);
    const [message, ...more] = reader.push(last);
    expect(more).toEqual([]);
    expect(message?.equals(Buffer.alloc(300_000, 7))).toBe(true);
  });
});
