import { sleep } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, value, RegistryFixture } from '../registry.fixture.js';
import { BatchSize } from './batch-size.js';
import type { ProbeOutcome } from './protocols/caller.js';

const p99LateMs = (fixture: RegistryFixture): number => value(fixture.registry.describe()).calls.p99LateMs;

/** HEALTHY instances `orders-0` …, their calls spread over the interval. */
async function startFleet(size: number): Promise<RegistryFixture> {
  const fixture = await RegistryFixture.start();
  for (let index = 0; index < size; index += 1) {
    fixture.addService(`orders-${index}`, 3_001 + index);
    value(await fixture.register(`orders-${index}`, 3_001 + index));
    if (index % 100 === 99) await fixture.time.advanceBy(200);
  }
  await fixture.time.advanceBy(10 * SECOND);
  return fixture;
}

function stopService(fixture: RegistryFixture, port: number): void {
  fixture.network.responders.delete(port);
}

describe('the batch size of a turn of the event loop', () => {
  const intervalMs = 5_000;

  it('is the maximum while calls are on time, else one and a half times the calls that became due since the last turn', () => {
    const batch = new BatchSize(intervalMs, 0);
    const max = batch.turn(3);
    expect(max({ size: 10_000, behindMs: 100, areUnverified: false })).toBe(32);
    expect(max({ size: 6_000, behindMs: 101, areUnverified: false })).toBe(6);
    expect(batch.turn(7)({ size: 6_000, behindMs: 101, areUnverified: false })).toBe(8);
  });

  it('is the minimum for few late calls, and for unverified instances', () => {
    const batch = new BatchSize(intervalMs, 0);
    expect(batch.turn(1)({ size: 1, behindMs: 900, areUnverified: false })).toBe(4);
    expect(batch.turn(9)({ size: 10_000, behindMs: 0, areUnverified: true })).toBe(4);
  });

  it('is limited for late calls after a long turn, as long turns would grow longer', () => {
    const max = new BatchSize(intervalMs, 0).turn(9_000);
    expect(max({ size: 10_000, behindMs: 900, areUnverified: false })).toBe(8);
  });
});

describe('a registry whose turns are long', () => {
  it('catches up after one pause, and then removes an instance that died in it', async () => {
    const fixture = await startFleet(1_000);
    fixture.lateMs = 30;
    await fixture.time.advanceBy(6 * SECOND);
    fixture.stoppedMs += 600;
    stopService(fixture, 3_001);
    await fixture.time.advanceBy(60 * SECOND);
    expect(p99LateMs(fixture)).toBeLessThan(100);
    expect(codeOf(fixture.registry.instance('orders-0'))).toBe('NOT_FOUND');
  });

  it('evaluates verified instances despite many unverified ones, and those once it has called them', async () => {
    const fixture = await startFleet(20);
    fixture.lateMs = 30;
    for (let index = 0; index < 1_000; index += 1) value(await fixture.register(`strange-${index}`, 9_001 + index));
    stopService(fixture, 3_001);
    await fixture.time.advanceBy(90 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-0'))).toBe('NOT_FOUND');
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    fixture.lateMs = 0;
    await fixture.time.advanceBy(35 * SECOND);
    expect(value(fixture.registry.service('default', 'orders')).instances).toHaveLength(19);
  });

  it('does not blame unverified instances for calls it did not make, and evaluates them once it has', async () => {
    const fixture = await RegistryFixture.start();
    const instances = () => value(fixture.registry.service('default', 'orders')).instances;
    // only a few of this many are called in each turn
    fixture.lateMs = 480;
    for (let index = 0; index < 2_400; index += 1) value(await fixture.register(`orders-${index}`, 3_001 + index));
    await fixture.time.advanceBy(30 * SECOND);
    const called = new Set(fixture.network.calls.map(({ instance }) => instance));
    expect(called.size).toBeLessThan(2_300);
    await fixture.time.advanceBy(SECOND);
    const blamed = instances().filter(({ id, state }) => state === 'CRITICAL' && !called.has(id));
    expect(blamed).toEqual([]);
    fixture.lateMs = 0;
    await fixture.time.advanceBy(35 * SECOND);
    expect(instances().map(({ state }) => state)).toContain('CRITICAL');
  });
});

describe('a new instance', () => {
  const MANY = 500;

  /** Unverified instances of one source that never answer, each called at least once. */
  async function startOverloaded(): Promise<RegistryFixture> {
    const fixture = await RegistryFixture.start({ limits: { maxCalls: 100 } });
    const silence = async (): Promise<ProbeOutcome> => {
      await sleep(fixture.time, 2_000);
      return { kind: 'failed', text: 'no answer within 2000 ms', ms: 2_000 };
    };
    for (let index = 0; index < MANY; index += 1) {
      fixture.network.responders.set(9_001 + index, silence);
      value(await fixture.register(`strange-${index}`, 9_001 + index));
      if (index % 10 === 9) await fixture.time.advanceBy(10);
    }
    return fixture;
  }

  it.each(['10.0.0.5', '10.0.0.7'])(
    'from %s does not wait behind unverified instances of 10.0.0.5 that never answer',
    async (address) => {
      const fixture = await startOverloaded();
      // from the same source: once each of the others was called once
      await fixture.time.advanceBy(address === '10.0.0.5' ? 30 * SECOND : 100);
      fixture.addService('orders-1', 3_001);
      value(await fixture.register('orders-1', 3_001, {}, { address }));
      await fixture.time.advanceBy(address === '10.0.0.5' ? 2_100 : 20);
      expect(fixture.record('orders-1').state).toBe('HEALTHY');
    },
  );
});
