import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, silent, value, World } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

/** A machine lost its power, so nothing was closed; nine seconds later it is back, and a new process has the address. */
async function rebooted({ beats = true, store = new MemoryStore() } = {}): Promise<{
  readonly world: World;
  readonly old: ReturnType<World['hold']>;
}> {
  const world = await World.started({ store });
  await world.healthy('orders-1', 3001);
  const old = world.hold('orders-1');
  world.town.inhabitants.set(3001, () => silent);
  await world.time.advanceBy(9 * SECOND);
  world.moveIn('orders-2', 3001, beats);
  value(await world.register('orders-2', 3001));
  return { world, old };
}

describe('an address that is taken', () => {
  it('stays with the holder who answers there: the newcomer is taken off the record, and told so', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    value(await world.register('thief-1', 3001, { service: 'thieves' }));
    await world.time.advanceBy(50);
    expect(world.record('orders-1').state).toBe('HEALTHY');
    expect(codeOf(world.beat('thief-1'))).toBe('ADDRESS_TAKEN');
    value(await world.register('thief-1', 3001, { service: 'thieves' }));
  });

  it('passes to a newcomer who answers there, once the line of the old one was closed', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { watcher } = world.hold('orders-1');
    world.moveIn('users-1', 3001);
    watcher.closed();
    value(await world.register('users-1', 3001, { service: 'users' }));
    await world.time.advanceBy(50);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ENDED');
    expect(world.record('users-1').state).toBe('HEALTHY');
  });

  it('passes at once from one that drains, though it still beats: a restart on a fixed port waits for nobody', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.hold('orders-1');
    value(await world.registry.drain('orders-1', SECRET, {}));
    world.moveIn('orders-2', 3001);
    value(await world.register('orders-2', 3001));
    world.beat('orders-1');
    await world.time.advanceBy(50);
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is shared by two who both show life: neither is HEALTHY, both are told why, until one is gone', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const old = world.hold('orders-1');
    world.moveIn('orders-2', 3001);
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(3 * SECOND);
    for (const id of ['orders-1', 'orders-2']) {
      expect(world.record(id)).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'ADDRESS_SHARED' } });
    }
    old.watcher.closed();
    await world.time.advanceBy(20 * SECOND);
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('asks with the name of the newcomer, as an opinion, and calls it for nothing else meanwhile', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.town.inhabitants.set(3001, () => silent);
    const before = world.town.calls.length;
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(4 * SECOND);
    const asked = world.town.calls.slice(before).filter(({ instance }) => instance === 'orders-2');
    expect(new Set(asked.map(({ purpose }) => purpose))).toEqual(new Set(['opinion']));
  });

  it('is a question no more for a newcomer that moved on before it was answered', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.town.inhabitants.set(3001, () => silent);
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(SECOND);
    world.moveIn('orders-2', 3002);
    value(await world.register('orders-2', 3002));
    await world.time.advanceBy(4 * SECOND);
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is asked by one question at a time, however often the newcomer registers', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.town.inhabitants.set(3001, () => silent);
    for (let i = 0; i < 20; i += 1) value(await world.register('orders-2', 3001));
    await world.time.advanceBy(10 * SECOND);
    const asked = world.town.calls.filter(({ purpose }) => purpose === 'opinion').length;
    expect(asked).toBeGreaterThan(2);
    expect(asked).toBeLessThan(6);
  });

  it('is asked no more once the registry is closed', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.town.inhabitants.set(3001, () => silent);
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(SECOND);
    await world.registry.close();
    const before = world.town.calls.length;
    await world.time.advanceBy(60 * SECOND);
    expect(world.town.calls.length).toBe(before);
  });

  it('is refused to a newcomer by whichever of its holders answers there', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.hold('orders-1');
    world.moveIn('orders-2', 3001);
    value(await world.register('orders-2', 3001));
    world.hold('orders-2');
    await world.time.advanceBy(3 * SECOND);
    expect(world.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    value(await world.register('thief-1', 3001, { service: 'thieves' }));
    await world.time.advanceBy(50);
    expect(codeOf(world.beat('thief-1'))).toBe('ADDRESS_TAKEN');
  });

  it('is shared no more once one of the two has moved to another', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.hold('orders-1');
    world.moveIn('orders-2', 3001);
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(3 * SECOND);
    expect(world.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    world.moveIn('orders-1', 3001);
    world.moveIn('orders-2', 3002);
    value(await world.register('orders-2', 3002));
    await world.time.advanceBy(10 * SECOND);
    expect([world.record('orders-1').state, world.record('orders-2').state]).toEqual(['HEALTHY', 'HEALTHY']);
  });

  it('costs a holder nothing when the newcomer that answered there has moved before all is clear', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    world.hold('orders-1');
    world.moveIn('orders-2', 3001);
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(SECOND); // the line of the old one has been asked, and is given time
    world.moveIn('orders-1', 3001);
    world.moveIn('orders-2', 3002);
    value(await world.register('orders-2', 3002));
    await world.time.advanceBy(4 * SECOND);
    expect(world.record('orders-1').state).toBe('HEALTHY');
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is a secret between the registry and who was refused it: others hear that there is no such instance', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    value(await world.register('thief-1', 3001, { service: 'thieves' }));
    await world.time.advanceBy(50);
    expect(codeOf(world.registry.instance('thief-1'))).toBe('NOT_FOUND');
    expect(codeOf(await world.registry.leave('thief-1', { operator: true }))).toBe('NOT_FOUND');
    expect(codeOf(await world.registry.drain('thief-1', SECRET, {}))).toBe('ADDRESS_TAKEN');
  });

  it('keeps calling the holder who registers again while a newcomer is being asked about', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    const { watcher } = world.hold('orders-1');
    world.town.inhabitants.set(3001, () => silent);
    value(await world.register('orders-2', 3001));
    value(await world.register('orders-1', 3001, { version: '2.0.0' }));
    await world.time.advanceBy(SECOND);
    world.town.inhabitants.delete(3001);
    watcher.closed();
    await world.time.advanceBy(50);
    expect(world.record('orders-1')).toMatchObject({ state: 'CRITICAL', reason: { code: 'PROOF_OF_DEATH' } });
  });

  it('is taken from a machine that came back before silence could remove it: the dead id goes with its line', async () => {
    const { world, old } = await rebooted();
    await world.time.advanceBy(3 * SECOND);
    expect(world.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    old.watcher.closed(); // the new kernel has at last refused the line of the old one
    await world.time.advanceBy(SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ENDED');
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is taken from one whose line nobody ever closes, too; as nobody saw it die, its id may come back', async () => {
    const { world } = await rebooted();
    await world.time.advanceBy(11 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('NOT_FOUND');
    expect(world.record('orders-2').state).toBe('HEALTHY');
    expect(codeOf(await world.register('orders-1', 3001))).toBe('ok');
  });

  it('is taken from a dead one also by a newcomer that is proved only later', async () => {
    const { world, old } = await rebooted({ beats: false });
    await world.time.advanceBy(3 * SECOND);
    old.watcher.closed();
    await world.time.advanceBy(12 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ok');
    world.moveIn('orders-2', 3001);
    await world.time.advanceBy(6 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ENDED');
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is taken from a dead one also after a restart of the registry', async () => {
    const store = new MemoryStore();
    const { world: before } = await rebooted({ store });
    await before.time.advanceBy(3 * SECOND);
    await before.registry.close();
    const world = await World.started({ store });
    world.moveIn('orders-2', 3001);
    await world.time.advanceBy(8 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ENDED');
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });

  it('is kept by one that still answers there in turns, though it neither beats nor holds a line', async () => {
    const world = await World.started();
    await world.healthy('orders-1', 3001);
    let opinions = 0;
    world.town.inhabitants.set(3001, ({ instance: called, nonce, purpose }) => {
      const instance = purpose === 'opinion' && (opinions += 1) % 2 === 0 ? 'orders-1' : called;
      if (called === 'orders-2' && purpose !== 'opinion') world.beat('orders-2', nonce);
      return { kind: 'answered', instance, nonce, ms: 2 };
    });
    value(await world.register('orders-2', 3001));
    await world.time.advanceBy(SECOND);
    expect(world.record('orders-2').reason.code).toBe('ADDRESS_SHARED');
    await world.time.advanceBy(20 * SECOND);
    expect(codeOf(world.registry.instance('orders-1'))).toBe('ok');
  });

  it('stays shared over a restart of the registry, and is let go as before', async () => {
    const store = new MemoryStore();
    const before = await World.started({ store });
    await before.healthy('orders-1', 3001);
    before.hold('orders-1');
    before.moveIn('orders-2', 3001);
    value(await before.register('orders-2', 3001));
    await before.time.advanceBy(3 * SECOND);
    await before.registry.close();
    const world = await World.started({ store });
    world.moveIn('orders-2', 3001);
    for (let i = 0; i < 6; i += 1) {
      world.beat('orders-1');
      await world.time.advanceBy(5 * SECOND);
    }
    expect(world.record('orders-2')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'ADDRESS_SHARED' } });
    await world.time.advanceBy(30 * SECOND);
    expect(world.record('orders-2').state).toBe('HEALTHY');
  });
});
