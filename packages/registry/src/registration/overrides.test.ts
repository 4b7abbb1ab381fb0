import type { Frame, InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { codeOf, refused, SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';
import { Bench } from '../store/disk/disk.fixture.js';
import { MemoryStore } from '../store/memory.js';
import type { Store, Write } from '../store/store.js';

const ID = 'orders-1';
const OPERATOR = { operator: true } as const;
const HOUR = 3_600 * SECOND;
const REMOVED_MS = 40 * SECOND;

const amend = (fixture: RegistryFixture, patch: InstancePatch, id = ID) => fixture.registry.amend(id, patch, OPERATOR);

async function startWithOrders(store: Store = new MemoryStore()): Promise<RegistryFixture> {
  const fixture = await RegistryFixture.start({ store });
  await fixture.registerHealthy(ID, 3001);
  return fixture;
}

/** Starts the next registry on the store of this one, `downMs` later by the wall clock. */
async function startAfter(store: Store, fixture: RegistryFixture, downMs = 0): Promise<RegistryFixture> {
  const next = new RegistryFixture({ store });
  next.time.shiftWall(fixture.time.wall() - next.time.wall() + downMs);
  await next.registry.start();
  next.addService(ID, 3001);
  return next;
}

describe('an override', () => {
  it('takes precedence over the own settings of the instance, and both are shown separately', async () => {
    const fixture = await startWithOrders();
    value(await fixture.register(ID, 3001, { weight: 50, metadata: { team: 'a', lane: 'blue' } }));
    const answer = value(
      await amend(fixture, { weight: 5, metadata: { lane: 'green', extra: '1' }, reason: 'canary' }),
    );
    expect(answer).toMatchObject({
      admin: 'ENABLED',
      weight: 5,
      metadata: { team: 'a', lane: 'green', extra: '1' },
      own: { weight: 50, metadata: { team: 'a', lane: 'blue' } },
      override: { admin: null, weight: 5, metadata: { lane: 'green', extra: '1' }, reason: 'canary', untilMs: null },
    });
    expect(answer.override?.since).toBe(fixture.time.wall());
    expect(value(fixture.registry.instance(ID))).toEqual(answer);
  });

  it('is removed field by field, and key by key', async () => {
    const fixture = await startWithOrders();
    value(await fixture.register(ID, 3001, { weight: 50, metadata: { lane: 'blue' } }));
    value(await amend(fixture, { admin: 'DRAINING', weight: 5, metadata: { lane: 'green', extra: '1' } }));
    expect(value(await amend(fixture, { metadata: { lane: null } }))).toMatchObject({
      admin: 'DRAINING',
      weight: 5,
      metadata: { lane: 'blue', extra: '1' },
    });
    expect(value(await amend(fixture, { weight: null, admin: 'ENABLED' }))).toMatchObject({
      admin: 'ENABLED',
      weight: 50,
      override: { admin: null, weight: null, metadata: { extra: '1' } },
    });
    expect(value(await amend(fixture, { metadata: null }))).toMatchObject({
      metadata: { lane: 'blue' },
      override: null,
    });
  });

  it('is pushed as another revision, and never changes the state', async () => {
    const fixture = await startWithOrders();
    const { frames } = fixture.openLine(ID);
    await fixture.time.advanceBy(SECOND);
    const { revision } = fixture.record(ID);
    value(await amend(fixture, { admin: 'MAINTENANCE' }));
    await fixture.time.advanceBy(SECOND);
    const { event, data } = frames.at(-1) as Extract<Frame, { event: 'change' }>;
    expect(event).toBe('change');
    expect(data.upsert).toMatchObject([{ id: ID, state: 'HEALTHY', admin: 'MAINTENANCE', revision: revision + 1 }]);
    expect(data.upsert[0]).not.toHaveProperty('override');
  });

  it('changes nothing if it is repeated', async () => {
    const fixture = await startWithOrders();
    const first = value(await amend(fixture, { admin: 'DRAINING', reason: 'move' }));
    await fixture.time.advanceBy(SECOND);
    const second = value(await amend(fixture, { admin: 'DRAINING', reason: 'move' }));
    expect([second.revision, second.override]).toEqual([first.revision, first.override]);
  });

  it('outlives a registration, which replaces only the own settings of the instance', async () => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { admin: 'DRAINING', weight: 5 }));
    value(await fixture.register(ID, 3001, { weight: 70, version: '2.0.0' }));
    expect(fixture.record(ID)).toMatchObject({ admin: 'DRAINING', weight: 5, version: '2.0.0', own: { weight: 70 } });
    const { revision } = fixture.record(ID);
    value(await fixture.register(ID, 3001, { weight: 70, version: '2.0.0' }));
    expect(fixture.record(ID).revision).toBe(revision);
    expect(value(await amend(fixture, { weight: null }))).toMatchObject({ admin: 'DRAINING', weight: 70 });
  });

  it('applies again to an instance that silence removed, and not to one with a new id', async () => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { admin: 'MAINTENANCE', reason: 'cable' }));
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(HOUR / 60 + REMOVED_MS);
    expect(codeOf(fixture.registry.instance(ID))).toBe('NOT_FOUND');
    await fixture.registerHealthy('orders-2', 3002);
    await fixture.registerHealthy(ID, 3001);
    expect(fixture.record(ID)).toMatchObject({ admin: 'MAINTENANCE', override: { reason: 'cable' } });
    expect(fixture.record('orders-2')).toMatchObject({ admin: 'ENABLED', override: null });
  });

  it('does not change the own metadata if both are too much together', async () => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { metadata: { lane: 'green' } }));
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`key-${at}`, '']));
    value(await fixture.register(ID, 3001, { metadata: many }));
    expect(fixture.record(ID)).toMatchObject({ metadata: many, override: { metadata: { lane: 'green' } } });
    expect(Object.keys(fixture.record(ID).metadata)).toHaveLength(64);
    expect(await amend(fixture, { metadata: { other: '' } })).toMatchObject({
      problem: { code: 'INVALID', flaws: [{ path: 'metadata' }] },
    });
    value(await amend(fixture, { weight: 7 }));
    value(await fixture.register(ID, 3001, { metadata: {} }));
    expect(fixture.record(ID)).toMatchObject({ weight: 7, metadata: { lane: 'green' } });
  });
});

describe('an override that is refused', () => {
  it('is refused without an operator, before anything is revealed', async () => {
    const fixture = await startWithOrders();
    expect(codeOf(await fixture.registry.amend(ID, { weight: 1 }, null))).toBe('FORBIDDEN');
    expect(codeOf(await fixture.registry.amend('nobody', { weight: 1 }, null))).toBe('FORBIDDEN');
  });

  it('is refused for an instance that is unknown, removed, ended or leaving', async () => {
    const fixture = await startWithOrders();
    expect(codeOf(await amend(fixture, { weight: 1 }, 'nobody'))).toBe('NOT_FOUND');
    value(await fixture.registry.drain(ID, SECRET, {}));
    expect(codeOf(await amend(fixture, { weight: 1 }))).toBe('LEAVING');
    value(await fixture.registry.leave(ID, { secret: SECRET }));
    expect(codeOf(await amend(fixture, { weight: 1 }))).toBe('ENDED');
    expect(codeOf(await new RegistryFixture().registry.amend(ID, { weight: 1 }, OPERATOR))).toBe('NOT_READY');
  });

  it.each<[string, (wall: number) => InstancePatch, string]>([
    ['ends in the past', (wall) => ({ weight: 1, untilMs: wall }), 'untilMs'],
    ['ends after more than 30 days', (wall) => ({ weight: 1, untilMs: wall + 721 * HOUR }), 'untilMs'],
    ['has only a reason', () => ({ reason: 'because' }), ''],
    ['has only an end', (wall) => ({ untilMs: wall + HOUR }), ''],
  ])('is refused if it %s', async (_, patchAt, path) => {
    const fixture = await startWithOrders();
    const before = fixture.record(ID);
    expect(await amend(fixture, patchAt(fixture.time.wall()))).toMatchObject({
      problem: { code: 'INVALID', flaws: [{ path }] },
    });
    expect(fixture.record(ID)).toEqual(before);
  });

  it('is refused and changes nothing while the store refuses it', async () => {
    const bench = new Bench();
    const fixture = await startOnDisk(bench);
    await fixture.registerHealthy(ID, 3001);
    await bench.settle();
    const { revision } = fixture.record(ID);
    bench.disk.refuse('ENOSPC');
    const result = amend(fixture, { admin: 'MAINTENANCE' });
    await bench.settle();
    expect(codeOf(await result)).toBe('NOT_READY');
    expect(fixture.record(ID)).toMatchObject({ admin: 'ENABLED', override: null, revision });
  });
});

describe('an override with an end', () => {
  it('ends by itself, with another revision', async () => {
    const fixture = await startWithOrders();
    const untilMs = fixture.time.wall() + 10 * SECOND;
    const { revision, override } = value(await amend(fixture, { admin: 'MAINTENANCE', untilMs }));
    expect(override?.untilMs).toBe(untilMs);
    await fixture.time.advanceBy(9.9 * SECOND);
    expect(fixture.record(ID).admin).toBe('MAINTENANCE');
    await fixture.time.advanceBy(0.2 * SECOND);
    expect(fixture.record(ID)).toMatchObject({ admin: 'ENABLED', override: null, revision: revision + 1 });
  });

  it.each([-24, 24])('does not depend on a wall clock that jumps by %d hours', async (hours) => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { weight: 1, untilMs: fixture.time.wall() + 10 * SECOND }));
    fixture.time.shiftWall(hours * HOUR);
    await fixture.time.advanceBy(9.9 * SECOND);
    expect(fixture.record(ID).weight).toBe(1);
    await fixture.time.advanceBy(0.2 * SECOND);
    expect(fixture.record(ID).weight).toBe(100);
  });

  it('gets another end, or none, from the next patch', async () => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { weight: 1, untilMs: fixture.time.wall() + 10 * SECOND }));
    value(await amend(fixture, { untilMs: fixture.time.wall() + 20 * SECOND }));
    await fixture.time.advanceBy(15 * SECOND);
    expect(fixture.record(ID).weight).toBe(1);
    value(await amend(fixture, { untilMs: null }));
    await fixture.time.advanceBy(15 * SECOND);
    expect(fixture.record(ID).weight).toBe(1);
  });

  it('also ends for an instance that is removed before the end and comes back', async () => {
    const fixture = await startWithOrders();
    value(await amend(fixture, { weight: 1, untilMs: fixture.time.wall() + HOUR / 30 }));
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(HOUR / 60 + REMOVED_MS);
    expect(codeOf(fixture.registry.instance(ID))).toBe('NOT_FOUND');
    await fixture.time.advanceBy(HOUR / 60);
    await fixture.registerHealthy(ID, 3001);
    expect(fixture.record(ID)).toMatchObject({ weight: 100, override: null });
  });
});

describe('an override after a restart', () => {
  it('applies as before, and the own settings are still separate', async () => {
    const store = new MemoryStore();
    const fixture = await startWithOrders(store);
    value(await fixture.register(ID, 3001, { weight: 50, metadata: { team: 'a' } }));
    const before = value(
      await amend(fixture, { admin: 'DRAINING', weight: 5, metadata: { team: 'b' }, reason: 'move' }),
    );
    const next = await startAfter(store, fixture);
    const { own, override, weight, admin, metadata } = before;
    expect(next.record(ID)).toMatchObject({ own, override, weight, admin, metadata });
    value(await next.register(ID, 3001, { weight: 60 }));
    expect(value(await amend(next, { weight: null }))).toMatchObject({ weight: 60, admin: 'DRAINING' });
  });

  it.each([
    ['applies for its remaining time', 4 * SECOND, 6 * SECOND],
    ['does not apply if its end passed while the registry was down', HOUR, 0],
    ['applies no longer than its duration if the clock was set back', -HOUR, 10 * SECOND],
  ])('%s', async (_, downMs, leftMs) => {
    const store = new MemoryStore();
    const fixture = await startWithOrders(store);
    value(await amend(fixture, { weight: 1, untilMs: fixture.time.wall() + 10 * SECOND }));
    const next = await startAfter(store, fixture, downMs);
    await next.time.advanceBy(Math.max(0, leftMs - 200));
    expect(next.record(ID).weight).toBe(leftMs === 0 ? 100 : 1);
    await next.time.advanceBy(400);
    expect(next.record(ID)).toMatchObject({ weight: 100, override: null });
  });

  it('still applies to an instance that silence removed before', async () => {
    const store = new MemoryStore();
    const fixture = await startWithOrders(store);
    value(await amend(fixture, { admin: 'MAINTENANCE' }));
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(HOUR / 60 + REMOVED_MS);
    const next = await startAfter(store, fixture);
    await next.registerHealthy(ID, 3001);
    expect(next.record(ID).admin).toBe('MAINTENANCE');
  });

  it.each(['kill', 'power'] as const)('by %s applies once it was acknowledged', async (end) => {
    const bench = new Bench();
    const fixture = await startOnDisk(bench);
    await fixture.registerHealthy(ID, 3001);
    const result = amend(fixture, { admin: 'MAINTENANCE', reason: 'disk swap' });
    await bench.settle();
    value(await result);
    bench.disk.end(end);
    const next = await startOnDisk(bench);
    expect(next.record(ID)).toMatchObject({ admin: 'MAINTENANCE', override: { reason: 'disk swap' } });
  });

  it('applies even if the instance failed during the write', async () => {
    const store = new SlowStore();
    const fixture = await startWithOrders(store);
    const over = new AbortController();
    store.isSlow = true;
    const result = amend(fixture, { admin: 'MAINTENANCE' }).finally(() => over.abort());
    fixture.network.responders.delete(3001);
    value(fixture.registry.suspect(ID, { by: 'gateway', outcome: 'refused' }));
    await fixture.time.advanceBy(SECOND);
    expect(fixture.record(ID)).toMatchObject({ state: 'UNHEALTHY', admin: 'ENABLED' });
    for (let round = 0; round < 10 && !over.signal.aborted; round += 1) {
      store.takeAll();
      await fixture.time.advanceBy(0);
    }
    value(await result);
    const { instances } = await store.load();
    expect(instances).toMatchObject([{ record: { admin: 'MAINTENANCE' }, override: { admin: 'MAINTENANCE' } }]);
  });
});

describe('a repeated registration', () => {
  it('is kept even if the instance failed during the write', async () => {
    const store = new SlowStore();
    const fixture = await startWithOrders(store);
    const over = new AbortController();
    store.isSlow = true;
    const result = fixture.register(ID, 3001, { version: '2.0.0' }).finally(() => over.abort());
    await fixture.time.advanceBy(0);
    fixture.network.responders.delete(3001);
    value(fixture.registry.suspect(ID, { by: 'gateway', outcome: 'refused' }));
    await fixture.time.advanceBy(SECOND);
    expect(fixture.record(ID)).toMatchObject({ state: 'UNHEALTHY', version: '' });
    for (let round = 0; round < 10 && !over.signal.aborted; round += 1) {
      store.takeAll();
      await fixture.time.advanceBy(0);
    }
    value(await result);
    store.takeAll();
    const { instances } = await store.load();
    expect(instances).toMatchObject([{ record: { version: '2.0.0', state: 'UNHEALTHY' } }]);
  });
});

/** A store whose writes complete only when the test releases them. */
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

/** Starts a registry on the disk of an earlier one. */
async function startOnDisk(bench: Bench): Promise<RegistryFixture> {
  const fixture = new RegistryFixture({ store: bench.store() });
  const starting = fixture.registry.start();
  while (!fixture.registry.ready) await bench.time.advanceBy(100);
  await starting;
  return fixture;
}

describe('an instance that is not ENABLED is not callable', () => {
  it('keeps another instance that is silent one way callable, as the last', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.registerHealthy('orders-2', 3002);
    await fixture.registerHealthy('orders-3', 3003);
    // it beats, but is unreachable
    fixture.network.responders.set(3003, () => refused);
    for (let second = 0; second < 20; second += 1) {
      fixture.beat('orders-3');
      await fixture.time.advanceBy(SECOND);
    }
    expect(fixture.record('orders-3').state).toBe('CRITICAL');
    value(await amend(fixture, { admin: 'DRAINING' }, 'orders-1'));
    value(await amend(fixture, { admin: 'MAINTENANCE' }, 'orders-2'));
    fixture.beat('orders-3');
    await fixture.time.advanceBy(SECOND);
    expect(fixture.record('orders-3')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'LAST' } });
    expect(fixture.record('orders-2').state).toBe('HEALTHY');

    value(await amend(fixture, { admin: 'ENABLED' }, 'orders-1'));
    for (let second = 0; second < 20; second += 1) {
      fixture.beat('orders-3');
      await fixture.time.advanceBy(SECOND);
    }
    expect(fixture.record('orders-3').state).toBe('UNHEALTHY');
    expect(fixture.record('orders-3').reason.code).toBe('PRESERVED');
  });
});
