import { instanceMessage, sleep } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, value, RegistryFixture } from '../registry.fixture.js';
import type { ProbeOutcome } from './protocols/caller.js';

describe('the prober', () => {
  it('does not accept an answer from an old address as a proof of the new one', async () => {
    const fixture = await RegistryFixture.start();
    fixture.addService('orders-1', 3001, false);
    value(await fixture.register('orders-1', 3001));
    await fixture.time.advanceBy(10);
    const nonce = fixture.network.calls.at(-1)?.nonce;
    value(await fixture.register('orders-1', 3002));
    fixture.beat('orders-1', nonce);
    expect(fixture.record('orders-1').state).toBe('REGISTERING');
  });

  it('limits the calls of a reported instance, even if each call is still under way at the next report', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const answerLater = async (nonce: string): Promise<ProbeOutcome> => {
      await sleep(fixture.time, 4);
      return { kind: 'answered', instance: 'orders-1', nonce, ms: 4 };
    };
    fixture.network.responders.set(3001, ({ nonce }) => answerLater(nonce));
    await fixture.time.advanceBy(100);
    const before = fixture.network.calls.length;
    for (let i = 0; i < 100; i += 1) {
      fixture.registry.suspect('orders-1', { by: 'gateway', outcome: 'timeout' });
      await fixture.time.advanceBy(1);
    }
    const calls = fixture.network.calls.length - before;
    expect(calls).toBeGreaterThanOrEqual(2);
    expect(calls).toBeLessThanOrEqual(3);
    await fixture.time.advanceBy(SECOND);
    expect(fixture.network.calls.length - before).toBe(calls);
  });

  it('reports a failure of an instance as a valid reason for any content of its answer', async () => {
    const fixture = await RegistryFixture.start();
    const ports = Array.from({ length: 16 }, (_, at) => 3001 + at);
    for (const port of ports) fixture.addService('x'.repeat(128), port, false);
    fixture.network.responders.set(3001, () => ({ kind: 'failed', text: 'no\r\n\u0000\u2028certificate', ms: 1 }));
    const endpoints = ports.map((port) => ({ protocol: 'tcp' as const, port }));
    value(await fixture.register('orders-1', 3001, { endpoints }));
    for (let i = 0; i < 7; i += 1) {
      fixture.beat('orders-1');
      await fixture.time.advanceBy(5 * SECOND);
    }
    const record = fixture.record('orders-1');
    expect(record.reason.text).toContain('no????certificate; another process (xxx');
    expect(instanceMessage.parse(record).ok).toBe(true);
  });
});
