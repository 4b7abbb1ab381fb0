import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import type { Balancing } from '../balance/balancers.js';
import { UNKNOWN_LOCALITY } from '../balance/caller-locality.js';
import { InFlight } from '../balance/nodes/loads.js';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { CallWorld, fleet } from './calls.fixture.js';
import type { WorldSetting } from './calls.fixture.js';
import type { OneCall } from './policy/call-options.js';

function createWorld(setting: Partial<WorldSetting> = {}): CallWorld {
  const [meter, log] = [memoryMeter(), recordingLog()];
  return new CallWorld({ time: new ManualTime({ nowMs: 100_000 }), random: seededRandom(11), meter, log, ...setting });
}

async function callOften(world: CallWorld, options?: OneCall, count = 60): Promise<readonly string[]> {
  const before = world.calledHosts.length;
  for (let i = 0; i < count; i += 1) await world.ask(options, 2);
  return [...new Set(world.calledHosts.slice(before))].toSorted();
}

/** Custom balancers with one defect each. */
const throwError = (): never => {
  throw new Error('boom');
};
const load = (parts: object = {}) => ({ cost: () => 0, observe() {}, forget() {}, ...parts });
const picks = (pick: unknown): unknown => ({ picker: () => ({ pick }), load: () => load() });
const first = ({ nodes }: { nodes: readonly unknown[] }): unknown => nodes[0];
const BAD: Readonly<Record<string, unknown>> = {
  'whose picker factory throws': { picker: throwError, load: () => load() },
  'whose picker factory returns nothing': { picker: () => undefined, load: () => load() },
  'whose picker throws': picks(throwError),
  'that picks an unknown node': picks(() => ({ id: 'x' })),
  'that picks nothing': picks(() => undefined),
  'that picks a node that was tried before': picks(first),
  'whose load factory throws': { picker: () => ({ pick: first }), load: throwError },
  'whose load factory returns nothing': { picker: () => ({ pick: first }), load: () => undefined },
  'whose load throws': {
    picker: () => ({ pick: first }),
    load: () => load({ cost: throwError, observe: throwError, forget: throwError }),
  },
};

/** The time of a process that stalls: its clock continues, its timers do not. */
class StallingTime extends ManualTime {
  stoppedMs = 0;

  override now(): number {
    return super.now() + this.stoppedMs;
  }
}

describe('the limit of an instance', () => {
  it('refuses no call of a burst while no instance reports overload', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') });
    const burst = Array.from({ length: 400 }, () => world.calls.call('orders', 'find', {}));
    await world.time.advanceBy(10);
    expect(new Set(await Promise.all(burst))).toEqual(new Set(['a']));
  });

  it('does not shrink for deadlines shorter than the method takes, and refuses no call', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') }).play({ a: 'never' });
    const resultsOf = async (count: number, deadlineMs: number): Promise<ReadonlySet<string>> => {
      const calls = Array.from({ length: count }, () => world.calls.call('orders', 'find', {}, { deadlineMs }));
      const ends = Promise.allSettled(calls);
      await world.time.advanceBy(2 * deadlineMs);
      return new Set((await ends).map((end) => (end.status === 'fulfilled' ? 'success' : end.reason.code)));
    };
    expect(await resultsOf(30, 100)).toEqual(new Set(['DEADLINE_EXCEEDED']));
    world.play({});
    expect(await resultsOf(1_000, 100)).toEqual(new Set(['success']));
  });

  it('makes calls wait in order at an instance that is full', async () => {
    const limit = { initial: 2, min: 2, max: 2 };
    const world = createWorld({ instances: fleet('HEALTHY'), options: { limit } });
    const ended: number[] = [];
    const calls = Array.from({ length: 10 }, async (_, place) => {
      await world.calls.call('orders', 'find', place);
      ended.push(place);
    });
    await world.time.advanceBy(0);
    expect(world.calls.explain('orders').protocols[0]).toMatchObject({ callsPending: 8 });
    await world.time.advanceBy(100);
    await Promise.all(calls);
    expect(ended).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('refuses a call with OVERLOADED at its deadline if it has waited until then', async () => {
    const limit = { initial: 1, min: 1, max: 1 };
    const world = createWorld({ instances: fleet('HEALTHY'), options: { limit } }).play({ a: 'never' });
    const busy = world.calls.call('orders', 'find', {}).catch(() => {});
    const { error, tookMs } = await world.ask({ deadlineMs: 1_000 }, 1_500);
    expect(error).toMatchObject({ code: 'OVERLOADED', retryable: true });
    expect(tookMs).toBeGreaterThanOrEqual(1_000);
    await world.calls.close();
    await busy;
  });

  it('shrinks for an instance that reports overload', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') }).play({ a: { afterMs: 1, failure: 'overloaded' } });
    for (let i = 0; i < 10; i += 1) await world.ask(undefined, 5);
    expect(world.calls.explain('orders').protocols[0]?.instances[0]).toMatchObject({ limit: 2, breaker: 'closed' });
  });

  it('does not shrink for timeouts while this process was stalled', async () => {
    const time = new StallingTime({ nowMs: 100_000 });
    const world = createWorld({ time, instances: fleet('HEALTHY') }).play({ a: 'never' });
    const calls = Array.from({ length: 10 }, () => world.calls.call('orders', 'find', {}, { deadlineMs: 100 }));
    const ends = Promise.allSettled(calls);
    await time.advanceBy(30);
    time.stoppedMs = 80;
    await time.advanceBy(200);
    expect((await ends).map(({ status }) => status)).toEqual(calls.map(() => 'rejected'));
    expect(world.calls.explain('orders').protocols[0]?.instances[0]?.limit).toBe(20);
  });

  it('does not shrink for a caller with a very short deadline', async () => {
    const world = createWorld({ instances: fleet('HEALTHY') });
    world.play({ a: { afterMs: 20, values: ['late'] } });
    for (let i = 0; i < 30; i += 1) await world.ask(undefined, 30);
    for (let i = 0; i < 10; i += 1) await world.ask({ deadlineMs: 10 }, 50);
    expect(world.calls.explain('orders').protocols[0]?.instances[0]?.limit).toBe(20);
  });
});

describe('the early limit', () => {
  it('does not apply to an instance whose answers this process did not read while it was paused', async () => {
    const time = new StallingTime({ nowMs: 100_000 });
    const world = createWorld({ time, instances: fleet('HEALTHY', 'HEALTHY') });
    world.play({ a: { afterMs: 20, values: ['a'] }, b: { afterMs: 40, values: ['b'] } });
    const calls = Array.from({ length: 20 }, () => world.calls.call('orders', 'find', {}));
    await time.advanceBy(15);
    time.stoppedMs = 300;
    await time.advanceBy(10);
    // the first instance has answered, but the answer of the second is not read yet
    const gates = world.calls.explain('orders').protocols[0]?.instances.map(({ gate }) => gate);
    expect(gates).not.toContain('limited to 1');
    await time.advanceBy(100);
    expect(await Promise.all(calls)).toHaveLength(20);
  });
});

describe('the instances of a call', () => {
  const zoned = ['a', 'a', 'a', 'b', 'b'].map((zone, i) => createInstance({ id: `${zone}${i}`, zone }));
  const home = { ...UNKNOWN_LOCALITY, id: 'gateway-1', zone: 'a' };

  it('are in the own zone, if it is set and has enough instances', async () => {
    expect(await callOften(createWorld({ instances: zoned, locality: home }))).toEqual(['a0', 'a1', 'a2']);
    expect(await callOften(createWorld({ instances: zoned }))).toHaveLength(5);
    expect(await callOften(createWorld({ instances: zoned, locality: home, options: { minInZone: 4 } }))).toHaveLength(
      5,
    );
    expect(
      await callOften(createWorld({ instances: zoned, locality: home, options: { zones: 'ignore' } })),
    ).toHaveLength(5);
  });

  it('are shown by explain', async () => {
    const world = createWorld({ instances: zoned, locality: home });
    await world.ask(undefined, 2);
    const instances = world.calls.explain('orders').protocols[0]?.instances;
    const preferred = instances?.filter(({ isPreferred }) => isPreferred);
    expect(preferred?.map(({ id, zone }) => [id, zone])).toEqual([
      ['a0', 'a'],
      ['a1', 'a'],
      ['a2', 'a'],
    ]);
  });

  it('are a subset of a large service, unless all are requested or the balancer needs all', async () => {
    const instances = Array.from({ length: 120 }, (_, i) => createInstance({ id: `i${i}` }));
    expect((await callOften(createWorld({ instances, locality: home }), undefined, 200)).length).toBeLessThanOrEqual(
      20,
    );
    expect(
      (await callOften(createWorld({ instances, locality: home, options: { subsetSize: 0 } }), undefined, 200)).length,
    ).toBeGreaterThan(60);
    const hashed = createWorld({ instances, locality: home, options: { balancer: 'consistent-hash' } });
    expect((await callOften(hashed, undefined, 200)).length).toBeGreaterThan(60);
  });

  it('are those with this metadata', async () => {
    const instances = [...fleet('HEALTHY', 'HEALTHY'), createInstance({ id: 'canary', metadata: { tier: 'canary' } })];
    const world = createWorld({ instances });
    expect(await callOften(world, { metadata: { tier: 'canary' } }, 10)).toEqual(['canary']);
    expect(await world.ask({ metadata: { tier: 'blue' } })).toMatchObject({ error: { code: 'NO_INSTANCE' } });
  });

  it('are the same for the same key, with consistent-hash', async () => {
    const world = createWorld({
      instances: fleet('HEALTHY', 'HEALTHY', 'HEALTHY'),
      options: { balancer: 'consistent-hash' },
    });
    const homes = new Set<string>();
    for (const hashKey of ['x', 'y', 'z', 'u', 'v', 'w']) {
      const hosts = await callOften(world, { hashKey }, 5);
      expect(hosts).toHaveLength(1);
      homes.add(hosts[0] ?? '');
    }
    expect(homes.size).toBeGreaterThan(1);
  });

  it('can be chosen by a custom balancer, which explain names', async () => {
    const last: Balancing = {
      name: 'last',
      picker: () => ({ pick: ({ nodes }) => nodes.at(-1) ?? null }),
      load: () => new InFlight(),
    };
    const world = createWorld({ options: { balancer: last } });
    expect(await callOften(world, undefined, 10)).toEqual(['c']);
    expect(world.calls.explain('orders').protocols[0]?.balancer).toBe('last');
  });

  describe('a call with a custom balancer that misbehaves', () => {
    it.each(Object.keys(BAD))('%s: goes to an available node, and logs the problem once', async (name) => {
      const log = recordingLog();
      const world = createWorld({ log, instances: fleet('HEALTHY', 'HEALTHY'), options: { balancer: BAD[name] } });
      world.play({ a: { afterMs: 1, failure: 'closed' } });
      for (let i = 0; i < 4; i += 1) expect((await world.ask({ idempotent: true })).value).toBe('b');
      expect(world.calls.explain('orders')).toMatchObject({ callsUnderWay: 0, protocols: [{ state: 'CLOSED' }] });
      expect(log.lines.filter(({ text }) => text.includes('The balancer "own"'))).toHaveLength(1);
    });
  });

  it.each(['p2c', 'toString', {}, { picker: 1, load: 2 }, 7, null])('rejects %j as the option balancer', (balancer) => {
    expect(() => createWorld({ options: { balancer } })).toThrow(/Option balancer: received .* "least-loaded"/);
  });
});
