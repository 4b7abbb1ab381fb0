import { describe, expect, it } from 'vitest';
import { codeOf, refused, SECOND, SECRET, silent, value, RegistryFixture } from './registry.fixture.js';
import { MemoryStore } from './store/memory.js';

describe('the registry', () => {
  it('answers nothing before it has loaded its store', async () => {
    const { registry } = new RegistryFixture();
    expect(codeOf(registry.services('default'))).toBe('NOT_READY');
    expect(codeOf(registry.service('default', 'orders'))).toBe('NOT_READY');
  });

  it('calls a new instance at once, and reports it HEALTHY as soon as it calls back', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    expect(fixture.network.calls[0]?.purpose).toBe('urgent');
    expect(fixture.record('orders-1').reason.code).toBe('BOTH_WAYS_OK');
  });

  it('does not take a Heartbeat-2 with no, or an old, nonce for a proof', async () => {
    const fixture = await RegistryFixture.start();
    fixture.addService('orders-1', 3001, false);
    await fixture.register('orders-1', 3001);
    await fixture.time.advanceBy(10);
    const first = fixture.network.calls[0]?.nonce ?? '';
    fixture.beat('orders-1', null);
    await fixture.time.advanceBy(4 * 5 * SECOND);
    fixture.beat('orders-1', first);
    expect(fixture.record('orders-1').state).toBe('REGISTERING');
    fixture.beat('orders-1', fixture.network.calls.at(-1)?.nonce);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
  });

  it('ignores a replayed Heartbeat-2, and refuses one with another secret', async () => {
    const fixture = await RegistryFixture.start();
    fixture.addService('orders-1', 3001, false);
    await fixture.register('orders-1', 3001);
    await fixture.time.advanceBy(10);
    value(fixture.registry.beat('orders-1', SECRET, { nonce: null, seq: 7 }));
    const nonce = fixture.network.calls[0]?.nonce ?? null;
    value(fixture.registry.beat('orders-1', SECRET, { nonce, seq: 7 }));
    expect(fixture.record('orders-1').state).toBe('REGISTERING');
    expect(codeOf(fixture.registry.beat('orders-1', `${SECRET}x`, { nonce, seq: 8 }))).toBe('UNAUTHORIZED');
    expect(codeOf(fixture.registry.beat('orders-2', SECRET, { nonce, seq: 8 }))).toBe('NOT_FOUND');
  });

  it('never reports an instance as HEALTHY if another process answers at its address', async () => {
    const fixture = await RegistryFixture.start();
    fixture.addService('billing-9', 3001);
    await fixture.register('orders-1', 3001);
    for (let i = 0; i < 10; i += 1) {
      fixture.beat('orders-1', fixture.network.calls.at(-1)?.nonce);
      await fixture.time.advanceBy(5 * SECOND);
    }
    expect(fixture.record('orders-1').state).not.toBe('HEALTHY');
    expect(value(fixture.registry.instance('orders-1')).heartbeats.heartbeat1.error).toContain('billing-9');
  });

  it('treats a closed line and a refused call as death, within the time of the retries', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { watcher } = fixture.openLine('orders-1');
    let calls = 0;
    fixture.network.responders.set(3001, () => {
      calls += 1;
      return calls < 3 ? { kind: 'closed', text: 'closed without an answer', ms: 1 } : refused;
    });
    watcher.closed();
    await fixture.time.advanceBy(40);
    expect(fixture.record('orders-1')).toMatchObject({ state: 'CRITICAL', reason: { code: 'PROOF_OF_DEATH' } });
    await fixture.time.advanceBy(11 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('NOT_FOUND');
  });

  it('does not treat only a refusal or only a closed line as death', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { watcher } = fixture.openLine('orders-1');
    watcher.closed();
    await fixture.time.advanceBy(10);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    fixture.openLine('orders-1');
    fixture.network.responders.delete(3001);
    fixture.registry.suspect('orders-1', { by: 'gateway', outcome: 'refused' });
    await fixture.time.advanceBy(50);
    expect(fixture.record('orders-1')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'INBOUND_REFUSED' } });
  });

  it('ignores the end of a replaced line', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const old = fixture.openLine('orders-1');
    fixture.openLine('orders-1');
    const before = fixture.network.calls.length;
    old.watcher.closed();
    await fixture.time.advanceBy(10);
    expect(fixture.network.calls.length).toBe(before);
  });

  it('calls a suspected instance at once, but not for every report', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.time.advanceBy(100);
    const before = fixture.network.calls.length;
    for (let i = 0; i < 20; i += 1) {
      fixture.registry.suspect('orders-1', { by: 'gateway', outcome: 'timeout' });
      await fixture.time.advanceBy(1);
    }
    expect(fixture.network.calls.length - before).toBe(1);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
  });

  it('detects a frozen instance by two calls in a row, and its recovery 1.2 intervals after it thaws', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    await fixture.time.advanceBy(12 * SECOND);
    expect(fixture.record('orders-1').state).toBe('UNHEALTHY');
    fixture.addService('orders-1', 3001);
    await fixture.time.advanceBy(6 * SECOND + 50);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
  });

  it('pushes a drain at once, lets no heartbeat revert it, and remembers the goodbye', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { frames } = fixture.openLine('orders-1');
    await fixture.time.advanceBy(50);
    expect(value(await fixture.registry.drain('orders-1', SECRET, { deadlineMs: 10 * SECOND }))).toEqual({
      watchers: 1,
    });
    await fixture.time.advanceBy(30);
    const last = frames.filter((frame) => frame.event === 'change').at(-1);
    expect(last?.data.upsert[0]).toMatchObject({ state: 'DEREGISTERING', reason: { code: 'LEAVING' } });
    fixture.beat('orders-1');
    expect(codeOf(await fixture.register('orders-1', 3001))).toBe('LEAVING');
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    expect(codeOf(await fixture.register('orders-1', 3001))).toBe('ENDED');
    expect(codeOf(fixture.beat('orders-1'))).toBe('ENDED');
    await fixture.time.advanceBy(30);
    expect(frames.find(({ event }) => event === 'gone')).toMatchObject({
      event: 'gone',
      data: { id: 'orders-1', reason: { code: 'GOODBYE' } },
    });
  });

  it('lets only an operator, or its own secret, end an instance', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    expect(codeOf(await fixture.registry.leave('orders-1', null))).toBe('UNAUTHORIZED');
    expect(codeOf(await fixture.registry.leave('orders-1', { secret: `${SECRET}x` }))).toBe('UNAUTHORIZED');
    expect(codeOf(await fixture.registry.leave('orders-1', { operator: true }))).toBe('ok');
  });

  it('keeps state and id when an instance registers again, and refuses the id with another secret', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.register('orders-1', 3001, { version: '2.0.0' }));
    expect(fixture.record('orders-1')).toMatchObject({ state: 'HEALTHY', version: '2.0.0' });
    expect(codeOf(await fixture.register('orders-1', 3001, { secret: 'another-secret-of-132-bits' }))).toBe('ID_HELD');
    expect(codeOf(await fixture.register('orders-1', 3001, { service: 'users' }))).toBe('ID_HELD');
    fixture.addService('orders-1', 3002, false);
    value(await fixture.register('orders-1', 3002));
    expect(fixture.record('orders-1')).toMatchObject({ state: 'REGISTERING', reason: { code: 'MOVED' } });
  });

  it('refuses a repeated registration if the instance leaves before it is stored, and keeps its endpoints', async () => {
    const store = new MemoryStore();
    const fixture = await RegistryFixture.start({ store });
    await fixture.registerHealthy('orders-1', 3001);
    const write = store.write.bind(store);
    const stored = new Promise<void>((resolve) => fixture.time.setTimer(100, resolve));
    store.write = async (writes) => {
      await stored;
      await write(writes);
    };
    const again = fixture.register('orders-1', 3002);
    await fixture.time.advanceBy(10);
    const drained = fixture.registry.drain('orders-1', SECRET, {});
    await fixture.time.advanceBy(100);
    expect(value(await drained)).toEqual({ watchers: 0 });
    expect(codeOf(await again)).toBe('LEAVING');
    expect(fixture.record('orders-1').endpoints).toMatchObject([{ port: 3001 }]);
  });

  it('refuses a foreign address, and more instances than its limit', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 1 } });
    const foreign = { endpoints: [{ protocol: 'tcp' as const, host: '169.254.169.254', port: 80 }] };
    expect(codeOf(await fixture.register('orders-1', 1, foreign))).toBe('ADDRESS_NOT_ALLOWED');
    await fixture.registerHealthy('orders-1', 3001);
    expect(codeOf(await fixture.register('orders-2', 3002))).toBe('TOO_MANY');
  });

  it('is settled after two intervals, and then reports unknown services as absent', async () => {
    const fixture = await RegistryFixture.start();
    expect(codeOf(fixture.registry.service('default', 'orders'))).toBe('NOT_READY');
    await fixture.time.advanceBy(11 * SECOND);
    expect(codeOf(fixture.registry.service('default', 'orders'))).toBe('NOT_FOUND');
  });

  it('draws no conclusion from a line that it ends itself', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { watcher } = fixture.openLine('orders-1');
    await fixture.time.advanceBy(SECOND);
    const { length } = fixture.network.calls;
    watcher.dropped?.();
    await fixture.time.advanceBy(100);
    expect(fixture.network.calls).toHaveLength(length);
    fixture.openLine('orders-1').watcher.closed();
    await fixture.time.advanceBy(100);
    expect(fixture.network.calls).toHaveLength(length + 1);
  });

  it('changes no state while it is overloaded, and decides again once it has caught up', async () => {
    const fixture = await RegistryFixture.start();
    const ids = Array.from({ length: 500 }, (_, index) => `orders-${index}`);
    for (const [index, id] of ids.entries()) await fixture.registerHealthy(id, 3_001 + index);
    // no beat gets through, and no answer is read in time
    for (const [index] of ids.entries()) fixture.network.responders.set(3_001 + index, () => silent);
    fixture.lateMs = 480;
    await fixture.time.advanceBy(60 * SECOND);
    expect(fixture.log.texts('warn').join()).toMatch(/is overloaded: calls are \d+ ms late/);
    expect(ids.filter((id) => fixture.record(id).state !== 'HEALTHY')).toEqual([]);
    fixture.lateMs = 0;
    for (const [index, id] of ids.entries()) fixture.addService(id, 3_001 + index, index > 0);
    await fixture.time.advanceBy(16 * SECOND);
    expect(ids.filter((id) => fixture.record(id).state !== 'HEALTHY')).toEqual(['orders-0']);
  });

  it('changes no state for a time in which it did not listen', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    await fixture.time.advanceBy(SECOND);
    fixture.stoppedMs = 60 * SECOND;
    await fixture.time.advanceBy(6 * SECOND);
    // its timers go on up to an interval later
    expect(fixture.log.texts('warn').join()).toMatch(/could not listen for 6[0-5]\d{3} ms/);
    const { reason, state } = fixture.record('orders-1');
    expect([state, reason.code]).toEqual(['HEALTHY', 'BOTH_WAYS_OK']);
    expect(fixture.record('orders-1').revision).toBe(2);
  });

  it('counts missed Heartbeats-2, as it counts missed Heartbeats-1', async () => {
    const fixture = await RegistryFixture.start();
    fixture.addService('orders-1', 3001, false);
    value(await fixture.register('orders-1', 3001));
    fixture.beat('orders-1');
    const misses = (): number => value(fixture.registry.instance('orders-1')).heartbeats.heartbeat2.misses;
    await fixture.time.advanceBy(5 * SECOND);
    expect(misses()).toBe(0);
    await fixture.time.advanceBy(13 * SECOND);
    expect(misses()).toBe(3);
    fixture.beat('orders-1');
    expect(misses()).toBe(0);
  });
});
