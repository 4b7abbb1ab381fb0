import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

/** A machine lost its power, so nothing was closed; nine seconds later it is back, and a new process has the address. */
async function startRebooted({ beats = true, store = new MemoryStore() } = {}): Promise<{
  readonly fixture: RegistryFixture;
  readonly old: ReturnType<RegistryFixture['openLine']>;
}> {
  const fixture = await RegistryFixture.start({ store });
  await fixture.registerHealthy('orders-1', 3001);
  const old = fixture.openLine('orders-1');
  fixture.network.responders.set(3001, () => silent);
  await fixture.time.advanceBy(9 * SECOND);
  fixture.addService('orders-2', 3001, beats);
  value(await fixture.register('orders-2', 3001));
  return { fixture, old };
}

describe('an address that is taken', () => {
  it('stays with the holder who answers there: the newcomer is taken off the record, and told so', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
    await fixture.time.advanceBy(50);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    expect(codeOf(fixture.beat('thief-1'))).toBe('ADDRESS_TAKEN');
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
  });

  it('passes to a newcomer who answers there, once the line of the old one was closed', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { watcher } = fixture.openLine('orders-1');
    fixture.addService('users-1', 3001);
    watcher.closed();
    value(await fixture.register('users-1', 3001, { service: 'users' }));
    await fixture.time.advanceBy(50);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ENDED');
    expect(fixture.record('users-1').state).toBe('HEALTHY');
  });

  it('passes at once from one that drains, though it still beats: a restart on a fixed port waits for nobody', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.openLine('orders-1');
    value(await fixture.registry.drain('orders-1', SECRET, {}));
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    fixture.beat('orders-1');
    await fixture.time.advanceBy(50);
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is shared by two who both show life: neither is HEALTHY, both are told why, until one is gone', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const old = fixture.openLine('orders-1');
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(3 * SECOND);
    for (const id of ['orders-1', 'orders-2']) {
      expect(fixture.record(id)).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'ADDRESS_SHARED' } });
    }
    old.watcher.closed();
    await fixture.time.advanceBy(20 * SECOND);
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('asks with the name of the newcomer, as an opinion, and calls it for nothing else meanwhile', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    const before = fixture.network.calls.length;
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(4 * SECOND);
    const opinionCalls = fixture.network.calls.slice(before).filter(({ instance }) => instance === 'orders-2');
    expect(new Set(opinionCalls.map(({ purpose }) => purpose))).toEqual(new Set(['opinion']));
  });

  it('is a question no more for a newcomer that moved on before it was answered', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(SECOND);
    fixture.addService('orders-2', 3002);
    value(await fixture.register('orders-2', 3002));
    await fixture.time.advanceBy(4 * SECOND);
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is asked by one question at a time, however often the newcomer registers', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    for (let i = 0; i < 20; i += 1) value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(10 * SECOND);
    const opinionCalls = fixture.network.calls.filter(({ purpose }) => purpose === 'opinion').length;
    expect(opinionCalls).toBeGreaterThan(2);
    expect(opinionCalls).toBeLessThan(6);
  });

  it('is asked no more once the registry is closed', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(SECOND);
    await fixture.registry.close();
    const before = fixture.network.calls.length;
    await fixture.time.advanceBy(60 * SECOND);
    expect(fixture.network.calls.length).toBe(before);
  });

  it('is refused to a newcomer by whichever of its holders answers there', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.openLine('orders-1');
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    fixture.openLine('orders-2');
    await fixture.time.advanceBy(3 * SECOND);
    expect(fixture.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
    await fixture.time.advanceBy(50);
    expect(codeOf(fixture.beat('thief-1'))).toBe('ADDRESS_TAKEN');
  });

  it('is shared no more once one of the two has moved to another', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.openLine('orders-1');
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(3 * SECOND);
    expect(fixture.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    fixture.addService('orders-1', 3001);
    fixture.addService('orders-2', 3002);
    value(await fixture.register('orders-2', 3002));
    await fixture.time.advanceBy(10 * SECOND);
    expect([fixture.record('orders-1').state, fixture.record('orders-2').state]).toEqual(['HEALTHY', 'HEALTHY']);
  });

  it('costs a holder nothing when the newcomer that answered there has moved before all is clear', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.openLine('orders-1');
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(SECOND); // the line of the old one has been asked, and is given time
    fixture.addService('orders-1', 3001);
    fixture.addService('orders-2', 3002);
    value(await fixture.register('orders-2', 3002));
    await fixture.time.advanceBy(4 * SECOND);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is a secret between the registry and who was refused it: others hear that there is no such instance', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
    await fixture.time.advanceBy(50);
    expect(codeOf(fixture.registry.instance('thief-1'))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.registry.leave('thief-1', { operator: true }))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.registry.drain('thief-1', SECRET, {}))).toBe('ADDRESS_TAKEN');
  });

  it('keeps calling the holder who registers again while a newcomer is being asked about', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { watcher } = fixture.openLine('orders-1');
    fixture.network.responders.set(3001, () => silent);
    value(await fixture.register('orders-2', 3001));
    value(await fixture.register('orders-1', 3001, { version: '2.0.0' }));
    await fixture.time.advanceBy(SECOND);
    fixture.network.responders.delete(3001);
    watcher.closed();
    await fixture.time.advanceBy(50);
    expect(fixture.record('orders-1')).toMatchObject({ state: 'CRITICAL', reason: { code: 'PROOF_OF_DEATH' } });
  });

  it('is taken from a machine that came back before silence could remove it: the dead id goes with its line', async () => {
    const { fixture, old } = await startRebooted();
    await fixture.time.advanceBy(3 * SECOND);
    expect(fixture.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    old.watcher.closed(); // the new kernel has at last refused the line of the old one
    await fixture.time.advanceBy(SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ENDED');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is taken from one whose line nobody ever closes, too; as nobody saw it die, its id may come back', async () => {
    const { fixture } = await startRebooted();
    await fixture.time.advanceBy(11 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('NOT_FOUND');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
    expect(codeOf(await fixture.register('orders-1', 3001))).toBe('ok');
  });

  it('is taken from a dead one also by a newcomer that is proved only later', async () => {
    const { fixture, old } = await startRebooted({ beats: false });
    await fixture.time.advanceBy(3 * SECOND);
    old.watcher.closed();
    await fixture.time.advanceBy(12 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ok');
    fixture.addService('orders-2', 3001);
    await fixture.time.advanceBy(6 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ENDED');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is taken from a dead one also after a restart of the registry', async () => {
    const store = new MemoryStore();
    const { fixture: before } = await startRebooted({ store });
    await before.time.advanceBy(3 * SECOND);
    await before.registry.close();
    const fixture = await RegistryFixture.start({ store });
    fixture.addService('orders-2', 3001);
    await fixture.time.advanceBy(8 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ENDED');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is kept by one that still answers there in turns, though it neither beats nor holds a line', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    let opinions = 0;
    fixture.network.responders.set(3001, ({ instance: called, nonce, purpose }) => {
      const instance = purpose === 'opinion' && (opinions += 1) % 2 === 0 ? 'orders-1' : called;
      if (called === 'orders-2' && purpose !== 'opinion') fixture.beat('orders-2', nonce);
      return { kind: 'answered', instance, nonce, ms: 2 };
    });
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(SECOND);
    expect(fixture.record('orders-2').reason.code).toBe('ADDRESS_SHARED');
    await fixture.time.advanceBy(20 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ok');
  });

  it('stays shared over a restart of the registry, and is let go as before', async () => {
    const store = new MemoryStore();
    const before = await RegistryFixture.start({ store });
    await before.registerHealthy('orders-1', 3001);
    before.openLine('orders-1');
    before.addService('orders-2', 3001);
    value(await before.register('orders-2', 3001));
    await before.time.advanceBy(3 * SECOND);
    await before.registry.close();
    const fixture = await RegistryFixture.start({ store });
    fixture.addService('orders-2', 3001);
    for (let i = 0; i < 6; i += 1) {
      fixture.beat('orders-1');
      await fixture.time.advanceBy(5 * SECOND);
    }
    expect(fixture.record('orders-2')).toMatchObject({ state: 'UNHEALTHY', reason: { code: 'ADDRESS_SHARED' } });
    await fixture.time.advanceBy(30 * SECOND);
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });
});
