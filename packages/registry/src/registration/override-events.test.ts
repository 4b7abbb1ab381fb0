import type { InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, value, World } from '../registry.fixture.js';

const ID = 'orders-1';

async function withOrders(): Promise<World> {
  const world = await World.started();
  await world.healthy(ID, 3001);
  return world;
}

async function eventOf(world: World, patch: InstancePatch) {
  value(await world.registry.amend(ID, patch, { operator: true }));
  const event = value(world.registry.timeline(ID)).events.at(-1);
  if (event === undefined) throw new Error('There is one.');
  return event;
}

describe('the event of what an operator did', () => {
  it('has the moment at which it ends by itself, of what this deed set alone', async () => {
    const world = await withOrders();
    const untilMs = world.time.wall() + 3_600 * SECOND;
    expect(await eventOf(world, { admin: 'DRAINING', untilMs, reason: 'disk' })).toMatchObject({
      text: 'drained by an operator for 60 min',
      reason: { text: 'disk' },
      untilMs,
    });
    expect(await eventOf(world, { weight: 10, reason: 'canary' })).not.toHaveProperty('untilMs');
    expect(await eventOf(world, { admin: 'ENABLED' })).not.toHaveProperty('untilMs');
    const laterMs = untilMs + 60 * SECOND;
    expect(await eventOf(world, { untilMs: laterMs })).toMatchObject({ untilMs: laterMs });
    await world.time.advanceBy(3_700 * SECOND);
    const { events } = value(world.registry.timeline(ID));
    expect(events.at(-1)).toMatchObject({ by: 'registry', text: expect.stringContaining('weight 10 ended') });
    expect(events.at(-1)).not.toHaveProperty('untilMs');
  });

  it('names the weight that counts again', async () => {
    const world = await withOrders();
    await eventOf(world, { weight: 10, reason: 'canary' });
    const event = await eventOf(world, { weight: null });
    expect(event).toMatchObject({ text: 'weight back to its own 100 by an operator', reason: null });
  });

  it('names only what changed', async () => {
    const world = await withOrders();
    await eventOf(world, { weight: 10, metadata: { track: 'canary' } });
    const both = await eventOf(world, { admin: 'DRAINING', weight: 10, metadata: { track: 'canary' } });
    expect(both.text).toBe('drained by an operator');
    // with another reason it is a deed, too
    expect((await eventOf(world, { admin: 'DRAINING', reason: 'disk' })).text).toBe('drained by an operator');
  });
});
