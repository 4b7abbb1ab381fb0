import type { RollcallError, State } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OneCall } from './call.js';
import { CallWorld, fleet } from './call.fixture.js';
import type { WorldSetting } from './call.fixture.js';
import type { Plan } from './transport/scripted.fixture.js';
import type { Failure, FailureKind, Sink } from './transport/transport.js';

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
  it('costs an idempotent call 150 ms or 3 × the p99, not the whole attempt timeout', async () => {
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
    // 60 s: it is hardly asked any more
    expect(world.asked.slice(60).filter((id) => id === 'a').length).toBeLessThan(12);
  });

  it('is waited for by a call that may not be repeated, to its deadline', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    await world.warmUp();
    world.play({ a: { afterMs: 3_000, values: ['late'] } });
    expect(await world.ask()).toMatchObject({ value: 'late', tookMs: 3_000 });
  });

  it('is waited for when there is nobody else, since a retry would help nobody', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    await world.warmUp();
    world.play({ a: { afterMs: 3_000, values: ['late'] } });
    expect(await world.ask(IDEMPOTENT)).toMatchObject({ value: 'late', tookMs: 3_000 });
    expect(world.tcp.cancelled).toBe(0);
  });

  it('is waited for when the budget is empty: a slow service gets no storm', async () => {
    const world = new World({ options: { retryRatio: 0, retriesPerSecond: 0 } });
    await world.warmUp();
    const late: Plan = { afterMs: 1_000, values: ['late'] };
    world.play({ a: late, b: late, c: late });
    expect(await world.ask(IDEMPOTENT)).toMatchObject({ value: 'late', tookMs: 1_000 });
  });
});

describe('a broken connection', () => {
  it('is one failure, however many calls were on it', async () => {
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
  it('that cannot be connected to gets nothing; when all are, calls fail fast and one a second looks again', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: failing('refused') });
    for (let i = 0; i < 3; i += 1) await world.ask(undefined, 300);
    const before = world.asked.length;
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 20; i += 1) codes.push((await world.ask(undefined, 100)).error?.code);
    expect(world.asked.length - before).toBeLessThanOrEqual(3);
    expect(codes.filter((code) => code === 'ALL_EJECTED').length).toBeGreaterThanOrEqual(17);
    expect(world.calls.isEjected('a')).toBe(true);
    expect(world.calls.explain('orders').protocols[0]?.state).toBe('OPEN');

    world.play({});
    await world.time.advanceBy(1_000);
    expect((await world.ask(undefined, 50)).value).toBe('a');
    expect((await world.ask(undefined, 50)).value).toBe('a');
    expect(world.calls.isEjected('a')).toBe(false);
    expect(world.log.texts('warn')).toHaveLength(1);
    expect(world.log.texts('info')).toHaveLength(1);
  });

  it('is pinged before a call that may not be repeated is risked', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY'), options: { balancer: 'round-robin' } });
    world.play({ a: failing('closed') });
    while (!world.calls.isEjected('a')) await world.ask(undefined, 10);
    await world.time.advanceBy(1_300);
    const before = world.asked.length;
    await world.ask(undefined, 10); // pings, in vain: the toy hangs up
    expect(world.tcp.pings).toBe(1);
    expect(world.asked.slice(before)).toEqual(['b']);
    world.play({});
    await world.time.advanceBy(3_000);
    await world.ask(undefined, 10);
    expect(world.tcp.pings).toBe(2);
    expect((await world.ask(undefined, 10)).value).toBe('a');
  });
});

describe('calls, whatever happens', () => {
  const plan = fc.oneof(
    { weight: 4, arbitrary: fc.record({ afterMs: fc.nat(400), values: fc.array(fc.nat(), { maxLength: 3 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        afterMs: fc.nat(400),
        failure: fc.constantFrom<FailureKind>(
          'refused',
          'unreachable',
          'misdirected',
          'unsent',
          'congested',
          'closed',
          'garbled',
          'overloaded',
          'unavailable',
          'remote',
        ),
      }),
    },
    { weight: 1, arbitrary: fc.constant<Plan>('never') },
  );
  const state = fc.constantFrom<State>('HEALTHY', 'HEALTHY', 'REGISTERING', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING');
  const step = fc.oneof(
    fc.record({
      do: fc.constant('call' as const),
      deadlineMs: fc.integer({ min: 1, max: 900 }),
      idempotent: fc.boolean(),
    }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(300) }),
    fc.record({ do: fc.constant('update' as const), states: fc.array(state, { maxLength: 5 }) }),
    fc.record({ do: fc.constant('cancel' as const), index: fc.nat(20) }),
  );

  it('settle once, by their deadline, within the attempts allowed, and leave nothing behind', async () => {
    const story = fc.record({
      plans: fc.array(plan, { minLength: 5, maxLength: 40 }),
      steps: fc.array(step, { maxLength: 40 }),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(story, async ({ plans, steps, seed }) => {
        const time = new ManualTime({ nowMs: 50_000 });
        const world = new World({ time, random: seededRandom(seed) });
        let next = 0;
        world.tcp.script = () => plans[(next += 1) % plans.length] ?? 'never';
        const open: AbortController[] = [];
        const ends: { readonly lateMs: number; readonly attempts: number }[] = [];
        const call = (deadlineMs: number, idempotent: boolean): void => {
          const controller = new AbortController();
          const startedAt = time.now();
          open.push(controller);
          const end = (attempts: number) => ends.push({ lateMs: time.now() - startedAt - deadlineMs, attempts });
          const options = { deadlineMs, idempotent, signal: controller.signal };
          world.calls.call('orders', `m${next % 3}`, {}, options).then(
            () => end(0),
            (error: RollcallError) => end(error.attempts.length),
          );
        };
        let made = 0;
        for (const one of steps) {
          if (one.do === 'call') call(one.deadlineMs, one.idempotent);
          if (one.do === 'call') made += 1;
          if (one.do === 'wait') await time.advanceBy(one.ms);
          if (one.do === 'update') world.view.become(fleet(...one.states));
          if (one.do === 'cancel') open[one.index]?.abort();
        }
        await time.advanceBy(1_000);
        expect(ends).toHaveLength(made);
        for (const { lateMs, attempts } of ends) {
          expect(lateMs).toBeLessThanOrEqual(20);
          expect(attempts).toBeLessThanOrEqual(3);
        }
        const seen = world.calls.explain('orders');
        expect(seen.callsUnderWay).toBe(0);
        for (const { callsUnderWay } of seen.protocols.flatMap((one) => one.instances)) expect(callsUnderWay).toBe(0);
        await time.advanceBy(2_020); // a ping may have been under way
        expect(time.pending()).toEqual({ foreground: 0, background: 0 });
        expect(world.tcp.seen.length).toBeLessThanOrEqual(made * 1.2 + 30);
        await world.calls.close();
      }),
      { numRuns: 150 },
    );
  });
});
