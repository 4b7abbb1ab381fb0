import type { Frame, InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { codeOf, refused, SECOND, SECRET, silent, value, World } from '../registry.fixture.js';
import { Bench } from '../store/disk/disk.fixture.js';
import { MemoryStore } from '../store/memory.js';
import type { Store, Write } from '../store/store.js';

const ID = 'orders-1';
const OPERATOR = { operator: true } as const;
const HOUR = 3_600 * SECOND;
const REMOVED_MS = 40 * SECOND;

const tell = (world: World, patch: InstancePatch, id = ID) => world.registry.amend(id, patch, OPERATOR);

async function withOrders(store: Store = new MemoryStore()): Promise<World> {
  const world = await World.started({ store });
  await world.healthy(ID, 3001);
  return world;
}

/** The next registry on what this one left, `downMs` later by the wall clock. */
async function after(store: Store, world: World, downMs = 0): Promise<World> {
  const next = new World({ store });
  next.time.shiftWall(world.time.wall() - next.time.wall() + downMs);
  await next.registry.start();
  next.moveIn(ID, 3001);
  return next;
}

describe("an operator's word", () => {
  it('counts before what the instance says itself, and both can be told apart', async () => {
    const world = await withOrders();
    value(await world.register(ID, 3001, { weight: 50, metadata: { team: 'a', lane: 'blue' } }));
    const answer = value(await tell(world, { weight: 5, metadata: { lane: 'green', extra: '1' }, reason: 'canary' }));
    expect(answer).toMatchObject({
      admin: 'ENABLED',
      weight: 5,
      metadata: { team: 'a', lane: 'green', extra: '1' },
      own: { weight: 50, metadata: { team: 'a', lane: 'blue' } },
      override: { admin: null, weight: 5, metadata: { lane: 'green', extra: '1' }, reason: 'canary', untilMs: null },
    });
    expect(answer.override?.since).toBe(world.time.wall());
    expect(value(world.registry.instance(ID))).toEqual(answer);
  });

  it('is taken back field by field, and key by key', async () => {
    const world = await withOrders();
    value(await world.register(ID, 3001, { weight: 50, metadata: { lane: 'blue' } }));
    value(await tell(world, { admin: 'DRAINING', weight: 5, metadata: { lane: 'green', extra: '1' } }));
    expect(value(await tell(world, { metadata: { lane: null } }))).toMatchObject({
      admin: 'DRAINING',
      weight: 5,
      metadata: { lane: 'blue', extra: '1' },
    });
    expect(value(await tell(world, { weight: null, admin: 'ENABLED' }))).toMatchObject({
      admin: 'ENABLED',
      weight: 50,
      override: { admin: null, weight: null, metadata: { extra: '1' } },
    });
    expect(value(await tell(world, { metadata: null }))).toMatchObject({ metadata: { lane: 'blue' }, override: null });
  });

  it('is pushed as another revision, and never changes the state', async () => {
    const world = await withOrders();
    const { frames } = world.hold(ID);
    await world.time.advanceBy(SECOND);
    const { revision } = world.record(ID);
    value(await tell(world, { admin: 'MAINTENANCE' }));
    await world.time.advanceBy(SECOND);
    const { event, data } = frames.at(-1) as Extract<Frame, { event: 'change' }>;
    expect(event).toBe('change');
    expect(data.upsert).toMatchObject([{ id: ID, state: 'HEALTHY', admin: 'MAINTENANCE', revision: revision + 1 }]);
    expect(data.upsert[0]).not.toHaveProperty('override');
  });

  it('said twice changes nothing the second time', async () => {
    const world = await withOrders();
    const first = value(await tell(world, { admin: 'DRAINING', reason: 'move' }));
    await world.time.advanceBy(SECOND);
    const second = value(await tell(world, { admin: 'DRAINING', reason: 'move' }));
    expect([second.revision, second.override]).toEqual([first.revision, first.override]);
  });

  it('outlives what the instance says, which replaces its own words only', async () => {
    const world = await withOrders();
    value(await tell(world, { admin: 'DRAINING', weight: 5 }));
    value(await world.register(ID, 3001, { weight: 70, version: '2.0.0' }));
    expect(world.record(ID)).toMatchObject({ admin: 'DRAINING', weight: 5, version: '2.0.0', own: { weight: 70 } });
    const { revision } = world.record(ID);
    value(await world.register(ID, 3001, { weight: 70, version: '2.0.0' }));
    expect(world.record(ID).revision).toBe(revision);
    expect(value(await tell(world, { weight: null }))).toMatchObject({ admin: 'DRAINING', weight: 70 });
  });

  it('waits for whom silence removed, and is not there for whoever comes with a new id', async () => {
    const world = await withOrders();
    value(await tell(world, { admin: 'MAINTENANCE', reason: 'cable' }));
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(HOUR / 60 + REMOVED_MS);
    expect(codeOf(world.registry.instance(ID))).toBe('NOT_FOUND');
    await world.healthy('orders-2', 3002);
    await world.healthy(ID, 3001);
    expect(world.record(ID)).toMatchObject({ admin: 'MAINTENANCE', override: { reason: 'cable' } });
    expect(world.record('orders-2')).toMatchObject({ admin: 'ENABLED', override: null });
  });

  it('leaves what the instance says as it is where both are too much together', async () => {
    const world = await withOrders();
    value(await tell(world, { metadata: { lane: 'green' } }));
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`key-${at}`, '']));
    value(await world.register(ID, 3001, { metadata: many }));
    expect(world.record(ID)).toMatchObject({ metadata: many, override: { metadata: { lane: 'green' } } });
    expect(Object.keys(world.record(ID).metadata)).toHaveLength(64);
    expect(await tell(world, { metadata: { other: '' } })).toMatchObject({
      problem: { code: 'INVALID', flaws: [{ path: 'metadata' }] },
    });
    value(await tell(world, { weight: 7 }));
    value(await world.register(ID, 3001, { metadata: {} }));
    expect(world.record(ID)).toMatchObject({ weight: 7, metadata: { lane: 'green' } });
  });
});

describe("an operator's word is refused", () => {
  it('from anybody else, before anything is told', async () => {
    const world = await withOrders();
    expect(codeOf(await world.registry.amend(ID, { weight: 1 }, null))).toBe('FORBIDDEN');
    expect(codeOf(await world.registry.amend('nobody', { weight: 1 }, null))).toBe('FORBIDDEN');
  });

  it('about who is unknown, gone, gone for good or leaving', async () => {
    const world = await withOrders();
    expect(codeOf(await tell(world, { weight: 1 }, 'nobody'))).toBe('NOT_FOUND');
    value(await world.registry.drain(ID, SECRET, {}));
    expect(codeOf(await tell(world, { weight: 1 }))).toBe('LEAVING');
    value(await world.registry.leave(ID, { secret: SECRET }));
    expect(codeOf(await tell(world, { weight: 1 }))).toBe('ENDED');
    expect(codeOf(await new World().registry.amend(ID, { weight: 1 }, OPERATOR))).toBe('NOT_READY');
  });

  it.each<[string, (wall: number) => InstancePatch, string]>([
    ['ends in the past', (wall) => ({ weight: 1, untilMs: wall }), 'untilMs'],
    ['ends after more than 30 days', (wall) => ({ weight: 1, untilMs: wall + 721 * HOUR }), 'untilMs'],
    ['is but a reason for nothing', () => ({ reason: 'because' }), ''],
    ['is but an end of nothing', (wall) => ({ untilMs: wall + HOUR }), ''],
  ])('when it %s', async (_, patchAt, path) => {
    const world = await withOrders();
    const before = world.record(ID);
    expect(await tell(world, patchAt(world.time.wall()))).toMatchObject({
      problem: { code: 'INVALID', flaws: [{ path }] },
    });
    expect(world.record(ID)).toEqual(before);
  });

  it('while the store refuses it: then nothing was said', async () => {
    const bench = new Bench();
    const world = await onDisk(bench);
    await world.healthy(ID, 3001);
    await bench.settle();
    const { revision } = world.record(ID);
    bench.disk.refuse('ENOSPC');
    const said = tell(world, { admin: 'MAINTENANCE' });
    await bench.settle();
    expect(codeOf(await said)).toBe('NOT_READY');
    expect(world.record(ID)).toMatchObject({ admin: 'ENABLED', override: null, revision });
  });
});

describe("an operator's word for a time", () => {
  it('ends by itself, which is another revision', async () => {
    const world = await withOrders();
    const untilMs = world.time.wall() + 10 * SECOND;
    const { revision, override } = value(await tell(world, { admin: 'MAINTENANCE', untilMs }));
    expect(override?.untilMs).toBe(untilMs);
    await world.time.advanceBy(9.9 * SECOND);
    expect(world.record(ID).admin).toBe('MAINTENANCE');
    await world.time.advanceBy(0.2 * SECOND);
    expect(world.record(ID)).toMatchObject({ admin: 'ENABLED', override: null, revision: revision + 1 });
  });

  it.each([-24, 24])('does not care for a wall clock that jumps by %d hours', async (hours) => {
    const world = await withOrders();
    value(await tell(world, { weight: 1, untilMs: world.time.wall() + 10 * SECOND }));
    world.time.shiftWall(hours * HOUR);
    await world.time.advanceBy(9.9 * SECOND);
    expect(world.record(ID).weight).toBe(1);
    await world.time.advanceBy(0.2 * SECOND);
    expect(world.record(ID).weight).toBe(100);
  });

  it('is given another time, or none, by the next one', async () => {
    const world = await withOrders();
    value(await tell(world, { weight: 1, untilMs: world.time.wall() + 10 * SECOND }));
    value(await tell(world, { untilMs: world.time.wall() + 20 * SECOND }));
    await world.time.advanceBy(15 * SECOND);
    expect(world.record(ID).weight).toBe(1);
    value(await tell(world, { untilMs: null }));
    await world.time.advanceBy(15 * SECOND);
    expect(world.record(ID).weight).toBe(1);
  });

  it('is over also for who was removed meanwhile and comes back', async () => {
    const world = await withOrders();
    value(await tell(world, { weight: 1, untilMs: world.time.wall() + HOUR / 30 }));
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(HOUR / 60 + REMOVED_MS);
    expect(codeOf(world.registry.instance(ID))).toBe('NOT_FOUND');
    await world.time.advanceBy(HOUR / 60);
    await world.healthy(ID, 3001);
    expect(world.record(ID)).toMatchObject({ weight: 100, override: null });
  });
});

describe("an operator's word after a restart", () => {
  it('counts as before, and the own words are still the own ones', async () => {
    const store = new MemoryStore();
    const world = await withOrders(store);
    value(await world.register(ID, 3001, { weight: 50, metadata: { team: 'a' } }));
    const before = value(await tell(world, { admin: 'DRAINING', weight: 5, metadata: { team: 'b' }, reason: 'move' }));
    const next = await after(store, world);
    const { own, override, weight, admin, metadata } = before;
    expect(next.record(ID)).toMatchObject({ own, override, weight, admin, metadata });
    value(await next.register(ID, 3001, { weight: 60 }));
    expect(value(await tell(next, { weight: null }))).toMatchObject({ weight: 60, admin: 'DRAINING' });
  });

  it.each([
    ['what is left of its time, where the registry was down for some', 4 * SECOND, 6 * SECOND],
    ['nothing, where its time passed meanwhile', HOUR, 0],
    ['never more than it was told for, whatever the clock says now', -HOUR, 10 * SECOND],
  ])('has %s', async (_, downMs, leftMs) => {
    const store = new MemoryStore();
    const world = await withOrders(store);
    value(await tell(world, { weight: 1, untilMs: world.time.wall() + 10 * SECOND }));
    const next = await after(store, world, downMs);
    await next.time.advanceBy(Math.max(0, leftMs - 200));
    expect(next.record(ID).weight).toBe(leftMs === 0 ? 100 : 1);
    await next.time.advanceBy(400);
    expect(next.record(ID)).toMatchObject({ weight: 100, override: null });
  });

  it('still waits for whom silence had removed before', async () => {
    const store = new MemoryStore();
    const world = await withOrders(store);
    value(await tell(world, { admin: 'MAINTENANCE' }));
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(HOUR / 60 + REMOVED_MS);
    const next = await after(store, world);
    await next.healthy(ID, 3001);
    expect(next.record(ID).admin).toBe('MAINTENANCE');
  });

  it.each(['kill', 'power'] as const)('by %s is there once it was acknowledged', async (end) => {
    const bench = new Bench();
    const world = await onDisk(bench);
    await world.healthy(ID, 3001);
    const said = tell(world, { admin: 'MAINTENANCE', reason: 'disk swap' });
    await bench.settle();
    value(await said);
    bench.disk.end(end);
    const next = await onDisk(bench);
    expect(next.record(ID)).toMatchObject({ admin: 'MAINTENANCE', override: { reason: 'disk swap' } });
  });

  it('is there though the instance fell while it was being stored', async () => {
    const store = new SlowStore();
    const world = await withOrders(store);
    const over = new AbortController();
    store.isSlow = true;
    const said = tell(world, { admin: 'MAINTENANCE' }).finally(() => over.abort());
    world.town.inhabitants.delete(3001);
    value(world.registry.suspect(ID, { by: 'gateway', outcome: 'refused' }));
    await world.time.advanceBy(SECOND);
    expect(world.record(ID)).toMatchObject({ state: 'UNHEALTHY', admin: 'ENABLED' });
    for (let round = 0; round < 10 && !over.signal.aborted; round += 1) {
      store.takeAll();
      await world.time.advanceBy(0);
    }
    value(await said);
    const { instances } = await store.load();
    expect(instances).toMatchObject([{ record: { admin: 'MAINTENANCE' }, override: { admin: 'MAINTENANCE' } }]);
  });
});

describe('what an instance registers again of itself', () => {
  it('is kept though the instance fell while it was being stored', async () => {
    const store = new SlowStore();
    const world = await withOrders(store);
    const over = new AbortController();
    store.isSlow = true;
    const said = world.register(ID, 3001, { version: '2.0.0' }).finally(() => over.abort());
    await world.time.advanceBy(0);
    world.town.inhabitants.delete(3001);
    value(world.registry.suspect(ID, { by: 'gateway', outcome: 'refused' }));
    await world.time.advanceBy(SECOND);
    expect(world.record(ID)).toMatchObject({ state: 'UNHEALTHY', version: '' });
    for (let round = 0; round < 10 && !over.signal.aborted; round += 1) {
      store.takeAll();
      await world.time.advanceBy(0);
    }
    value(await said);
    store.takeAll();
    const { instances } = await store.load();
    expect(instances).toMatchObject([{ record: { version: '2.0.0', state: 'UNHEALTHY' } }]);
  });
});

/** Takes what it is told only when the test says so. */
class SlowStore extends MemoryStore {
  isSlow = false;
  #waiting: (() => void)[] = [];

  override async write(writes: readonly Write[]): Promise<void> {
    if (this.isSlow) await new Promise<void>((taken) => this.#waiting.push(taken));
    await super.write(writes);
  }

  takeAll(): void {
    for (const taken of this.#waiting.splice(0)) taken();
  }
}

/** A registry on a disk that others had before. */
async function onDisk(bench: Bench): Promise<World> {
  const world = new World({ store: bench.store() });
  const starting = world.registry.start();
  while (!world.registry.ready) await bench.time.advanceBy(100);
  await starting;
  return world;
}

describe('an instance that is not ENABLED is not callable', () => {
  it('so another one that is silent one way stays callable, as the last', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    await world.healthy('orders-2', 3002);
    await world.healthy('orders-3', 3003);
    // it beats, but nobody reaches it
    world.town.inhabitants.set(3003, () => refused);
    for (let second = 0; second < 20; second += 1) {
      world.beat('orders-3');
      await world.time.advanceBy(SECOND);
    }
    expect(world.record('orders-3').state).toBe('CRITICAL');
    value(await tell(world, { admin: 'DRAINING' }, 'orders-1'));
    value(await tell(world, { admin: 'MAINTENANCE' }, 'orders-2'));
    world.beat('orders-3');
    await world.time.advanceBy(SECOND);
    expect(world.record('orders-3')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'LAST' } });
    expect(world.record('orders-2').state).toBe('HEALTHY');

    value(await tell(world, { admin: 'ENABLED' }, 'orders-1'));
    for (let second = 0; second < 20; second += 1) {
      world.beat('orders-3');
      await world.time.advanceBy(SECOND);
    }
    expect(world.record('orders-3').state).toBe('UNHEALTHY');
    expect(world.record('orders-3').reason.code).toBe('PRESERVED');
  });
});
