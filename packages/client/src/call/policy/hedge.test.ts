import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { LatencyProfile } from '../../balance/nodes/latency.js';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import type { Plan } from '../../transport/scripted.fixture.js';
import { CallWorld, fleet } from '../calls.fixture.js';
import type { WorldSetting } from '../calls.fixture.js';
import type { OneCall } from '../calls.js';
import { hedgeAfter, hedgeDelayMs, isHedgeOption } from './hedge.js';

class World extends CallWorld {
  readonly meter;

  constructor(setting: Partial<WorldSetting> = {}) {
    const meter = memoryMeter();
    super({
      time: new ManualTime({ nowMs: 100_000 }),
      random: seededRandom(7),
      meter,
      log: recordingLog(),
      instances: fleet('HEALTHY', 'HEALTHY'),
      options: { hedgeRatio: 1 },
      ...setting,
    });
    this.meter = meter;
  }

  /** The reactions to the next attempts, on any instance; later attempts are answered at once. */
  next(...plans: Plan[]): this {
    this.tcp.script = () => plans.shift() ?? { afterMs: 1, values: ['later'] };
    return this;
  }
}

const HEDGED: OneCall = { idempotent: true, hedge: true };
const AFTER_20: OneCall = { idempotent: true, hedge: { afterMs: 20 } };
const answers = (afterMs: number, value: string): Plan => ({ afterMs, values: [value] });
const fails = (afterMs: number): Plan => ({ afterMs, failure: 'closed' });

describe('a hedged call', () => {
  it('is also sent to another instance when it takes longer than 95 % of the calls of its method', async () => {
    const world = new World();
    await world.warmUp(200);
    world.next('never', answers(1, 'second'));
    const { value, tookMs = Infinity } = await world.ask(HEDGED);
    expect(value).toBe('second');
    // round trips of 1 ms fall into the bucket up to 1.2 ms
    expect(tookMs).toBeLessThanOrEqual(5);
    const [first, second] = world.calledHosts.slice(-2);
    expect(first).not.toBe(second);
    expect(world.tcp.cancelled).toBe(1);
    expect(world.meter.count('rollcall_call_hedges_total')).toBe(1);
    expect(world.meter.count('rollcall_call_retries_total')).toBe(0);
  });

  it('ends with the first good answer of either attempt', async () => {
    const world = new World();
    await world.warmUp();
    world.next(answers(50, 'first'), answers(200, 'second'));
    expect(await world.ask(AFTER_20)).toEqual({ value: 'first', tookMs: 50 });
    expect(world.tcp.cancelled).toBe(1);
    expect(world.tcp.seen.at(-1)?.terms).toMatchObject({ attempt: 2 });
  });

  it('makes a single attempt if that is answered in time', async () => {
    const world = new World();
    await world.warmUp();
    const before = world.calledHosts.length;
    world.next(answers(19, 'first'));
    expect(await world.ask(AFTER_20)).toEqual({ value: 'first', tookMs: 19 });
    expect(world.calledHosts.length).toBe(before + 1);
  });

  it('may be an HTTP request with an idempotent verb', async () => {
    const endpoints = [{ protocol: 'http', host: '10.0.0.5', port: 3_000, tls: false }] as const;
    const world = new World({ instances: ['a', 'b'].map((id) => createInstance({ id, endpoints })) });
    const plans: Plan[] = ['never', { afterMs: 1, values: [new Response('second')] }];
    world.http.script = () => plans.shift() ?? 'never';
    const got = world.calls.fetch('orders', '/orders', {}, { hedge: { afterMs: 20 } });
    await world.time.advanceBy(30);
    expect(await (await got).text()).toBe('second');
    const posted = world.calls.fetch('orders', '/orders', { method: 'POST' }, { hedge: { afterMs: 20 } }).catch(String);
    await world.time.advanceBy(6_000);
    expect(await posted).toContain('in 1 attempt.');
  });

  it('leaves no timer behind when it is answered in time', async () => {
    const world = new World();
    expect((await world.ask({ idempotent: true, hedge: { afterMs: 800 } }, 30)).value).toBeDefined();
    expect(world.time.nextAt()).toBeNull();
  });

  it('is hedged only if it is idempotent, is no retry and sets the option', async () => {
    const world = new World();
    await world.warmUp();
    const before = world.calledHosts.length;
    const late = answers(100, 'late');
    world.next(late, late, late, late);
    for (const options of [undefined, { idempotent: true }, { hedge: true }, { ...HEDGED, isRetry: true }]) {
      expect((await world.ask(options)).value).toBe('late');
    }
    expect(world.calledHosts.length).toBe(before + 4);
  });

  it('is not hedged until the latency of its method is known, unless it sets a delay', async () => {
    const world = new World();
    world.next(answers(100, 'late'));
    expect(await world.ask(HEDGED)).toEqual({ value: 'late', tookMs: 100 });
    world.next('never', answers(1, 'second'));
    expect((await world.ask(AFTER_20)).value).toBe('second');
  });

  it('is not hedged if the service has only one instance', async () => {
    const world = new World({ instances: fleet('HEALTHY') });
    await world.warmUp();
    const before = world.calledHosts.length;
    world.next(answers(100, 'only'));
    expect(await world.ask(AFTER_20)).toEqual({ value: 'only', tookMs: 100 });
    expect(world.calledHosts.length).toBe(before + 1);
  });

  it('continues with one attempt when the other one fails', async () => {
    const world = new World();
    await world.warmUp();
    world.next(answers(60, 'first'), fails(5));
    expect(await world.ask(AFTER_20)).toEqual({ value: 'first', tookMs: 60 });
    world.next(fails(30), answers(40, 'second'));
    expect(await world.ask(AFTER_20)).toEqual({ value: 'second', tookMs: 60 });
    expect(world.meter.count('rollcall_call_retries_total')).toBe(0);
  });

  it('reports every attempt if both fail', async () => {
    const world = new World({ options: { attempts: 2, hedgeRatio: 1 } });
    await world.warmUp();
    world.next(fails(60), fails(5));
    const { error } = await world.ask(AFTER_20);
    expect(error).toMatchObject({ code: 'TRANSPORT', retryable: true });
    expect(error?.attempts.map(({ ms, outcome, isHedge }) => [ms, outcome, isHedge])).toEqual([
      [5, 'closed', true],
      [60, 'closed', undefined],
    ]);
  });

  it('accepts the error of a handler as an answer', async () => {
    const world = new World();
    await world.warmUp();
    world.next('never', { afterMs: 5, failure: 'remote' });
    const { error, tookMs } = await world.ask(AFTER_20);
    expect(error?.code).toBe('REMOTE');
    expect(tookMs).toBe(25);
    expect(world.tcp.cancelled).toBe(1);
  });

  it('ends both attempts at its deadline, and when it is cancelled', async () => {
    const world = new World();
    await world.warmUp();
    const hang: Plan[] = ['never', 'never', 'never'];
    world.next(...hang);
    const late = await world.ask({ ...AFTER_20, deadlineMs: 100 });
    expect(late.error).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      attempts: [{ outcome: 'timeout' }, { outcome: 'timeout', isHedge: true }],
    });
    expect(world.tcp.cancelled).toBe(2);

    world.next(...hang);
    const controller = new AbortController();
    const ended = world.ask({ ...AFTER_20, signal: controller.signal }, 60);
    world.time.setTimer(40, () => controller.abort());
    expect((await ended).error).toMatchObject({
      code: 'CANCELLED',
      attempts: [{ outcome: 'cancelled' }, { outcome: 'cancelled' }],
    });
    expect(world.tcp.cancelled).toBe(4);
    for (const { callsUnderWay } of world.calls.explain('orders').protocols[0]?.instances ?? []) {
      expect(callsUnderWay).toBe(0);
    }
    await world.time.advanceBy(20);
    expect(world.time.nextAt()).toBeNull();
  });
});

describe('the cost of hedging', () => {
  it('is at most 5 % of the calls of the method, and is taken from the retries', async () => {
    const world = new World({ options: {} });
    world.tcp.script = (id) => answers(50, id);
    for (let i = 0; i < 200; i += 1) await world.ask(AFTER_20, 60);
    const hedges = world.calledHosts.length - 200;
    // after 12 s, the counts from 10 s ago are available again
    expect(hedges).toBeGreaterThanOrEqual(8);
    expect(hedges).toBeLessThanOrEqual(10 + 2);
    expect(world.meter.count('rollcall_call_hedges_total')).toBe(hedges);
    expect(world.calls.explain('orders').retriesLeft).toBeLessThan(0.2 * 170 + 30);
  });

  it('is zero when no retries are left', async () => {
    const world = new World({ options: { hedgeRatio: 1, retryRatio: 0, retriesPerSecond: 0 } });
    world.tcp.script = (id) => answers(50, id);
    for (let i = 0; i < 50; i += 1) await world.ask(AFTER_20, 60);
    expect(world.calledHosts.length).toBe(50);
  });

  it('does not make a slow instance look fast: the cancelled attempt counts with four times its age', async () => {
    const world = new World();
    await world.warmUp();
    world.next('never', answers(100, 'second'));
    await world.ask(AFTER_20, 150);
    const loser = world.calledHosts.at(-2);
    const seen = world.calls.explain('orders').protocols[0]?.instances.find(({ id }) => id === loser);
    expect(seen?.load).toBeGreaterThan(400);
  });

  it('does not lower the p95, which would cause more and more hedges', async () => {
    const world = new World({ options: { hedgeRatio: 1, retryRatio: 1 } });
    const random = seededRandom(1);
    world.tcp.script = (id) => answers(1 - 10 * Math.log(1 - random.unit()), id);
    for (let i = 0; i < 2_000; i += 1) await world.ask(HEDGED, 100);
    const hedges = world.meter.count('rollcall_call_hedges_total');
    expect(hedges).toBeLessThan(105);
    expect(hedges).toBeGreaterThan(20);
  });
});

describe('hedgeAfter', () => {
  it('resolves to never, the p95 or a time in ms', () => {
    expect([false, true, {}, { afterMs: 7 }].map(hedgeAfter)).toEqual(['never', 'p95', 'p95', 7]);
    expect([true, false, {}, { afterMs: 1 }].every(isHedgeOption)).toBe(true);
    expect(['yes', 1, null, { afterMs: 0 }, { afterMs: '7' }, { after: 7 }].some(isHedgeOption)).toBe(false);
  });

  it('waits at least 1 ms if the p95 is shorter', () => {
    const latency = new LatencyProfile();
    expect(hedgeDelayMs('p95', latency, 0)).toBe(Infinity);
    for (let i = 0; i < 30; i += 1) latency.record(0, 0);
    expect(hedgeDelayMs('p95', latency, 1_000)).toBe(1);
    expect(hedgeDelayMs(33, latency, 1_000)).toBe(33);
    expect(hedgeDelayMs('never', latency, 1_000)).toBe(Infinity);
  });
});
