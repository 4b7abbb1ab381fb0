import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { InFlight } from './in-flight.js';

describe('requests in flight', () => {
  it('are counted from their begin to their end, which may be told twice', () => {
    const inFlight = new InFlight(new ManualTime());
    const [one, other] = [{}, {}];
    inFlight.begin(one);
    inFlight.begin(other);
    inFlight.end(one);
    inFlight.end(one);
    expect([inFlight.count, inFlight.awaited(0)]).toEqual([1, 1]);
  });

  it('are not awaited when they are streams, as they say when they are asked, or older than what is asked for', () => {
    const time = new ManualTime({ nowMs: 1_000 });
    const inFlight = new InFlight(time);
    let isStream = false;
    inFlight.begin({}, () => isStream);
    time.advance(500);
    inFlight.begin({});
    expect([inFlight.awaited(1_000), inFlight.awaited(1_001)]).toEqual([2, 1]);
    isStream = true;
    expect([inFlight.awaited(1_000), inFlight.count]).toEqual([1, 2]);
  });

  it('know when one last began or ended', () => {
    const time = new ManualTime();
    const inFlight = new InFlight(time);
    const request = {};
    time.advance(10);
    inFlight.begin(request);
    expect(inFlight.changedAt).toBe(10);
    time.advance(10);
    inFlight.end(request);
    expect(inFlight.changedAt).toBe(20);
    time.advance(10);
    inFlight.end(request);
    expect(inFlight.changedAt).toBe(20);
  });
});
