import { createGunzip, gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { GzipStream, PieceEncoder } from './gzip-stream.js';

const change = (at: number): Uint8Array =>
  Buffer.from(
    `event: change\ndata: {"namespace":"default","service":"orders","upsert":[{"id":"orders-${at * 7_919}","state":"HEALTHY","reason":{"code":"BOTH_WAYS_OK"},"zone":"eu-1b","version":"1.4.2","revision":${at}}]}\n\n`,
  );

describe('a gzip stream', () => {
  it('is one valid gzip member for any pieces', () => {
    const stream = new GzipStream(new PieceEncoder());
    const texts = [
      [change(1)],
      [change(2), change(3)],
      [],
      [new Uint8Array(0)],
      [Buffer.alloc(300_000, 'x')],
      [change(4)],
    ];
    const bytes = Buffer.concat([stream.head(), ...texts.map((parts) => stream.piece(parts)), stream.end()]);
    expect(gunzipSync(bytes).equals(Buffer.concat(texts.flat()))).toBe(true);
  });

  it('holds nothing back: each piece can be read before the next one is sent', async () => {
    const stream = new GzipStream(new PieceEncoder());
    const reader = createGunzip();
    reader.write(stream.head());
    for (let at = 0; at < 20; at += 1) {
      const received = new Promise<Buffer>((resolve) => reader.once('data', resolve));
      reader.write(stream.piece([change(at)]));
      expect((await received).equals(change(at))).toBe(true);
    }
    reader.destroy();
  });

  it('encodes a piece that resembles the last one in few bytes', () => {
    const stream = new GzipStream(new PieceEncoder());
    stream.piece([change(1)]);
    expect(stream.piece([change(2)]).byteLength).toBeLessThan(change(2).byteLength / 4);
  });

  it('encodes a piece once for all streams with the same last piece', () => {
    const encoder = new PieceEncoder();
    const streams = Array.from({ length: 100 }, () => new GzipStream(encoder));
    const first = [change(1)];
    const second = [change(2)];
    const pieces = streams.map((stream) => stream.piece(first));
    expect(new Set(pieces).size).toBe(1);
    expect(new Set(streams.map((stream) => stream.piece(second))).size).toBe(1);
  });

  it('encodes once again for streams that differed, as soon as their last pieces are equal', () => {
    const encoder = new PieceEncoder();
    const streams = Array.from({ length: 3 }, () => new GzipStream(encoder));
    streams.forEach((stream, at) => stream.piece([change(at)]));
    const [first, second] = [[change(10)], [change(11)]];
    for (const stream of streams) stream.piece(first);
    expect(new Set(streams.map((stream) => stream.piece(second))).size).toBe(1);
  });

  it('distinguishes streams whose last pieces differ', () => {
    const encoder = new PieceEncoder();
    const one = new GzipStream(encoder);
    const other = new GzipStream(encoder);
    const bytes = { one: [one.head()], other: [other.head()] };
    bytes.one.push(one.piece([change(1)]));
    bytes.other.push(other.piece([change(9)]), other.piece([change(10)]));
    const both = [change(11)];
    bytes.one.push(one.piece(both), one.end());
    bytes.other.push(other.piece(both), other.end());
    expect(gunzipSync(Buffer.concat(bytes.one)).equals(Buffer.concat([change(1), change(11)]))).toBe(true);
    const received = Buffer.concat([change(9), change(10), change(11)]);
    expect(gunzipSync(Buffer.concat(bytes.other)).equals(received)).toBe(true);
  });
});
