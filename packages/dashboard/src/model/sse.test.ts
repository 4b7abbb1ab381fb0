import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventReader } from './sse.js';

const STREAM =
  ': hello\nevent: reset\ndata: {"a":1}\n\nevent: change\ndata: {"b":\ndata: 2}\n\nid: e.7\n\r\n: beat\nid: e.8\n\n';

describe('the stream', () => {
  it('gives each event with the last id, and ids of their own', () => {
    expect(new EventReader().read(STREAM)).toEqual([
      { event: 'reset', data: '{"a":1}', id: '' },
      { event: 'change', data: '{"b":\n2}', id: '' },
      { event: '', data: '', id: 'e.7' },
      { event: '', data: '', id: 'e.8' },
    ]);
  });

  it('is the same wherever it is cut', () => {
    const whole = new EventReader().read(STREAM);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: STREAM.length })), (cuts) => {
        const reader = new EventReader();
        const at = [0, ...cuts.toSorted((one, other) => one - other), STREAM.length];
        const events = at.slice(1).flatMap((end, index) => reader.read(STREAM.slice(at[index], end)));
        expect(events).toEqual(whole);
      }),
    );
  });

  it('reads no event without end', () => {
    expect(() => new EventReader().read(`data: ${'x'.repeat(5 * 1024 * 1024)}`)).toThrow(/4 MiB/);
  });
});
