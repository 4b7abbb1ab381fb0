import type { InstancePatch } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, value, RegistryFixture } from '../registry.fixture.js';

const ID = 'orders-1';

async function startWithOrders(): Promise<RegistryFixture> {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy(ID, 3001);
  return fixture;
}

async function amendAndReadEvent(fixture: RegistryFixture, patch: InstancePatch) {
  value(await fixture.registry.amend(ID, patch, { operator: true }));
  const event = value(fixture.registry.timeline(ID)).events.at(-1);
  if (event === undefined) throw new Error('no event');
  return event;
}

describe('the event of a patch', () => {
  it('has the end of the settings that this patch set, and of no others', async () => {
    const fixture = await startWithOrders();
    const untilMs = fixture.time.wall() + 3_600 * SECOND;
    expect(await amendAndReadEvent(fixture, { admin: 'DRAINING', untilMs, reason: 'disk' })).toMatchObject({
      text: 'drained by an operator for 60 min',
      reason: { text: 'disk' },
      untilMs,
    });
    expect(await amendAndReadEvent(fixture, { weight: 10, reason: 'canary' })).not.toHaveProperty('untilMs');
    expect(await amendAndReadEvent(fixture, { admin: 'ENABLED' })).not.toHaveProperty('untilMs');
    const laterMs = untilMs + 60 * SECOND;
    expect(await amendAndReadEvent(fixture, { untilMs: laterMs })).toMatchObject({ untilMs: laterMs });
    await fixture.time.advanceBy(3_700 * SECOND);
    const { events } = value(fixture.registry.timeline(ID));
    expect(events.at(-1)).toMatchObject({ by: 'registry', text: expect.stringContaining('weight 10 ended') });
    expect(events.at(-1)).not.toHaveProperty('untilMs');
  });

  it('names the weight that applies again', async () => {
    const fixture = await startWithOrders();
    await amendAndReadEvent(fixture, { weight: 10, reason: 'canary' });
    const event = await amendAndReadEvent(fixture, { weight: null });
    expect(event).toMatchObject({ text: 'weight back to its own 100 by an operator', reason: null });
  });

  it('names only the changed settings', async () => {
    const fixture = await startWithOrders();
    await amendAndReadEvent(fixture, { weight: 10, metadata: { track: 'canary' } });
    const both = await amendAndReadEvent(fixture, { admin: 'DRAINING', weight: 10, metadata: { track: 'canary' } });
    expect(both.text).toBe('drained by an operator');
    // another reason is an event, too
    expect((await amendAndReadEvent(fixture, { admin: 'DRAINING', reason: 'disk' })).text).toBe(
      'drained by an operator',
    );
  });
});
