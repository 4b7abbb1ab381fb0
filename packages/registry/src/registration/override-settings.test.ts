import type { InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, silent, value, World } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const ID = 'orders-1';
const REMOVED_MS = 40 * SECOND;

const tell = async (world: World, patch: InstancePatch, who?: string) =>
  value(await world.registry.amend(ID, patch, { operator: true, ...(who === undefined ? {} : { who }) }));

async function withOrders(store = new MemoryStore()): Promise<World> {
  const world = await World.started({ store });
  await world.healthy(ID, 3001);
  return world;
}

describe('an end', () => {
  it('belongs to the word that it was given for: a weight set during maintenance outlives it', async () => {
    const world = await withOrders();
    const untilMs = world.time.wall() + 10 * SECOND;
    await tell(world, { admin: 'MAINTENANCE', untilMs, reason: 'cable' });
    const { override } = await tell(world, { weight: 5 });
    expect(override).toMatchObject({
      untilMs,
      settings: { admin: { untilMs, reason: 'cable' }, weight: { untilMs: null, reason: '' } },
    });
    await world.time.advanceBy(10.1 * SECOND);
    const after = world.record(ID);
    expect(after).toMatchObject({ admin: 'ENABLED', weight: 5, override: { admin: null, weight: 5, untilMs: null } });
    expect(after.override?.settings).not.toHaveProperty('admin');
    const { events } = value(world.registry.timeline(ID));
    expect(events.at(-1)).toMatchObject({
      by: 'registry',
      text: expect.stringContaining('still set by an operator: weight 5'),
    });
    await world.time.advanceBy(3_600 * SECOND);
    expect(world.record(ID).weight).toBe(5);
  });

  it('is not inherited by another word in its place: a drain after maintenance stays', async () => {
    const world = await withOrders();
    await tell(world, { admin: 'MAINTENANCE', untilMs: world.time.wall() + 10 * SECOND });
    expect((await tell(world, { admin: 'DRAINING' })).override?.untilMs).toBeNull();
    await world.time.advanceBy(60 * SECOND);
    expect(world.record(ID).admin).toBe('DRAINING');
  });

  it('is reported with the time that other settings still have, not with all of it', async () => {
    const world = await withOrders();
    await tell(world, { weight: 5, untilMs: world.time.wall() + 70 * SECOND });
    await tell(world, { admin: 'DRAINING', untilMs: world.time.wall() + 60 * SECOND });
    await world.time.advanceBy(60.1 * SECOND);
    const { text = '' } = value(world.registry.timeline(ID)).events.at(-1) ?? {};
    expect(Number(/still set by an operator: weight 5 for (\d+) s/.exec(text)?.[1])).toBeLessThanOrEqual(10);
  });

  it('is not reported again for an instance that comes back if it was reported for its tombstone', async () => {
    const world = await withOrders();
    await tell(world, { weight: 5 });
    await tell(world, { admin: 'DRAINING', untilMs: world.time.wall() + 2 * REMOVED_MS });
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(2.5 * REMOVED_MS);
    await world.healthy(ID, 3001);
    const { revision } = world.record(ID);
    await world.time.advanceBy(60 * SECOND);
    expect(world.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 5, revision });
    const { events } = value(world.registry.timeline(ID));
    expect(events.filter(({ text }) => text.includes('the time set for it is over'))).toEqual([]);
  });

  it('applies to all settings if its patch names none', async () => {
    const world = await withOrders();
    await tell(world, { admin: 'MAINTENANCE' });
    await tell(world, { weight: 5 });
    await tell(world, { untilMs: world.time.wall() + 10 * SECOND });
    await world.time.advanceBy(10.1 * SECOND);
    expect(world.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 100, override: null });
  });

  it('comes for each setting after a restart, too, and for an instance that was removed meanwhile', async () => {
    const store = new MemoryStore();
    const world = await withOrders(store);
    await tell(world, { admin: 'MAINTENANCE', untilMs: world.time.wall() + 120 * SECOND });
    await tell(world, { weight: 5, untilMs: world.time.wall() + 3_600 * SECOND });
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(60 * SECOND + REMOVED_MS);
    const next = new World({ store });
    next.time.shiftWall(world.time.wall() - next.time.wall());
    await next.registry.start();
    await next.time.advanceBy(60 * SECOND);
    await next.healthy(ID, 3001);
    expect(next.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 5 });
  });
});

describe('what is known of a word', () => {
  it('is who said it, why, and since when it says so, whatever is said besides', async () => {
    const world = await withOrders();
    const since = world.time.wall();
    await tell(world, { admin: 'DRAINING', reason: 'new disk' }, 'token 3f2a from 10.0.0.7');
    await world.time.advanceBy(60 * SECOND);
    await tell(world, { weight: 5, reason: 'slow' }, 'token 99ab from 10.0.0.8');
    const { override } = await tell(world, { admin: 'DRAINING', reason: 'new disks' }, 'token 99ab from 10.0.0.8');
    expect(override?.settings?.admin).toEqual({
      reason: 'new disks',
      since,
      untilMs: null,
      by: 'token 3f2a from 10.0.0.7',
    });
    expect(override?.settings?.weight).toMatchObject({ reason: 'slow', by: 'token 99ab from 10.0.0.8' });
  });
});

describe('a reason', () => {
  it('goes with the word that it was given for', async () => {
    const world = await withOrders();
    await tell(world, { admin: 'DRAINING', reason: 'kernel update' });
    await tell(world, { weight: 50 });
    expect((await tell(world, { admin: 'ENABLED' })).override?.reason).toBe('');
  });
});
