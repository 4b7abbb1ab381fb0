import type { Circuit, Edge } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { SECOND, SECRET, value, RegistryFixture } from '../registry.fixture.js';

const edgeTo = (circuits: Readonly<Record<string, Circuit>>): Edge => ({
  service: 'orders',
  windowMs: 5_000,
  calls: 1,
  failures: 0,
  retries: 0,
  p50Ms: null,
  p99Ms: null,
  inFlight: 0,
  targets: Object.entries(circuits).map(([instance, circuit]) => ({
    instance,
    calls: 1,
    failures: 0,
    p99Ms: null,
    circuit,
  })),
});

/** `web-1` calls `orders-1` and `orders-2`. */
async function startWithCallers() {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy('web-1', 3001);
  await fixture.registerHealthy('orders-1', 3002);
  await fixture.registerHealthy('orders-2', 3003);
  let seq = 1_000;
  const report = (...edges: readonly Edge[]): void => {
    seq += 1;
    value(fixture.registry.beat('web-1', SECRET, { nonce: null, seq, edges: [...edges] }));
  };
  const texts = (): readonly string[] => {
    const query = { after: null, limit: 1_000, namespace: '*', services: [], kinds: ['circuit'] } as const;
    return value(fixture.registry.events(query)).events.map(({ text }) => text);
  };
  return { fixture, report, texts };
}

describe('the circuits of a caller after a time without reports', () => {
  it('are not announced again if they stayed open while the registry could not listen; a new one is', async () => {
    const { fixture, report, texts } = await startWithCallers();
    report(edgeTo({ 'orders-1': 'open', 'orders-2': 'closed' }));
    fixture.stoppedMs += 25 * SECOND;
    report(edgeTo({ 'orders-1': 'open', 'orders-2': 'closed' }));
    await fixture.time.advanceBy(6 * SECOND);
    report(edgeTo({ 'orders-1': 'half-open', 'orders-2': 'open' }));
    expect(texts()).toEqual(['opened its circuit to orders…rs-1', 'opened its circuit to orders…rs-2']);
    fixture.stoppedMs += 25 * SECOND;
    report(edgeTo({ 'orders-1': 'closed' }));
    expect(texts().at(-1)).toBe('closed its circuit to orders…rs-1');
    expect(texts()).toHaveLength(3);
  });

  it('are unchanged after any time in which the registry could not listen', async () => {
    const { fixture, report, texts } = await startWithCallers();
    report(edgeTo({ 'orders-1': 'open' }));
    fixture.stoppedMs += 3_600 * SECOND;
    await fixture.time.advanceBy(6 * SECOND);
    report(edgeTo({ 'orders-1': 'open' }));
    expect(texts()).toHaveLength(1);
  });

  it('are unchanged after minutes without calls, and announced again after ten minutes without a report', async () => {
    const { fixture, report, texts } = await startWithCallers();
    report(edgeTo({ 'orders-1': 'open' }));
    await fixture.time.advanceBy(300 * SECOND);
    report();
    await fixture.time.advanceBy(590 * SECOND);
    report(edgeTo({ 'orders-1': 'open' }));
    expect(texts()).toHaveLength(1);
    await fixture.time.advanceBy(601 * SECOND);
    report(edgeTo({ 'orders-1': 'open' }));
    expect(texts()).toHaveLength(2);
  });
});
