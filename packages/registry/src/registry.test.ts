import { describe, expect, it } from 'vitest';
import { codeOf, refused, SECOND, SECRET, silent, value, World } from './registry.fixture.js';
import { MemoryStore } from './store/memory.js';

describe('the registry', () => {
  it('answers nothing before it has loaded its store', async () => {
    const { registry } = new World();
    expect(codeOf(registry.services('default'))).toBe('NOT_READY');
    expect(codeOf(registry.service('default', 'orders'))).toBe('NOT_READY');
  });

  it('calls a new instance at once, and has it HEALTHY as soon as it calls back', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    expect(world.town.calls[0]?.purpose).toBe('urgent');
    expect(world.record('orders-1').reason.code).toBe('BOTH_WAYS_OK');
  });

  it('does not take a Heartbeat-2 with no, or an old, nonce for a proof', async () => {
    const world = await World.started();
    world.moveIn('orders-1', 3001, false);
    await world.register('orders-1', 3001);
    await world.time.advanceBy(10);
    const first = world.town.calls[0]?.nonce ?? '';
    world.beat('orders-1', null);
    await world.time.advanceBy(4 * 5 * SECOND);
    world.beat('orders-1', first);
    expect(world.record('orders-1').state).toBe('REGISTERING');
    world.beat('orders-1', world.town.calls.at(-1)?.nonce);
    expect(world.record('orders-1').state).toBe('HEALTHY');
  });

  it('ignores a replayed Heartbeat-2, and refuses one with another secret', async () => {
    const world = await World.started();
    world.moveIn('orders-1', 3001, false);
    await world.register('orders-1', 3001);
    await world.time.advanceBy(10);
    value(world.registry.beat('orders-1', SECRET, { nonce: null, seq: 7 }));
    const nonce = world.town.calls[0]?.nonce ?? null;
    value(world.registry.beat('orders-1', SECRET, { nonce, seq: 7 }));
    expect(world.record('orders-1').state).toBe('REGISTERING');
    expect(codeOf(world.registry.beat('orders-1', `${SECRET}x`, { nonce, seq: 8 }))).toBe('UNAUTHORIZED');
    expect(codeOf(world.registry.beat('orders-2', SECRET, { nonce, seq: 8 }))).toBe('NOT_FOUND');
  });

  it('never makes HEALTHY whose address is answered by another process', async () => {
    const world = await World.started();
    world.moveIn('billing-9', 3001);
    await world.register('orders-1', 3001);
    for (let i = 0; i < 10; i += 1) {
      world.beat('orders-1', world.town.calls.at(-1)?.nonce);
      await world.time.advanceBy(5 * SECOND);
    }
    expect(world.record('orders-1').state).not.toBe('HEALTHY');
    expect(value(world.registry.instance('orders-1')).heartbeats.heartbeat1.error).toContain('billing-9');
  });

  it('takes a closed line and a refused call for death, within the time of the repeats', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { watcher } = world.hold('orders-1');
    let asked = 0;
    world.town.inhabitants.set(3001, () => {
      asked += 1;
      return asked < 3 ? { kind: 'closed', text: 'closed without an answer', ms: 1 } : refused;
    });
    watcher.closed();
    await world.time.advanceBy(40);
    expect(world.record('orders-1')).toMatchObject({ state: 'CRITICAL', reason: { code: 'PROOF_OF_DEATH' } });
    await world.time.advanceBy(11 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('NOT_FOUND');
  });

  it('takes a refusal without a closed line, and a closed line without a refusal, for less', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { watcher } = world.hold('orders-1');
    watcher.closed();
    await world.time.advanceBy(10);
    expect(world.record('orders-1').state).toBe('HEALTHY');
    world.hold('orders-1');
    world.town.inhabitants.delete(3001);
    world.registry.suspect('orders-1', { by: 'gateway', outcome: 'refused' });
    await world.time.advanceBy(50);
    expect(world.record('orders-1')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'INBOUND_REFUSED' } });
  });

  it('knows only the newest line', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const old = world.hold('orders-1');
    world.hold('orders-1');
    const before = world.town.calls.length;
    old.watcher.closed();
    await world.time.advanceBy(10);
    expect(world.town.calls.length).toBe(before);
  });

  it('calls a suspect at once, but not for every report', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    await world.time.advanceBy(100);
    const before = world.town.calls.length;
    for (let i = 0; i < 20; i += 1) {
      world.registry.suspect('orders-1', { by: 'gateway', outcome: 'timeout' });
      await world.time.advanceBy(1);
    }
    expect(world.town.calls.length - before).toBe(1);
    expect(world.record('orders-1').state).toBe('HEALTHY');
  });

  it('finds a frozen instance by two calls in a row, and has it back 1.2 intervals after it thaws', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.town.inhabitants.set(3001, () => silent);
    await world.time.advanceBy(12 * SECOND);
    expect(world.record('orders-1').state).toBe('UNHEALTHY');
    world.moveIn('orders-1', 3001);
    await world.time.advanceBy(6 * SECOND + 50);
    expect(world.record('orders-1').state).toBe('HEALTHY');
  });

  it('pushes a drain at once, lets nobody save it, and forgets no goodbye', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { frames } = world.hold('orders-1');
    await world.time.advanceBy(50);
    expect(value(await world.registry.drain('orders-1', SECRET, { deadlineMs: 10 * SECOND }))).toEqual({ watchers: 1 });
    await world.time.advanceBy(30);
    const last = frames.filter((frame) => frame.event === 'change').at(-1);
    expect(last?.data.upsert[0]).toMatchObject({ state: 'DEREGISTERING', reason: { code: 'LEAVING' } });
    world.beat('orders-1');
    expect(codeOf(await world.register('orders-1', 3001))).toBe('LEAVING');
    value(await world.registry.leave('orders-1', { secret: SECRET }));
    expect(codeOf(await world.register('orders-1', 3001))).toBe('ENDED');
    expect(codeOf(world.beat('orders-1'))).toBe('ENDED');
    await world.time.advanceBy(30);
    expect(frames.find(({ event }) => event === 'gone')).toMatchObject({
      event: 'gone',
      data: { id: 'orders-1', reason: { code: 'GOODBYE' } },
    });
  });

  it('lets only an operator, or its own secret, end an instance', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    expect(codeOf(await world.registry.leave('orders-1', null))).toBe('UNAUTHORIZED');
    expect(codeOf(await world.registry.leave('orders-1', { secret: `${SECRET}x` }))).toBe('UNAUTHORIZED');
    expect(codeOf(await world.registry.leave('orders-1', { operator: true }))).toBe('ok');
  });

  it('keeps state and id for who registers again, and refuses the id to anybody else', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    value(await world.register('orders-1', 3001, { version: '2.0.0' }));
    expect(world.record('orders-1')).toMatchObject({ state: 'HEALTHY', version: '2.0.0' });
    expect(codeOf(await world.register('orders-1', 3001, { secret: 'another-secret-of-132-bits' }))).toBe('ID_HELD');
    expect(codeOf(await world.register('orders-1', 3001, { service: 'users' }))).toBe('ID_HELD');
    world.moveIn('orders-1', 3002, false);
    value(await world.register('orders-1', 3002));
    expect(world.record('orders-1')).toMatchObject({ state: 'REGISTERING', reason: { code: 'MOVED' } });
  });

  it('refuses who registers again and leaves before that is stored, and moves it nowhere', async () => {
    const store = new MemoryStore();
    const world = await World.started({ store });
    await world.healthy('orders-1', 3001);
    const write = store.write.bind(store);
    const stored = new Promise<void>((resolve) => world.time.setTimer(100, resolve));
    store.write = async (writes) => {
      await stored;
      await write(writes);
    };
    const again = world.register('orders-1', 3002);
    await world.time.advanceBy(10);
    const drained = world.registry.drain('orders-1', SECRET, {});
    await world.time.advanceBy(100);
    expect(value(await drained)).toEqual({ watchers: 0 });
    expect(codeOf(await again)).toBe('LEAVING');
    expect(world.record('orders-1').endpoints).toMatchObject([{ port: 3001 }]);
  });

  it('refuses an address that is not the own one, and more instances than it may hold', async () => {
    const world = await World.started({ limits: { maxInstances: 1 } });
    const foreign = { endpoints: [{ protocol: 'tcp' as const, host: '169.254.169.254', port: 80 }] };
    expect(codeOf(await world.register('orders-1', 1, foreign))).toBe('ADDRESS_NOT_ALLOWED');
    await world.healthy('orders-1', 3001);
    expect(codeOf(await world.register('orders-2', 3002))).toBe('TOO_MANY');
  });

  it('is settled after two intervals: then what it does not know does not exist', async () => {
    const world = await World.started();
    expect(codeOf(world.registry.service('default', 'orders'))).toBe('NOT_READY');
    await world.time.advanceBy(11 * SECOND);
    expect(codeOf(world.registry.service('default', 'orders'))).toBe('NOT_FOUND');
  });

  it('takes no line that it ends itself for news of its instance', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { watcher } = world.hold('orders-1');
    await world.time.advanceBy(SECOND);
    const { length } = world.town.calls;
    watcher.dropped?.();
    await world.time.advanceBy(100);
    expect(world.town.calls).toHaveLength(length);
    world.hold('orders-1').watcher.closed();
    await world.time.advanceBy(100);
    expect(world.town.calls).toHaveLength(length + 1);
  });

  it('blames nobody while it has more to do than it can, and judges again when it has caught up', async () => {
    const world = await World.started();
    const ids = Array.from({ length: 500 }, (_, index) => `orders-${index}`);
    for (const [index, id] of ids.entries()) await world.healthy(id, 3_001 + index);
    // no beat gets through, and no answer is read in time
    for (const [index] of ids.entries()) world.town.inhabitants.set(3_001 + index, () => silent);
    world.lateMs = 480;
    await world.time.advanceBy(60 * SECOND);
    expect(world.log.texts('warn').join()).toMatch(/is overloaded: calls are \d+ ms late/);
    expect(ids.filter((id) => world.record(id).state !== 'HEALTHY')).toEqual([]);
    world.lateMs = 0;
    for (const [index, id] of ids.entries()) world.moveIn(id, 3_001 + index, index > 0);
    await world.time.advanceBy(16 * SECOND);
    expect(ids.filter((id) => world.record(id).state !== 'HEALTHY')).toEqual(['orders-0']);
  });

  it('blames nobody for time in which it did not listen itself', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    await world.time.advanceBy(SECOND);
    world.stoppedMs = 60 * SECOND;
    await world.time.advanceBy(6 * SECOND);
    // its timers go on up to an interval later
    expect(world.log.texts('warn').join()).toMatch(/could not listen for 6[0-5]\d{3} ms/);
    const { reason, state } = world.record('orders-1');
    expect([state, reason.code]).toEqual(['HEALTHY', 'BOTH_WAYS_OK']);
    expect(world.record('orders-1').revision).toBe(2);
  });

  it('counts what it misses of a Heartbeat-2, as of a Heartbeat-1', async () => {
    const world = await World.started();
    world.moveIn('orders-1', 3001, false);
    value(await world.register('orders-1', 3001));
    world.beat('orders-1');
    const misses = (): number => value(world.registry.instance('orders-1')).heartbeats.heartbeat2.misses;
    await world.time.advanceBy(5 * SECOND);
    expect(misses()).toBe(0);
    await world.time.advanceBy(13 * SECOND);
    expect(misses()).toBe(3);
    world.beat('orders-1');
    expect(misses()).toBe(0);
  });
});
