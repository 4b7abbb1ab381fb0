import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { sampleInstance } from '../testing.js';
import { parseFrame } from './feed-frame.js';
import type { Frame } from './feed-frame.js';

const of = { namespace: 'default', service: 'orders' };
const reason = { code: 'GOODBYE', text: 'it left' } as const;
const frames: readonly Frame[] = [
  {
    event: 'reset',
    data: {
      ...of,
      epoch: '0192f0c1-7a3b-7c4d-8e5f-0123456789ab',
      revision: 9,
      part: 0,
      complete: true,
      instances: [sampleInstance(), sampleInstance({ id: 'b', next: { state: 'CRITICAL', afterMs: 5, unless: null } })],
      removed: [{ id: 'c', revision: 8, reason }],
    },
  },
  { event: 'change', data: { ...of, upsert: [sampleInstance()], remove: [{ id: 'c', revision: 8, reason }] } },
  { event: 'unknown', data: of },
  { event: 'status', data: { settled: false, degraded: 'the store does not answer' } },
  { event: 'gone', data: { id: 'a', reason } },
];
const flawsOf = (event: string, data: unknown) => {
  const read = parseFrame(event, JSON.stringify(data));
  return read === null || read.ok ? [] : read.problem;
};

describe('a frame of the feed', () => {
  it.each(frames)('$event is parsed unchanged, without unknown fields', ({ event, data }) => {
    expect(parseFrame(event, JSON.stringify({ ...data, tomorrow: [1] }))).toEqual({ ok: true, value: { event, data } });
  });

  it('is ignored if its event is unknown', () => {
    expect(parseFrame('weather', '{}')).toBeNull();
    expect(parseFrame('constructor', '{}')).toBeNull();
    expect(parseFrame('', '')).toBeNull();
  });

  it('is a flaw if it is not JSON', () => {
    expect(parseFrame('change', '{"upsert":[')).toMatchObject({ ok: false, problem: [{ path: '', allowed: 'JSON' }] });
    expect(parseFrame('change', '')).toMatchObject({ ok: false });
  });

  it('reports the path of a flaw, and at most ten', () => {
    const bad = sampleInstance({ id: 'b', weight: -1 });
    expect(flawsOf('change', { ...of, upsert: [sampleInstance(), bad], remove: [] })).toEqual([
      { path: 'upsert[1].weight', received: '-1', allowed: 'integer 0 … 1000' },
    ]);
    expect(flawsOf('change', { ...of, upsert: Array.from({ length: 1_000 }, () => ({})), remove: [] })).toHaveLength(
      10,
    );
  });

  it('holds instances of its own service only', () => {
    const foreign = sampleInstance({ service: 'payments' });
    const flaw = { received: '"default/payments"', allowed: 'instances of default/orders only' };
    expect(flawsOf('change', { ...of, upsert: [foreign], remove: [] })).toMatchObject([flaw]);
    const reset = { ...of, epoch: '0192f0c1-7a3b-7c4d-8e5f-0123456789ab', revision: 1, part: 0, complete: false };
    expect(flawsOf('reset', { ...reset, instances: [foreign] })).toMatchObject([flaw]);
    expect(flawsOf('reset', { ...reset, instances: [sampleInstance({ namespace: 'other' })] })).toHaveLength(1);
  });

  it('is parsed or refused, whatever its content', () => {
    const mangled = fc.tuple(fc.constantFrom(...frames), fc.string(), fc.json()).map(([frame, key, json]) => {
      const keys = Object.keys(frame.data);
      const data = { ...frame.data, [keys[key.length % keys.length] ?? key]: JSON.parse(json) as unknown };
      return { event: frame.event, json: JSON.stringify(data) };
    });
    fc.assert(
      fc.property(mangled, ({ event, json }) => {
        const read = parseFrame(event, json);
        if (read?.ok === false) expect(read.problem.length).toBeGreaterThan(0);
        else expect(read?.value.event).toBe(event);
      }),
    );
  });
});
