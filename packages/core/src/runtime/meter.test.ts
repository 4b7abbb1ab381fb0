import { describe, expect, it } from 'vitest';
import { noMeter, SECONDS_BUCKETS } from './meter.js';

describe('noMeter', () => {
  it('accepts every measurement and stores none', () => {
    const calls = noMeter.counter('rollcall_calls_total', 'Calls.', ['service']);
    const open = noMeter.gauge('rollcall_connections', 'Open connections.');
    const seconds = noMeter.histogram('rollcall_call_seconds', 'Duration of a call.', ['service']);
    expect(() => {
      calls.add(1, 'orders');
      open.set(1);
      open.add(-1);
      open.forget();
      seconds.record(0.1, 'orders');
    }).not.toThrow();
  });

  it('lets the compiler check label values', () => {
    const calls = noMeter.counter('rollcall_calls_total', 'Calls.', ['service', 'outcome']);
    // @ts-expect-error: one label value is missing
    calls.add(1, 'orders');
    // @ts-expect-error: one label value too many
    calls.add(1, 'orders', 'success', 'more');
    calls.add(1, 'orders', 'success');
    expect(calls).toBe(noMeter.counter('rollcall_other_total', 'Another.'));
  });
});

describe('SECONDS_BUCKETS', () => {
  it('is ascending', () => {
    expect(SECONDS_BUCKETS.toSorted((one, other) => one - other)).toEqual(SECONDS_BUCKETS);
    expect(new Set(SECONDS_BUCKETS).size).toBe(SECONDS_BUCKETS.length);
  });
});
