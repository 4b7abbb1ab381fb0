import type { InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, silent, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const ID = 'orders-1';
const REMOVED_MS = 40 * SECOND;

const amend = async (fixture: RegistryFixture, patch: InstancePatch, who?: string) =>
  value(await fixture.registry.amend(ID, patch, { operator: true, ...(who === undefined ? {} : { who }) }));

async function startWithOrders(store = new MemoryStore()): Promise<RegistryFixture> {
  const fixture = await RegistryFixture.start({ store });
  await fixture.registerHealthy(ID, 3001);
  return fixture;
}

describe('the end of a setting', () => {
  it('applies only to its setting: a weight set during maintenance outlives it', async () => {
    const fixture = await startWithOrders();
    const untilMs = fixture.time.wall() + 10 * SECOND;
    await amend(fixture, { admin: 'MAINTENANCE', untilMs, reason: 'cable' });
    const { override } = await amend(fixture, { weight: 5 });
    expect(override).toMatchObject({
      untilMs,
      settings: { admin: { untilMs, reason: 'cable' }, weight: { untilMs: null, reason: '' } },
    });
    await fixture.time.advanceBy(10.1 * SECOND);
    const after = fixture.record(ID);
    expect(after).toMatchObject({ admin: 'ENABLED', weight: 5, override: { admin: null, weight: 5, untilMs: null } });
    expect(after.override?.settings).not.toHaveProperty('admin');
    const { events } = value(fixture.registry.timeline(ID));
    expect(events.at(-1)).toMatchObject({
      by: 'registry',
      text: expect.stringContaining('still set by an operator: weight 5'),
    });
    await fixture.time.advanceBy(3_600 * SECOND);
    expect(fixture.record(ID).weight).toBe(5);
  });

  it('is not inherited by the next value: a drain after maintenance stays', async () => {
    const fixture = await startWithOrders();
    await amend(fixture, { admin: 'MAINTENANCE', untilMs: fixture.time.wall() + 10 * SECOND });
    expect((await amend(fixture, { admin: 'DRAINING' })).override?.untilMs).toBeNull();
    await fixture.time.advanceBy(60 * SECOND);
    expect(fixture.record(ID).admin).toBe('DRAINING');
  });

  it('is reported with the remaining time of other settings, not with their whole duration', async () => {
    const fixture = await startWithOrders();
    await amend(fixture, { weight: 5, untilMs: fixture.time.wall() + 70 * SECOND });
    await amend(fixture, { admin: 'DRAINING', untilMs: fixture.time.wall() + 60 * SECOND });
    await fixture.time.advanceBy(60.1 * SECOND);
    const { text = '' } = value(fixture.registry.timeline(ID)).events.at(-1) ?? {};
    expect(Number(/still set by an operator: weight 5 for (\d+) s/.exec(text)?.[1])).toBeLessThanOrEqual(10);
  });

  it('is not reported again for an instance that comes back if it was reported for its tombstone', async () => {
    const fixture = await startWithOrders();
    await amend(fixture, { weight: 5 });
    await amend(fixture, { admin: 'DRAINING', untilMs: fixture.time.wall() + 2 * REMOVED_MS });
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(2.5 * REMOVED_MS);
    await fixture.registerHealthy(ID, 3001);
    const { revision } = fixture.record(ID);
    await fixture.time.advanceBy(60 * SECOND);
    expect(fixture.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 5, revision });
    const { events } = value(fixture.registry.timeline(ID));
    expect(events.filter(({ text }) => text.includes('the time set for it is over'))).toEqual([]);
  });

  it('applies to all settings if its patch names none', async () => {
    const fixture = await startWithOrders();
    await amend(fixture, { admin: 'MAINTENANCE' });
    await amend(fixture, { weight: 5 });
    await amend(fixture, { untilMs: fixture.time.wall() + 10 * SECOND });
    await fixture.time.advanceBy(10.1 * SECOND);
    expect(fixture.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 100, override: null });
  });

  it('takes effect for each setting after a restart, too, and for an instance that was removed before', async () => {
    const store = new MemoryStore();
    const fixture = await startWithOrders(store);
    await amend(fixture, { admin: 'MAINTENANCE', untilMs: fixture.time.wall() + 120 * SECOND });
    await amend(fixture, { weight: 5, untilMs: fixture.time.wall() + 3_600 * SECOND });
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(60 * SECOND + REMOVED_MS);
    const next = new RegistryFixture({ store });
    next.time.shiftWall(fixture.time.wall() - next.time.wall());
    await next.registry.start();
    await next.time.advanceBy(60 * SECOND);
    await next.registerHealthy(ID, 3001);
    expect(next.record(ID)).toMatchObject({ admin: 'ENABLED', weight: 5 });
  });
});

describe('the terms of a setting', () => {
  it('are its author, reason and start, regardless of later patches of other settings', async () => {
    const fixture = await startWithOrders();
    const since = fixture.time.wall();
    await amend(fixture, { admin: 'DRAINING', reason: 'new disk' }, 'token 3f2a from 10.0.0.7');
    await fixture.time.advanceBy(60 * SECOND);
    await amend(fixture, { weight: 5, reason: 'slow' }, 'token 99ab from 10.0.0.8');
    const { override } = await amend(fixture, { admin: 'DRAINING', reason: 'new disks' }, 'token 99ab from 10.0.0.8');
    expect(override?.settings?.admin).toEqual({
      reason: 'new disks',
      since,
      untilMs: null,
      by: 'token 3f2a from 10.0.0.7',
    });
    expect(override?.settings?.weight).toMatchObject({ reason: 'slow', by: 'token 99ab from 10.0.0.8' });
  });
});

describe('the reason of a setting', () => {
  it('is removed together with its setting', async () => {
    const fixture = await startWithOrders();
    await amend(fixture, { admin: 'DRAINING', reason: 'kernel update' });
    await amend(fixture, { weight: 50 });
    expect((await amend(fixture, { admin: 'ENABLED' })).override?.reason).toBe('');
  });
});
