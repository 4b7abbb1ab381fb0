import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { CallWorld, fleet } from './call.fixture.js';
import type { WorldSetting } from './call.fixture.js';
import { EDGE_WINDOW_MS, EdgeCounter } from './edges.js';

function aWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const parts = { random: seededRandom(3), meter: memoryMeter(), log: recordingLog() };
  return new CallWorld({ ...parts, time: new ManualTime({ nowMs: 100_000 }), ...setting });
}

describe('edges', () => {
  it('tell of the last whole window: calls, failures and retries of each service', async () => {
    const world = aWorld({ instances: fleet('HEALTHY', 'HEALTHY') });
    let n = 0;
    world.tcp.script = (id) => ((n += 1) === 3 ? { afterMs: 1, failure: 'closed' } : { afterMs: 1, values: [id] });
    for (let i = 0; i < 10; i += 1) await world.ask({ idempotent: true }, 100);
    expect(world.calls.edges()).toEqual([]);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toEqual([
      {
        service: 'orders',
        window: 20,
        windowMs: 5_000,
        calls: 10,
        failures: 0,
        retries: 1,
        p50Ms: null,
        p99Ms: null,
        inFlight: 0,
      },
    ]);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toEqual([]);
  });

  it('do not count the handler’s own word or the caller’s wish as failures', async () => {
    const world = aWorld({ instances: fleet('HEALTHY') });
    world.play({ a: { afterMs: 1, failure: 'remote' } });
    await world.ask(undefined, 5);
    await world.ask({ signal: AbortSignal.abort() }, 5);
    world.play({ a: { afterMs: 1, failure: 'closed' } });
    await world.ask(undefined, 5);
    await world.time.advanceBy(EDGE_WINDOW_MS);
    expect(world.calls.edges()).toMatchObject([{ calls: 3, failures: 1 }]);
  });

  it('tell how long calls take, and how many are under way, though none has ended', async () => {
    const world = aWorld();
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

it('a window ends where the next begins, and one that nobody looked at is no other’s', () => {
  const counter = new EdgeCounter('orders');
  counter.ended(1, false, 4_999);
  counter.ended(1, true, 5_000);
  expect(counter.stats(0, 5_000)).toMatchObject({ window: 0, calls: 1, failures: 0 });
  expect(counter.stats(0, 10_000)).toMatchObject({ window: 1, calls: 1, failures: 1 });
  counter.ended(1, false, 10_001);
  expect(counter.stats(0, 30_000)).toBeNull();
});
