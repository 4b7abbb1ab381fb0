import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../transport/scripted.fixture.js';
import type { Failure, Sink } from '../transport/transport.js';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';
import type { OneCall } from './calls.js';

class World extends CallWorld {
  readonly meter;
  readonly log;

  constructor(setting: Partial<WorldSetting> = {}) {
    const [meter, log] = [memoryMeter(), recordingLog()];
    super({ time: new ManualTime({ nowMs: 100_000 }), random: seededRandom(11), meter, log, ...setting });
    this.meter = meter;
    this.log = log;
  }
}

const IDEMPOTENT: OneCall = { idempotent: true };
const failing = (failure: 'refused' | 'closed' | 'unsent' | 'misdirected' | 'remote', afterMs = 1): Plan => ({
  afterMs,
  failure,
});

describe('a frozen instance', () => {
  it('costs an idempotent call at most 150 ms or 3 × the p99, not the whole attempt timeout', async () => {
    const world = new World();
    await world.warmUp();
    world.play({ a: 'never' });
    let slowest = 0;
    for (let i = 0; i < 300; i += 1) {
      const { error, tookMs = Infinity } = await world.ask(IDEMPOTENT, 200);
      expect(error).toBeUndefined();
      slowest = Math.max(slowest, tookMs);
    }
    expect(slowest).toBeLessThan(200);
    expect(world.suspects).toContain('a timeout');
    // over 60 s it gets very few calls
    expect(world.calledHosts.slice(60).filter((id) => id === 'a').length).toBeLessThan(12);
  });

  it('keeps a call that may not be repeated waiting until its deadline', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    await world.warmUp();
    world.play({ a: { afterMs: 3_000, values: ['late'] } });
    expect(await world.ask()).toMatchObject({ value: 'late', tookMs: 3_000 });
  });

  it('keeps a call waiting if there is no other instance, since a retry would not help', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    await world.warmUp();
    world.play({ a: { afterMs: 3_000, values: ['late'] } });
    expect(await world.ask(IDEMPOTENT)).toMatchObject({ value: 'late', tookMs: 3_000 });
    expect(world.tcp.cancelled).toBe(0);
  });

  it('keeps calls waiting when the budget is empty, so that a slow service gets no retry storm', async () => {
    const world = new World({ options: { retryRatio: 0, retriesPerSecond: 0 } });
    await world.warmUp();
    const late: Plan = { afterMs: 1_000, values: ['late'] };
    world.play({ a: late, b: late, c: late });
    expect(await world.ask(IDEMPOTENT)).toMatchObject({ value: 'late', tookMs: 1_000 });
  });
});

describe('a broken connection', () => {
  it('counts as one failure, however many calls it carried', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') });
    const waiting: Sink[] = [];
    world.tcp.channel = () => ({
      send: (_request, _terms, sink) => {
        waiting.push(sink);
        return { openedAt: null, cancel() {} };
      },
      ping: () => ({ openedAt: null, cancel() {} }),
      retire() {},
    });
    for (let i = 0; i < 20; i += 1) world.calls.call('orders', 'find', i).catch(() => {});
    const broken: Failure = { kind: 'closed', cause: new Error('reset') };
    for (const sink of waiting) sink.fail(broken);
    await world.time.advanceBy(10);
    expect(waiting).toHaveLength(20);
    expect(world.calls.explain('orders').protocols[0]?.state).toBe('CLOSED');
  });
});

describe('an ejected instance', () => {
  it('gets no calls if it cannot be connected to; if all are ejected, calls wait, and one a second is a probe', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: failing('refused') });
    while (!world.calls.isEjected('a')) await world.ask({ deadlineMs: 300 }, 400);
    const before = world.calledHosts.length;
    const ends = Array.from({ length: 20 }, () => world.calls.call('orders', 'find', {}));
    await world.time.advanceBy(2_500);
    expect(world.calledHosts.length - before).toBeLessThanOrEqual(4);
    expect(world.calls.explain('orders').protocols[0]).toMatchObject({ state: 'OPEN', callsPending: 20 });

    world.play({});
    await world.time.advanceBy(1_100);
    expect(await Promise.all(ends)).toEqual(Array.from({ length: 20 }, () => 'a'));
    expect(world.calls.isEjected('a')).toBe(false);
    expect(world.log.texts('warn')).toHaveLength(1);
    expect(world.log.texts('info')).toHaveLength(1);
  });

  it('is pinged before a call that may not be repeated is sent to it', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY'), options: { balancer: 'round-robin' } });
    world.play({ a: failing('closed') });
    while (!world.calls.isEjected('a')) await world.ask(undefined, 10);
    await world.time.advanceBy(1_300);
    const before = world.calledHosts.length;
    await world.ask(undefined, 10); // the simulated instance closes connections, so no ping succeeds
    expect(world.tcp.pings).toBe(1);
    expect(world.calledHosts.slice(before)).toEqual(['b']);
    world.play({});
    await world.time.advanceBy(3_000);
    await world.ask(undefined, 10);
    expect(world.tcp.pings).toBe(2);
    expect((await world.ask(undefined, 10)).value).toBe('a');
  });
});
