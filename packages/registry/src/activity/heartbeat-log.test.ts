import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import type { DirectionLog, Entry } from '../instances/instance-table.js';
import { codeOf, refused, SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';
import { HeartbeatLog } from './heartbeat-log.js';

const direction = (): DirectionLog => ({ lastAt: null, roundTripMs: null, misses: 0, error: null });

/** The part of an entry that the log uses. */
function createEntry(): Entry {
  return { beatSlot: null, beatDueAt: 0, heartbeat1: direction(), heartbeat2: direction() } as unknown as Entry;
}

describe('HeartbeatLog', () => {
  it('lists the last rounds of both directions, oldest first, including unanswered ones', () => {
    const time = new ManualTime();
    const log = new HeartbeatLog(time);
    const entry = createEntry();
    expect(log.of(entry)).toEqual({ heartbeat1: [], heartbeat2: [], notListening: [] });
    log.recordAnswer(entry, 12.34);
    log.recordHeartbeat2(entry);
    time.advance(5_000);
    log.recordMiss(entry, 'refused');
    time.advance(70_123);
    log.recordHeartbeat2(entry);
    log.recordAnswer(entry, 1_900);
    time.advance(400);
    const { heartbeat1, heartbeat2 } = log.of(entry);
    expect(heartbeat1.map(({ agoMs }) => agoMs)).toEqual([75_520, 70_520, 400]);
    expect(heartbeat1[0]?.roundTripMs).toBeGreaterThan(12);
    expect(heartbeat1[0]?.roundTripMs).toBeLessThan(12.7);
    expect(heartbeat1[1]?.roundTripMs).toBeNull();
    expect(Math.abs((heartbeat1[2]?.roundTripMs ?? 0) / 1_900 - 1)).toBeLessThan(0.025);
    expect(heartbeat2).toEqual([{ agoMs: 75_520 }, { agoMs: 400 }]);
    expect(entry.heartbeat1).toMatchObject({ misses: 0, error: null, roundTripMs: 1_900 });
  });

  it('keeps 58 rounds per direction, and none older than five minutes', () => {
    const time = new ManualTime();
    const log = new HeartbeatLog(time);
    const entry = createEntry();
    for (let n = 0; n < 200; n += 1) {
      log.recordHeartbeat2(entry);
      log.recordAnswer(entry, 1);
      time.advance(1_000);
    }
    expect(log.of(entry).heartbeat1).toHaveLength(58);
    expect(log.of(entry).heartbeat2).toHaveLength(58);
    expect(log.of(entry).heartbeat2[0]).toEqual({ agoMs: 58_000 });
    time.advance(290_000);
    expect(
      log
        .of(entry)
        .heartbeat1.map(({ agoMs }) => agoMs)
        .at(0),
    ).toBe(300_000);
    log.recordHeartbeat2(entry);
    time.advance(20_000);
    expect(log.of(entry)).toMatchObject({ heartbeat1: [], heartbeat2: [{ agoMs: 20_000 }] });
    // a gap of eleven minutes or more counts as no earlier heartbeat
    time.advance(10_000_000);
    log.recordHeartbeat2(entry);
    expect(log.of(entry).heartbeat2).toEqual([{ agoMs: 0 }]);
  });

  it('separates instances, and reuses the place of a removed one without its rounds', () => {
    const time = new ManualTime();
    const log = new HeartbeatLog(time);
    const entries = Array.from({ length: 200 }, createEntry);
    for (const [n, entry] of entries.entries()) {
      for (let times = 0; times <= n % 5; times += 1) log.recordAnswer(entry, 1);
    }
    expect(entries.map((entry) => log.of(entry).heartbeat1.length)).toEqual(entries.map((_, n) => 1 + (n % 5)));
    const [first, second] = entries;
    if (first === undefined || second === undefined) throw new Error('There are two.');
    const slot = first.beatSlot;
    log.release(first);
    log.release(first);
    expect(log.of(first)).toEqual({ heartbeat1: [], heartbeat2: [], notListening: [] });
    const newcomer = createEntry();
    log.recordHeartbeat2(newcomer);
    expect(newcomer.beatSlot).toBe(slot);
    expect(log.of(newcomer)).toMatchObject({ heartbeat1: [], heartbeat2: [{ agoMs: 0 }] });
    const another = createEntry();
    log.recordHeartbeat2(another);
    expect(entries.some(({ beatSlot }) => beatSlot === another.beatSlot)).toBe(false);
  });

  it('lets a heartbeat pass ahead of others once per quarter of an interval, whether or not one was received before', () => {
    const time = new ManualTime();
    const log = new HeartbeatLog(time);
    const entry = createEntry();
    const mayPass = () => log.admits(entry, 4_000);
    expect([mayPass(), mayPass()]).toEqual([true, false]);
    time.advance(999);
    expect(mayPass()).toBe(false);
    time.advance(1);
    expect([mayPass(), mayPass()]).toEqual([true, false]);
    expect(log.admits(createEntry(), 4_000)).toBe(true);
  });
});

describe('the heartbeats of the registry', () => {
  it('are listed for one instance, including unanswered ones', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.time.advanceBy(20_000);
    fixture.network.responders.set(3001, () => refused);
    await fixture.time.advanceBy(5_000);
    const { id, intervalMs, heartbeat1, heartbeat2 } = value(fixture.registry.beats('orders-1'));
    expect([id, intervalMs]).toEqual(['orders-1', 5_000]);
    expect(heartbeat1.length).toBeGreaterThan(4);
    expect(heartbeat1.at(0)).toMatchObject({ roundTripMs: expect.closeTo(2, 0) });
    expect(heartbeat1.at(-1)).toMatchObject({ roundTripMs: null });
    expect(heartbeat2.length).toBeGreaterThan(3);
    const ages = heartbeat1.map(({ agoMs }) => agoMs);
    expect(ages).toEqual(ages.toSorted((one, other) => other - one));
  });

  it('are listed for each instance of a service on request', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const [plain] = value(fixture.registry.service('default', 'orders')).instances;
    expect(plain).not.toHaveProperty('heartbeats');
    const [listed] = value(fixture.registry.service('default', 'orders', true)).instances;
    expect(listed).toEqual({ ...plain, heartbeats: fixture.record('orders-1').heartbeats });
  });

  it('calls an instance at once for an operator, records its name, and refuses other clients', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.time.advanceBy(5_000);
    const before = fixture.network.calls.length;
    expect(codeOf(fixture.registry.call('orders-1', null))).toBe('FORBIDDEN');
    expect(codeOf(fixture.registry.call('nobody', { operator: true }))).toBe('NOT_FOUND');
    await fixture.time.advanceBy(1);
    expect(fixture.network.calls).toHaveLength(before);
    value(fixture.registry.call('orders-1', { operator: true, who: 'operator token 7f' }));
    await fixture.time.advanceBy(1);
    expect(fixture.network.calls.slice(before)).toMatchObject([{ instance: 'orders-1', purpose: 'urgent' }]);
    expect(value(fixture.registry.timeline('orders-1')).events.at(-1)).toMatchObject({
      kind: 'admin',
      by: 'operator',
      text: 'called at once by an operator (operator token 7f)',
    });
  });

  it('are not available for a removed instance', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    expect(codeOf(fixture.registry.beats('orders-1'))).toBe('ENDED');
  });
});

const beatOf = (fixture: RegistryFixture, seq: number) =>
  value(fixture.registry.beat('orders-1', SECRET, { nonce: null, seq }));

it('answers the Heartbeat-2 of a HEALTHY instance with its state and revision alone', async () => {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy('orders-1', 3001);
  expect(beatOf(fixture, 1_000)).toEqual({ state: 'HEALTHY', revision: fixture.record('orders-1').revision });
});

it('answers an unreachable instance with the reason, and the next state with its time from the answer', async () => {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy('orders-1', 3001);
  await fixture.registerHealthy('orders-2', 3002);
  fixture.network.responders.set(3001, () => silent);
  for (let seq = 1_000; fixture.record('orders-1').state === 'HEALTHY'; seq += 1) {
    beatOf(fixture, seq);
    fixture.beat('orders-2', fixture.network.calls.at(-1)?.nonce);
    await fixture.time.advanceBy(SECOND);
    expect(seq).toBeLessThan(1_100);
  }
  const first = beatOf(fixture, 2_000);
  expect(first).toMatchObject({
    state: 'UNHEALTHY',
    reason: { code: 'INBOUND_SILENT', text: 'it does not answer Heartbeat-1: no answer within 2000 ms' },
    next: { state: 'CRITICAL', unless: 'HEARTBEAT_1' },
  });
  await fixture.time.advanceBy(2 * SECOND);
  const second = beatOf(fixture, 2_001);
  expect((first.next?.afterMs ?? 0) - (second.next?.afterMs ?? 0)).toBe(2 * SECOND);
});

it('answers a removed instance with the reason', async () => {
  const fixture = await RegistryFixture.start();
  await fixture.registerHealthy('orders-1', 3001);
  await fixture.registerHealthy('orders-2', 3002);
  fixture.network.responders.set(3001, () => silent);
  for (let passed = 0; passed < 300 && fixture.registry.instance('orders-1').ok; passed += 1) {
    fixture.beat('orders-2', fixture.network.calls.at(-1)?.nonce);
    await fixture.time.advanceBy(SECOND);
  }
  const answer = fixture.registry.beat('orders-1', SECRET, { nonce: null, seq: 5_000 });
  expect(answer).toMatchObject({ ok: false, problem: { code: 'NOT_FOUND', reason: { code: 'SILENT' } } });
});
