import { instanceMessage, sleep } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, value, World } from '../registry.fixture.js';
import type { ProbeOutcome } from './protocols/caller.js';

describe('the prober', () => {
  it('does not accept an answer from an old address as a proof of the new one', async () => {
    const world = await World.started();
    world.moveIn('orders-1', 3001, false);
    value(await world.register('orders-1', 3001));
    await world.time.advanceBy(10);
    const nonce = world.town.calls.at(-1)?.nonce;
    value(await world.register('orders-1', 3002));
    world.beat('orders-1', nonce);
    expect(world.record('orders-1').state).toBe('REGISTERING');
  });

  it('limits the calls of a reported instance, even if each call is still under way at the next report', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const answerLater = async (nonce: string): Promise<ProbeOutcome> => {
      await sleep(world.time, 4);
      return { kind: 'answered', instance: 'orders-1', nonce, ms: 4 };
    };
    world.town.inhabitants.set(3001, ({ nonce }) => answerLater(nonce));
    await world.time.advanceBy(100);
    const before = world.town.calls.length;
    for (let i = 0; i < 100; i += 1) {
      world.registry.suspect('orders-1', { by: 'gateway', outcome: 'timeout' });
      await world.time.advanceBy(1);
    }
    const calls = world.town.calls.length - before;
    expect(calls).toBeGreaterThanOrEqual(2);
    expect(calls).toBeLessThanOrEqual(3);
    await world.time.advanceBy(SECOND);
    expect(world.town.calls.length - before).toBe(calls);
  });

  it('reports why an instance fails in a valid reason, whatever its answer contained', async () => {
    const world = await World.started();
    const ports = Array.from({ length: 16 }, (_, at) => 3001 + at);
    for (const port of ports) world.moveIn('x'.repeat(128), port, false);
    world.town.inhabitants.set(3001, () => ({ kind: 'failed', text: 'no\r\n\u0000\u2028certificate', ms: 1 }));
    const endpoints = ports.map((port) => ({ protocol: 'tcp' as const, port }));
    value(await world.register('orders-1', 3001, { endpoints }));
    for (let i = 0; i < 7; i += 1) {
      world.beat('orders-1');
      await world.time.advanceBy(5 * SECOND);
    }
    const record = world.record('orders-1');
    expect(record.reason.text).toContain('no????certificate; another process (xxx');
    expect(instanceMessage.parse(record).ok).toBe(true);
  });
});
