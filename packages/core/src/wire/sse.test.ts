import { describe, expect, it } from 'vitest';
import { SseParser } from './sse.js';
import type { SseEvent } from './sse.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const STREAM =
  ': beat\nid: e.1\n\n' +
  'event: change\r\ndata: {"text":"Grüße 🚀"}\r\n\r\n' +
  'event: reset\rdata: one\rdata: two\r\r' +
  'retry: 5\nunknown field\nid:e.2\n\n';

const EVENTS: readonly SseEvent[] = [
  { event: 'message', data: null, id: 'e.1' },
  { event: 'change', data: '{"text":"Grüße 🚀"}', id: null },
  { event: 'reset', data: 'one\ntwo', id: null },
  { event: 'message', data: null, id: 'e.2' },
];

describe('SseParser', () => {
  it('parses blocks with any line ends', () => {
    expect(new SseParser(1_000).push(bytes(STREAM))).toEqual(EVENTS);
  });

  it('returns the same if the bytes are split in two at any position', () => {
    const all = bytes(STREAM);
    for (let cut = 0; cut <= all.length; cut += 1) {
      const parser = new SseParser(1_000);
      const events = [...(parser.push(all.subarray(0, cut)) ?? []), ...(parser.push(all.subarray(cut)) ?? [])];
      expect(events, `cut at ${cut}`).toEqual(EVENTS);
    }
  });

  it('returns the same byte by byte', () => {
    const parser = new SseParser(1_000);
    expect(Array.from(bytes(STREAM)).flatMap((byte) => parser.push(Uint8Array.of(byte)) ?? [])).toEqual(EVENTS);
  });

  it('returns no block before its end', () => {
    expect(new SseParser(1_000).push(bytes('event: change\ndata: x\n'))).toEqual([]);
  });

  it('returns no block for comments and for blocks without data and id', () => {
    expect(new SseParser(1_000).push(bytes(': hello\n\nevent: x\n\n\n'))).toEqual([]);
  });

  it('refuses a line that does not end within the limit', () => {
    const parser = new SseParser(10);
    expect(parser.push(bytes('data: 12'))).toEqual([]);
    expect(parser.push(bytes('3456'))).toBeNull();
  });

  it('refuses a block of many lines beyond the limit', () => {
    expect(new SseParser(20).push(bytes('data: 1\n'.repeat(4)))).toBeNull();
  });

  it('counts the limit per block, without comments', () => {
    const parser = new SseParser(20);
    expect(parser.push(bytes(`${': beat\n'.repeat(50)}data: 1\n\n`.repeat(3)))).toHaveLength(3);
  });
});
