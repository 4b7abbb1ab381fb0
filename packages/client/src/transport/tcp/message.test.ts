import * as fc from 'fast-check';
import { FrameDecoder } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { Terms } from '../transport.js';
import { requestFrame, tcpRequest } from './message.js';
import type { TcpRequest } from './message.js';

function packetOf(terms: Terms | null, isEvent = false, request = tcpRequest('find', { id: 'ü' }, isEvent)): unknown {
  const text = requestFrame(request, 7, terms);
  const { frames, failure } = new FrameDecoder().push(Buffer.from(text));
  expect(failure).toBeNull();
  return frames[0];
}

describe('the packet of a request', () => {
  const packet = { pattern: 'find', data: { id: 'ü' }, id: 7 };

  it('carries in its metadata the remaining deadline, in whole ms, and the attempt if it is not the first', () => {
    expect(packetOf({ remainingMs: 799.2, attempt: 1 })).toEqual({
      ...packet,
      metadata: { 'rollcall-deadline-ms': 800 },
    });
    expect(packetOf({ remainingMs: 5, attempt: 3 })).toEqual({
      ...packet,
      metadata: { 'rollcall-deadline-ms': 5, 'rollcall-attempt': 3 },
    });
  });

  it('carries no deadline if there is none', () => {
    expect(packetOf(null)).toEqual(packet);
    expect(packetOf({ remainingMs: Infinity, attempt: 1 })).toEqual(packet);
    expect(packetOf({ remainingMs: Infinity, attempt: 2 })).toEqual({ ...packet, metadata: { 'rollcall-attempt': 2 } });
  });

  it('has neither id nor deadline for an event, since no caller waits for it', () => {
    expect(packetOf({ remainingMs: 5, attempt: 2 }, true)).toEqual({ pattern: 'find', data: { id: 'ü' } });
  });

  it('carries the metadata of the caller, even with an event; our own entries take precedence', () => {
    const metadata = { tenant: 'acme', 'rollcall-attempt': 9, nested: { a: [1] } };
    const made = (isEvent: boolean): TcpRequest => tcpRequest('find', { id: 'ü' }, isEvent, { metadata: metadata });
    expect(packetOf({ remainingMs: 5, attempt: 2 }, false, made(false))).toEqual({
      ...packet,
      metadata: { ...metadata, 'rollcall-deadline-ms': 5, 'rollcall-attempt': 2 },
    });
    expect(packetOf(null, true, made(true))).toEqual({ pattern: 'find', data: { id: 'ü' }, metadata: metadata });
    expect(packetOf(null, false, tcpRequest('find', { id: 'ü' }, false, { metadata: {} }))).toEqual({
      ...packet,
    });
    expect(() => tcpRequest('find', {}, false, { metadata: ['a'] as never })).toThrow(TypeError);
  });

  it('is the output of the serializer if the service has a codec, for any data that JSON can represent', () => {
    const codec = { serializer: { serialize: (made: object) => ({ sealed: made }) } };
    const request = tcpRequest('find', { id: 'ü' }, false, { codec, metadata: { tenant: 'acme' } });
    expect(packetOf({ remainingMs: 5, attempt: 1 }, false, request)).toEqual({
      sealed: { ...packet, id: '7', metadata: { tenant: 'acme', 'rollcall-deadline-ms': 5 } },
    });
    expect(packetOf(null, true, tcpRequest('find', 1, true, { codec }))).toEqual({
      sealed: { pattern: 'find', data: 1 },
    });
    const text = { serializer: { serialize: ({ data }: { data?: unknown }) => String(data) } };
    expect(packetOf(null, false, tcpRequest('find', 7n, false, { codec: text }))).toBe('7');
    const late = { serializer: { serialize: () => Promise.resolve('') } };
    expect(() => requestFrame(tcpRequest('find', 1, false, { codec: late }), 1, null)).toThrow(/returned a promise/);
  });

  it.each([undefined, () => 'find', Symbol('find')])(
    'is refused for the pattern %s, which JSON cannot represent',
    (pattern) => {
      expect(() => tcpRequest(pattern, {}, false)).toThrow('A pattern must be a string or an object');
    },
  );

  it('can be parsed for any terms', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: 0 }), fc.integer({ min: 1, max: 99 }), (remainingMs, attempt) => {
        expect(packetOf({ remainingMs, attempt })).toMatchObject(packet);
      }),
    );
  });
});
