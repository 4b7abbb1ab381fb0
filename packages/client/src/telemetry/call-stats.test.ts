import { beatMessage } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { EDGE_WINDOW_MS } from '../balance/nodes/window-counts.js';
import { CallWorld, fleet } from '../call/calls.fixture.js';
import type { WorldSetting } from '../call/calls.fixture.js';
import type { Plan } from '../transport/scripted.fixture.js';
import { CallCounter } from './call-stats.js';

function createWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
  return new CallWorld({ ...parts, time: new ManualTime({ nowMs: 100_000 }), ...setting });
}

describe('edges', () => {
  it('report the last complete window: calls, failures and retries of each service', async () => {
    const world = createWorld({ instances: fleet('HEALTHY', 'HEALTHY') });
    let n = 0;
    world.tcp.script = (id) => ((n += 1) === 3 ? { afterMs: 1, failure: 'closed' } : { afterMs: 1, values: [id] });
    for (let i = 0; i < 10; i += 1) await world.ask({ idempotent: true }, 100);
    expect(world.calls.edges()).toEqual([]);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toEqual([
      {
        service: 'orders',
        window: 21,
        windowMs: 5_000,
        calls: 10,
        failures: 0,
        retries: 1,
        p50Ms: null,
        p99Ms: null,
        inFlight: 0,
        targets: [
          { instance: expect.any(String), calls: expect.any(Number), failures: 1, p99Ms: null, circuit: 'closed' },
          { instance: expect.any(String), calls: expect.any(Number), failures: 0, p99Ms: null, circuit: 'closed' },
        ],
      },
    ]);
    const targets = world.calls.edges()[0]?.targets ?? [];
    // the attempts: the retry adds one
    expect(targets.reduce((sum, { calls }) => sum + calls, 0)).toBe(11);
    expect(new Set(targets.map(({ instance }) => instance))).toEqual(new Set(['a', 'b']));
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toEqual([]);
  });

  it('do not count a hedge as a retry: it means one slow answer, not a failure', async () => {
    const world = createWorld({ instances: fleet('HEALTHY', 'HEALTHY'), options: { hedgeRatio: 1 } });
    await world.warmUp();
    await world.time.advanceBy(2 * EDGE_WINDOW_MS);
    const plans: Plan[] = ['never', { afterMs: 1, values: ['second'] }];
    world.tcp.script = () => plans.shift() ?? 'never';
    expect(await world.ask({ idempotent: true, hedge: { afterMs: 20 } }, 100)).toMatchObject({ value: 'second' });
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toMatchObject([{ calls: 1, failures: 0, retries: 0 }]);
  });

  it('count neither errors of the handler nor cancelled calls as failures', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') });
    world.play({ a: { afterMs: 1, failure: 'remote' } });
    await world.ask(undefined, 5);
    await world.ask({ signal: AbortSignal.abort() }, 5);
    world.play({ a: { afterMs: 1, failure: 'closed' } });
    await world.ask(undefined, 5);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toMatchObject([{ calls: 3, failures: 1 }]);
  });

  it('report the duration of calls, and the calls under way even if none has ended', async () => {
    const world = createWorld();
    await world.warmUp(100);
    world.play({ a: 'never', b: 'never', c: 'never' });
    world.calls.call('orders', 'find', 1, { deadlineMs: 60_000 }).catch(() => {});
    await world.time.advanceBy(EDGE_WINDOW_MS);
    const [edge] = world.calls.edges();
    expect(edge).toMatchObject({ calls: 100, inFlight: 1 });
    expect(edge?.p50Ms).toBeGreaterThanOrEqual(1);
    expect(edge?.p99Ms).toBeLessThan(1.2);
    await world.time.advanceBy(2 * EDGE_WINDOW_MS);
    expect(world.calls.edges()).toMatchObject([{ calls: 0, inFlight: 1 }]);
    await world.calls.close();
  });
});

describe('the targets of an edge', () => {
  it('report a circuit that opens, the worst first, before any window has ended and after all calls', async () => {
    // as in a process that has just started
    const time = new ManualTime();
    const two = createWorld({ time, instances: fleet('HEALTHY', 'HEALTHY'), options: { balancer: 'round-robin' } });
    const world = two.play({ a: { afterMs: 1, failure: 'refused' } });
    await world.time.advanceBy(EDGE_WINDOW_MS - 1_000);
    while (!world.calls.isEjected('a')) await world.ask({ idempotent: true }, 10);
    const [edge] = world.calls.edges();
    expect(edge?.targets).toEqual([{ instance: 'a', calls: 0, failures: 0, p99Ms: null, circuit: 'open' }]);
    expect(beatMessage.parse({ seq: 1, edges: [edge] })).toMatchObject({ ok: true, value: { edges: [edge] } });
    await world.time.advanceBy(EDGE_WINDOW_MS);
    const [whole] = world.calls.edges();
    expect(whole?.targets.map(({ instance }) => instance)).toEqual(['a', 'b']);
    expect(whole?.targets[0]).toMatchObject({ circuit: 'half-open' });
    expect(whole?.targets[0]?.failures).toBe(whole?.targets[0]?.calls);
    expect(whole?.targets[1]).toMatchObject({ circuit: 'closed', failures: 0 });
    await world.time.advanceBy(3 * EDGE_WINDOW_MS);
    expect(world.calls.edges()).toMatchObject([{ calls: 0, targets: [{ instance: 'a', circuit: 'half-open' }] }]);
    world.view.become(fleet('HEALTHY', 'HEALTHY').slice(1));
    expect(world.calls.edges()).toEqual([]);
  });

  it('report the latency of each instance', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') });
    await world.warmUp(30);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    const [edge] = world.calls.edges();
    expect(edge?.targets).toEqual([{ instance: 'a', calls: 30, failures: 0, p99Ms: edge?.p99Ms, circuit: 'closed' }]);
    expect(edge?.p99Ms).toBeGreaterThanOrEqual(1);
  });
});

it('a window ends where the next begins, and an unread window is not added to another', () => {
  const counter = new CallCounter('orders');
  counter.ended(1, false, 4_999);
  counter.ended(1, true, 5_000);
  expect(counter.stats(0, 5_000)).toMatchObject({ window: 1, calls: 1, failures: 0 });
  expect(counter.stats(0, 10_000)).toMatchObject({ window: 2, calls: 1, failures: 1 });
  counter.ended(1, false, 10_001);
  expect(counter.stats(0, 30_000)).toBeNull();
});
