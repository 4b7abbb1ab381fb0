import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

/** A machine lost power, so nothing was closed; nine seconds later it is back, and a new process has the address. */
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
  it('stays with the holder that answers there: the newcomer is removed, and gets ADDRESS_TAKEN', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
    await fixture.time.advanceBy(50);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    expect(codeOf(fixture.beat('thief-1'))).toBe('ADDRESS_TAKEN');
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
  });

  it('passes to a newcomer that answers there once the line of the holder has closed', async () => {
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

  it('passes at once from a draining holder that still beats, so a restart on a fixed port does not wait', async () => {
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

  it('is shared by two instances that are both alive: neither is HEALTHY until one is gone', async () => {
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

  it('is probed with the id of the newcomer, only as an opinion until it is resolved', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    const before = fixture.network.calls.length;
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(4 * SECOND);
    const opinionCalls = fixture.network.calls.slice(before).filter(({ instance }) => instance === 'orders-2');
    expect(new Set(opinionCalls.map(({ purpose }) => purpose))).toEqual(new Set(['opinion']));
  });

  it('is no conflict any more for a newcomer that moved before it was resolved', async () => {
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

  it('is probed once at a time, even if the newcomer registers repeatedly', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.network.responders.set(3001, () => silent);
    for (let i = 0; i < 20; i += 1) value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(10 * SECOND);
    const opinionCalls = fixture.network.calls.filter(({ purpose }) => purpose === 'opinion').length;
    expect(opinionCalls).toBeGreaterThan(2);
    expect(opinionCalls).toBeLessThan(6);
  });

  it('is not probed any more once the registry is closed', async () => {
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

  it('is refused to a newcomer if any of its holders answers there', async () => {
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

  it('is not shared any more once one of the two has moved', async () => {
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

  it('stays with the holder if the newcomer that answered there moves before it is resolved', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    fixture.openLine('orders-1');
    fixture.addService('orders-2', 3001);
    value(await fixture.register('orders-2', 3001));
    await fixture.time.advanceBy(SECOND); // the line of the holder was pinged, and has time to answer
    fixture.addService('orders-1', 3001);
    fixture.addService('orders-2', 3002);
    value(await fixture.register('orders-2', 3002));
    await fixture.time.advanceBy(4 * SECOND);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is reported as taken only with the secret: other clients get NOT_FOUND', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    value(await fixture.register('thief-1', 3001, { service: 'thieves' }));
    await fixture.time.advanceBy(50);
    expect(codeOf(fixture.registry.instance('thief-1'))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.registry.leave('thief-1', { operator: true }))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.registry.drain('thief-1', SECRET, {}))).toBe('ADDRESS_TAKEN');
  });

  it('does not stop the calls of a holder that registers again during a conflict', async () => {
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

  it('is taken from a machine that rebooted before silence removed it: the dead id ends with its line', async () => {
    const { fixture, old } = await startRebooted();
    await fixture.time.advanceBy(3 * SECOND);
    expect(fixture.record('orders-1').reason.code).toBe('ADDRESS_SHARED');
    old.watcher.closed(); // the new kernel has refused the line of the old one
    await fixture.time.advanceBy(SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('ENDED');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
  });

  it('is taken from an instance whose line never closes, too; without proof of death its id may come back', async () => {
    const { fixture } = await startRebooted();
    await fixture.time.advanceBy(11 * SECOND);
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('NOT_FOUND');
    expect(fixture.record('orders-2').state).toBe('HEALTHY');
    expect(codeOf(await fixture.register('orders-1', 3001))).toBe('ok');
  });

  it('is taken from a dead instance also by a newcomer that is proved later', async () => {
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

  it('is taken from a dead instance also after a restart of the registry', async () => {
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

  it('is kept by an instance that still answers there in turns, without beats and without a line', async () => {
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

  it('stays shared over a restart of the registry, and is then released as before', async () => {
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
