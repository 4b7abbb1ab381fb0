import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../transport/scripted.fixture.js';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';
import type { OneCall } from './calls.js';

class World extends CallWorld {
  constructor(setting: Partial<WorldSetting> = {}) {
    const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
    super({ ...parts, time: new ManualTime({ nowMs: 100_000 }), instances: fleet('HEALTHY', 'HEALTHY'), ...setting });
  }

  /** The first attempt gets no answer, the next are answered at once. */
  hangOnce(): this {
    const plans: Plan[] = ['never'];
    this.tcp.script = (id) => plans.pop() ?? { afterMs: 1, values: [id] };
    return this;
  }
}

const IDEMPOTENT: OneCall = { idempotent: true };
const serviceState = (world: CallWorld): unknown => world.calls.explain('orders').protocols[0]?.state;
const busy = (retryAfterMs: number): Plan => ({ afterMs: 1, failure: 'overloaded', retryAfterMs });

describe('an attempt', () => {
  it('times out after 2 s if its method has no statistics', async () => {
    const { value, tookMs } = await new World().hangOnce().ask(IDEMPOTENT);
    expect(value).toBeDefined();
    expect(tookMs).toBeGreaterThanOrEqual(2_001);
    expect(tookMs).toBeLessThanOrEqual(2_011);
  });

  it.each<OneCall>([
    { timeoutMs: NaN },
    { timeoutMs: NaN, deadlineMs: 1_000 },
    { timeoutMs: 0 },
    { timeoutMs: -1 },
    { idleMs: NaN },
    { deadlineMs: NaN },
  ])('is not made with invalid times: %j', async (wishes) => {
    const world = new World().play({ a: 'never', b: 'never' });
    const { error, tookMs } = await world.ask(wishes, 60_000);
    expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('numbers of ms') });
    expect(tookMs).toBe(0);
    expect(world.calls.explain('orders').callsUnderWay).toBe(0);
  });

  it('times out after the time for the state of its instance', async () => {
    const options = { states: { UNHEALTHY: { timeoutMs: 120 }, HEALTHY: { timeoutMs: 700 } } };
    const doubted = new World({ instances: fleet('UNHEALTHY', 'UNHEALTHY'), options });
    expect((await doubted.hangOnce().ask(IDEMPOTENT)).tookMs).toBeLessThanOrEqual(131);
    const fine = new World({ options });
    const { tookMs = 0 } = await fine.hangOnce().ask(IDEMPOTENT);
    expect(tookMs).toBeGreaterThanOrEqual(701);
    expect(tookMs).toBeLessThanOrEqual(711);
  });

  it('is followed by as many attempts as the state of its instance allows', async () => {
    const broken: Plan = { afterMs: 1, failure: 'closed' };
    const attempts = async (state: 'HEALTHY' | 'UNHEALTHY', retries: number): Promise<number | undefined> => {
      const world = new World({ instances: fleet(state, state), options: { states: { [state]: { retries } } } });
      world.tcp.script = () => broken;
      return (await world.ask(IDEMPOTENT)).error?.attempts.length;
    };
    expect([await attempts('HEALTHY', 0), await attempts('HEALTHY', 1), await attempts('UNHEALTHY', 4)]).toEqual([
      1, 2, 5,
    ]);
  });

  it('gets all the remaining time if it is the last one allowed', async () => {
    const world = new World({ options: { attempts: 2, attemptTimeoutMs: 300 } });
    const plans: Plan[] = [{ afterMs: 3_000, values: ['late'] }, 'never'];
    world.tcp.script = () => plans.pop() ?? 'never';
    expect((await world.ask(IDEMPOTENT)).value).toBe('late');
  });

  it('takes no longer than the call allows, even as the last attempt', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    world.tcp.script = () => 'never';
    const { error, tookMs } = await world.ask({ timeoutMs: 200 });
    expect(error?.code).toBe('DEADLINE_EXCEEDED');
    expect(tookMs).toBeLessThanOrEqual(210);
    expect((await new World().hangOnce().ask({ ...IDEMPOTENT, timeoutMs: 200 })).value).toBeDefined();
  });

  it('is retried within the budget if it takes too long', async () => {
    const limit = { initial: 500, min: 500, max: 500 };
    const world = new World({ options: { attemptTimeoutMs: 150, retryRatio: 0.1, retriesPerSecond: 0, limit } });
    world.tcp.script = () => 'never';
    for (let i = 0; i < 100; i += 1) {
      void world.calls.call('orders', 'find', {}, { ...IDEMPOTENT, deadlineMs: 600 }).catch(() => {});
      await world.time.advanceBy(10);
    }
    await world.time.advanceBy(1_000);
    expect(world.calledHosts.length).toBeGreaterThan(100);
    expect(world.calledHosts.length).toBeLessThanOrEqual(110);
  });
});

describe('a timeout', () => {
  it('does not count against an instance that answers other calls meanwhile: the method is slow', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    world.tcp.script = (id, request) => (request?.patternJson === '"slow"' ? 'never' : { afterMs: 60, values: [id] });
    const call = (method: string) => void world.calls.call('orders', method, {}, { deadlineMs: 300 }).catch(() => {});
    for (let i = 0; i < 30; i += 1) {
      call('slow');
      call('quick');
      await world.time.advanceBy(100);
    }
    await world.time.advanceBy(1_000);
    expect(serviceState(world)).toBe('CLOSED');
    expect(world.suspects).toEqual([]);
  });

  it('counts against an instance without answers, even if other instances usually take as long', async () => {
    const world = new World({ options: { balancer: 'round-robin' } });
    world.tcp.script = (id) => (id === 'a' ? 'never' : { afterMs: 100, values: [id] });
    for (let i = 0; i < 40; i += 1) {
      void world.calls.call('orders', 'find', {}, { ...IDEMPOTENT, deadlineMs: 350 }).catch(() => {});
      await world.time.advanceBy(100);
    }
    expect(world.suspects).toContain('a timeout');
    expect(world.calls.isEjected('a')).toBe(true);
    expect(world.calls.isEjected('b')).toBe(false);
  });
});

describe('an instance that sends Retry-After', () => {
  it('gets no call for that time even if it is the only instance', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    const plans: Plan[] = [busy(1_000)];
    world.tcp.script = (id) => plans.pop() ?? { afterMs: 1, values: [id] };
    const { value, tookMs } = await world.ask(IDEMPOTENT);
    expect(value).toBe('a');
    expect(tookMs).toBeGreaterThanOrEqual(1_002);
    expect(tookMs).toBeLessThanOrEqual(1_012);
  });

  it('causes no wait if the time ends after the deadline: the call fails at once', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    world.tcp.script = () => busy(60_000);
    expect(await world.ask(IDEMPOTENT)).toMatchObject({ error: { code: 'TRANSPORT', retryable: true }, tookMs: 1 });
  });

  it('costs no time if the service has another instance', async () => {
    const world = new World();
    const plans: Plan[] = [busy(60_000)];
    world.tcp.script = (id) => plans.pop() ?? { afterMs: 1, values: [id] };
    expect((await world.ask(IDEMPOTENT)).tookMs).toBe(2);
  });
});

describe('the second consecutive failure', () => {
  it('counts twice as much as the first: an instance that fails fast and may not be ejected still gets few calls', async () => {
    const world = new World({
      instances: fleet('HEALTHY', 'HEALTHY', 'HEALTHY', 'HEALTHY'),
      options: { maxEjectedRatio: 0 },
    });
    world.tcp.script = (id) => ({ afterMs: 20, values: [id] });
    await world.warmUp(300);
    const failing: Plan = { afterMs: 1, failure: 'unavailable' };
    // one of the two failing instances may be ejected; the others have 20 calls under way each
    world.tcp.script = (id) => (id < 'c' ? failing : { afterMs: 20, values: [id] });
    for (let i = 0; i < 4_000; i += 1) {
      void world.calls.call('orders', 'find', {}, IDEMPOTENT).catch(() => {});
      await world.time.advanceBy(0.5);
    }
    const late = world.calledHosts.slice(1_300);
    expect(late.filter((id) => id < 'c').length / late.length).toBeLessThan(0.02);
  });
});
