import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { IdleTimer, InFlight } from './in-flight.js';

const SINCE = (since: number) => ({ since, pulledUntil: Infinity });
const BROKER = { nameOf: () => 'redis jobs', isPulled: true };

describe('requests in flight', () => {
  it('are counted from begin to end, which may be reported twice', () => {
    const inFlight = new InFlight(new ManualTime());
    const [one, other] = [{}, {}];
    inFlight.begin(one);
    inFlight.begin(other);
    inFlight.end(one);
    inFlight.end(one);
    expect([inFlight.count, inFlight.awaited(SINCE(0))]).toEqual([1, 1]);
  });

  it('are not awaited if they are streams at the time of the check, or too old', () => {
    const time = new ManualTime({ nowMs: 1_000 });
    const inFlight = new InFlight(time);
    let isStream = false;
    inFlight.begin({}, () => isStream);
    time.advance(500);
    inFlight.begin({});
    expect([inFlight.awaited(SINCE(1_000)), inFlight.awaited(SINCE(1_001))]).toEqual([2, 1]);
    isStream = true;
    expect([inFlight.awaited(SINCE(1_000)), inFlight.count]).toEqual([1, 2]);
  });

  it('are not awaited if a broker delivered them too late, and do not count as callers that move away', () => {
    const time = new ManualTime();
    const inFlight = new InFlight(time);
    inFlight.begin({}, undefined, BROKER);
    time.advance(100);
    const later = {};
    inFlight.begin(later, undefined, BROKER);
    expect([inFlight.awaited({ since: 0, pulledUntil: 50 }), inFlight.awaited({ since: 0, pulledUntil: 100 })]).toEqual(
      [1, 2],
    );
    inFlight.end(later);
    expect(inFlight.changedAt).toBe(0);
  });

  it('are described by name, the first ones, with their age', () => {
    const time = new ManualTime();
    const inFlight = new InFlight(time);
    for (let count = 0; count < 5; count += 1) inFlight.begin({}, undefined, BROKER);
    time.advance(30);
    const one = 'redis jobs (for 30 ms)';
    expect(inFlight.describe()).toBe(`${one}, ${one}, ${one}, 2 more`);
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

describe('IdleTimer', () => {
  it('lasts from the last change on', () => {
    const idleTimer = new IdleTimer(0, 10);
    expect([idleTimer.observe(10, 0), idleTimer.observe(20, 0)]).toEqual([10, 20]);
    expect([idleTimer.observe(30, 25), idleTimer.observe(40, 25)]).toEqual([5, 15]);
  });

  it('grows by at most two steps during a stall, since requests from then are not seen yet', () => {
    const idleTimer = new IdleTimer(0, 10);
    expect([idleTimer.observe(10, 0), idleTimer.observe(1_000, 0), idleTimer.observe(1_010, 0)]).toEqual([10, 30, 40]);
  });
});
