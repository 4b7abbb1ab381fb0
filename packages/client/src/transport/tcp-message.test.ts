import * as fc from 'fast-check';
import { FrameDecoder } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { requestFrame, tcpRequest } from './tcp-message.js';
import type { Terms } from './transport.js';

function packetOf(terms: Terms | null, isEvent = false): unknown {
  const text = requestFrame(tcpRequest('find', { id: 'ü' }, isEvent), 7, terms);
  const { frames, failure } = new FrameDecoder().push(Buffer.from(text));
  expect(failure).toBeNull();
  return frames[0];
}

describe('the packet of a request', () => {
  const packet = { pattern: 'find', data: { id: 'ü' }, id: 7 };

  it('has beside the payload what is left of the deadline, in whole ms, and the attempt if it is not the first', () => {
    expect(packetOf({ remainingMs: 799.2, attempt: 1 })).toEqual({
      ...packet,
      metadata: { 'rollcall-deadline-ms': 800 },
    });
    expect(packetOf({ remainingMs: 5, attempt: 3 })).toEqual({
      ...packet,
      metadata: { 'rollcall-deadline-ms': 5, 'rollcall-attempt': 3 },
    });
  });

  it('says nothing of a deadline where there is none', () => {
    expect(packetOf(null)).toEqual(packet);
    expect(packetOf({ remainingMs: Infinity, attempt: 1 })).toEqual(packet);
    expect(packetOf({ remainingMs: Infinity, attempt: 2 })).toEqual({ ...packet, metadata: { 'rollcall-attempt': 2 } });
  });

  it('of an event has neither id nor deadline: nobody waits for it', () => {
    expect(packetOf({ remainingMs: 5, attempt: 2 }, true)).toEqual({ pattern: 'find', data: { id: 'ü' } });
  });

  it.each([undefined, () => 'find', Symbol('find')])(
    'is not made of the pattern %s, which JSON cannot say',
    (pattern) => {
      expect(() => tcpRequest(pattern, {}, false)).toThrow('A pattern is a text or an object');
    },
  );

  it('can be read, whatever the terms', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: 0 }), fc.integer({ min: 1, max: 99 }), (remainingMs, attempt) => {
        expect(packetOf({ remainingMs, attempt })).toMatchObject(packet);
      }),
    );
  });
});
