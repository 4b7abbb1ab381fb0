import type { Registration } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { Outcome, Watcher, WatcherSink } from '../registry-api.js';
import { codeOf, SECOND, SECRET, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';

const OTHER = { address: '10.0.0.6' };

function createRegistration(id: string, overrides: Partial<Registration> = {}): Registration {
  return { id, service: 'orders', secret: SECRET, endpoints: [{ protocol: 'tcp', port: 3001 }], ...overrides };
}

/** Registers an instance from the address of `peer`. */
const registerFrom = (
  { registry }: RegistryFixture,
  peer: { readonly address: string; readonly token?: string },
  id: string,
): ReturnType<RegistryFixture['register']> => registry.register(createRegistration(id), peer);

const detailOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.problem.detail);

describe('a registry that is full', () => {
  it('names the limit, the count, the fix, and the time of the next attempt', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 1 } });
    value(await fixture.register('orders-1', 3001));
    expect(await fixture.register('orders-2', 3002)).toEqual({
      ok: false,
      problem: {
        code: 'TOO_MANY',
        detail: 'This registry holds 1 instances, and maxInstances is 1.',
        fix: 'Remove instances that are not needed, or raise maxInstances in the registry; then try again.',
        retryAfterMs: 10_000,
      },
    });
  });

  it('keeps its limit for concurrent registrations', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 5 }, store: new SlowStore() });
    const all = Array.from({ length: 20 }, (_, index) => fixture.register(`orders-${index}`, 3000 + index));
    const outcomes = await Promise.all(all);
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(5);
    expect(value(fixture.registry.describe()).instances).toBe(5);
  });

  it('accepts known instances again, and a new one once an instance has left', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 1 } });
    value(await fixture.register('orders-1', 3001));
    value(await fixture.register('orders-1', 3005, { version: '2' }));
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    value(await fixture.register('orders-2', 3002));
  });

  it('keeps no place for an instance that is refused for its address or not stored, and refunds its allowance', async () => {
    const store = new SlowStore();
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 1, maxInstancesPerSource: 1 }, store });
    const endpoints = [{ protocol: 'tcp' as const, host: '10.9.9.9', port: 80 }];
    expect(codeOf(await fixture.register('orders-1', 1, { endpoints }))).toBe('ADDRESS_NOT_ALLOWED');
    store.isFull = true;
    for (let i = 0; i < 200; i += 1) expect(codeOf(await fixture.register('orders-1', 3001))).toBe('NOT_READY');
    store.isFull = false;
    value(await fixture.register('orders-1', 3001));
  });
});

describe('a source at its limit', () => {
  const limits = { maxInstancesPerSource: 2 };

  it('is refused more instances, and other sources are not', async () => {
    const fixture = await RegistryFixture.start({ limits });
    value(await fixture.register('orders-1', 3001));
    value(await fixture.register('orders-2', 3002));
    expect(detailOf(await fixture.register('orders-3', 3003))).toBe(
      '2 instances were registered from 10.0.0.5, and maxInstancesPerSource is 2.',
    );
    value(await registerFrom(fixture, OTHER, 'orders-4'));
  });

  it('is counted again after a restart of the registry', async () => {
    const store = new MemoryStore();
    const before = await RegistryFixture.start({ limits, store });
    value(await before.register('orders-1', 3001));
    value(await before.register('orders-2', 3002));
    await before.registry.close();
    const fixture = await RegistryFixture.start({ limits, store });
    expect(codeOf(await fixture.register('orders-3', 3003))).toBe('TOO_MANY');
    value(await registerFrom(fixture, OTHER, 'orders-4'));
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    value(await fixture.register('orders-3', 3003));
  });

  it('may register new instances at a limited rate, and known ones at any rate', async () => {
    const fixture = await RegistryFixture.start({ limits });
    for (let i = 0; i < 100; i += 1) {
      value(await fixture.register(`short-${i}`, 3001));
      value(await fixture.registry.leave(`short-${i}`, { secret: SECRET }));
    }
    expect(await fixture.register('orders-3', 3001)).toMatchObject({
      problem: {
        code: 'TOO_MANY',
        detail: '10.0.0.5 registers new instances too fast: it may register 100 at once, and 100 a minute.',
        retryAfterMs: 600,
      },
    });
    await fixture.time.advanceBy(600);
    value(await fixture.register('orders-3', 3001));
    for (let i = 0; i < 10; i += 1) value(await fixture.register('orders-3', 3001));
  });

  it('uses no allowance for an id that silence removed and that comes back', async () => {
    const fixture = await RegistryFixture.start({ limits });
    value(await fixture.register('orders-1', 3001));
    await fixture.time.advanceBy(59 * SECOND);
    for (let i = 0; i < 100; i += 1) {
      value(await fixture.register(`short-${i}`, 3001));
      value(await fixture.registry.leave(`short-${i}`, { secret: SECRET }));
    }
    expect(codeOf(fixture.registry.instance('orders-1'))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.register('orders-2', 3001))).toBe('TOO_MANY');
    value(await fixture.register('orders-1', 3001));
  });
});

describe('a token at its limit', () => {
  const limits = { maxInstancesPerToken: 2 };
  const A = { address: '10.0.0.5', token: 'aaaaaaaaaa' };
  const B = { address: '10.0.0.6', token: 'bbbbbbbbbb' };

  it('is refused more instances from any address, and other tokens are not', async () => {
    const fixture = await RegistryFixture.start({ limits });
    value(await registerFrom(fixture, A, 'orders-1'));
    value(await registerFrom(fixture, { ...A, address: '10.0.0.7' }, 'orders-2'));
    expect(await registerFrom(fixture, { ...A, address: '10.0.0.8' }, 'orders-3')).toMatchObject({
      problem: {
        code: 'TOO_MANY',
        detail: 'Token aaaaaaaaaa holds 2 instances, and maxInstancesPerToken is 2.',
        fix: expect.stringContaining('raise maxInstancesPerToken'),
        retryAfterMs: 10_000,
      },
    });
    value(await registerFrom(fixture, A, 'orders-1'));
    value(await registerFrom(fixture, B, 'orders-3'));
    value(await fixture.registry.leave('orders-2', { secret: SECRET }));
    value(await registerFrom(fixture, A, 'orders-4'));
  });

  it('passes an instance to the token that replaces it, within the limit of that token', async () => {
    const fixture = await RegistryFixture.start({ limits });
    for (const id of ['orders-1', 'orders-2']) value(await registerFrom(fixture, A, id));
    for (const id of ['users-1', 'users-2']) value(await registerFrom(fixture, B, id));
    expect(codeOf(await registerFrom(fixture, B, 'orders-1'))).toBe('TOO_MANY');
    value(await fixture.registry.leave('users-1', { secret: SECRET }));
    value(await registerFrom(fixture, B, 'orders-1'));
    value(await registerFrom(fixture, A, 'orders-3'));
    expect(codeOf(await registerFrom(fixture, B, 'orders-4'))).toBe('TOO_MANY');
  });

  it('is counted again after a restart of the registry', async () => {
    const store = new MemoryStore();
    const before = await RegistryFixture.start({ limits, store });
    for (const id of ['orders-1', 'orders-2']) value(await registerFrom(before, A, id));
    await before.registry.close();
    const fixture = await RegistryFixture.start({ limits, store });
    expect(codeOf(await registerFrom(fixture, A, 'orders-3'))).toBe('TOO_MANY');
  });

  it('does not hold an instance that could not be stored, which stays with the token before', async () => {
    const store = new SlowStore();
    const fixture = await RegistryFixture.start({ limits: { maxInstancesPerToken: 1 }, store });
    value(await registerFrom(fixture, A, 'orders-1'));
    store.isFull = true;
    expect(codeOf(await registerFrom(fixture, B, 'orders-1'))).toBe('NOT_READY');
    store.isFull = false;
    expect(codeOf(await registerFrom(fixture, A, 'orders-2'))).toBe('TOO_MANY');
    value(await registerFrom(fixture, B, 'orders-3'));
  });

  it('is called a certificate if it is one', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstancesPerToken: 1, maxRegistrationsPerToken: 2 } });
    const by = { ...A, token: 'cert:0123456789abcdef' };
    value(await registerFrom(fixture, by, 'orders-1'));
    expect(detailOf(await registerFrom(fixture, by, 'orders-2'))).toMatch(
      /^Certificate cert:0123456789abcdef holds 1 /,
    );
    expect(detailOf(await registerFrom(fixture, by, 'orders-2'))).toMatch(
      /^Certificate cert:0123456789abcdef registers /,
    );
  });

  it('waits if it registers too often, for known instances, too', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxRegistrationsPerToken: 3 } });
    for (let i = 0; i < 3; i += 1) value(await registerFrom(fixture, A, 'orders-1'));
    expect(await registerFrom(fixture, A, 'orders-1')).toMatchObject({
      problem: { code: 'TOO_MANY', detail: expect.stringContaining('registers too often'), retryAfterMs: 20_000 },
    });
    value(await registerFrom(fixture, B, 'orders-2'));
    await fixture.time.advanceBy(20 * SECOND);
    value(await registerFrom(fixture, A, 'orders-1'));
  });
});

describe('a service or an address at its limit', () => {
  it('is refused more instances, and other services are not', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstancesPerService: 1 } });
    value(await fixture.register('orders-1', 3001));
    expect(detailOf(await fixture.register('orders-2', 3002))).toBe(
      'The service default/orders has 1 instances, and maxInstancesPerService is 1.',
    );
    value(await fixture.register('orders-2', 3002, { namespace: 'test' }));
    value(await fixture.register('users-1', 3003, { service: 'users' }));
  });

  it('has at most 32 instances, whether they are new there or move there', async () => {
    const fixture = await RegistryFixture.start();
    for (let i = 0; i < 32; i += 1) value(await fixture.register(`orders-${i}`, 3001));
    const detail = '32 instances are registered at 10.0.0.5:3001, and one address may have 32.';
    expect(detailOf(await fixture.register('orders-32', 3001))).toBe(detail);
    value(await fixture.register('orders-32', 3002));
    expect(detailOf(await fixture.register('orders-32', 3001))).toBe(detail);
    value(await fixture.register('orders-0', 3001, { version: '2' }));
  });
});

describe('an address or a host with many concurrent registrations', () => {
  it('has at most 32 instances, even if all are stored at once', async () => {
    const fixture = await RegistryFixture.start({ store: new SlowStore() });
    const all = Array.from({ length: 100 }, (_, index) => fixture.register(`orders-${index}`, 3001));
    expect((await Promise.all(all)).filter(({ ok }) => ok)).toHaveLength(32);
  });

  it('has at most 1,000 endpoints that other hosts registered; its own are not limited', async () => {
    const fixture = await RegistryFixture.start({ store: new SlowStore(), allowedNetworks: ['10.0.0.0/8'] });
    const register = (id: string, port: number, address: string) =>
      fixture.registry.register(createRegistration(id, { endpoints: [{ protocol: 'tcp', host: '10.9.9.9', port }] }), {
        address,
      });
    const all = Array.from({ length: 1_100 }, (_, index) => register(`orders-${index}`, 3000 + index, '10.0.0.5'));
    expect((await Promise.all(all)).filter(({ ok }) => ok)).toHaveLength(1_000);
    expect(detailOf(await register('orders-2000', 80, '10.0.0.5'))).toBe(
      '1000 endpoints are registered on 10.9.9.9, and a host may have 1000 that were not registered from there.',
    );
    value(await register('orders-0', 80, '10.0.0.5'));
    value(await register('orders-3000', 81, '10.9.9.9'));
    value(await fixture.registry.leave('orders-1', { secret: SECRET }));
    value(await fixture.registry.leave('orders-2', { secret: SECRET }));
    value(await register('orders-2000', 82, '10.0.0.5'));
  });
});

describe('the log of refusals', () => {
  it('has one line per limit and minute, and then the number of suppressed ones', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 1 } });
    value(await fixture.register('orders-1', 3001));
    const lines = (): readonly string[] => fixture.log.texts('warn').filter((line) => line.startsWith('Refused'));
    for (let i = 0; i < 100; i += 1) await fixture.register('orders-2', 3002);
    expect(lines()).toEqual(['Refused: This registry holds 1 instances, and maxInstances is 1.']);
    fixture.addService('orders-1', 3001);
    await fixture.time.advanceBy(60 * SECOND);
    await fixture.register('orders-2', 3002);
    expect(lines().at(-1)).toMatch(/maxInstances is 1\. \(99 times more since it was last logged\.\)$/);
  });
});

describe('watchers', () => {
  it('are limited, and a place is free once a watcher is gone, cut or ended', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxWatchers: 1 } });
    const first = value(watch(fixture).outcome);
    expect(watch(fixture).outcome).toMatchObject({
      problem: {
        code: 'TOO_MANY',
        detail: '1 streams and long polls are open, and maxWatchers is 1.',
        retryAfterMs: 10_000,
      },
    });
    first.closed();
    first.closed();
    const slow = watch(fixture, { sink: { backlog: () => 2_000_000 } });
    value(slow.outcome);
    expect(codeOf(watch(fixture).outcome)).toBe('TOO_MANY');
    for (let i = 0; i < 4; i += 1) await fixture.time.advanceBy(10 * SECOND);
    expect(slow.isEnded()).toBe(true);
    value(watch(fixture).outcome);
  });

  it('of one source leave room for those of another', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxWatchersPerSource: 1 } });
    value(watch(fixture).outcome);
    expect(detailOf(watch(fixture).outcome)).toBe(
      '1 streams and long polls are open from 10.0.0.5, and maxWatchersPerSource is 1.',
    );
    value(watch(fixture, { peer: '10.0.0.6' }).outcome);
  });

  it('take the line of no instance: each may open its own, repeatedly', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxWatchers: 1, maxWatchersPerSource: 1 } });
    await fixture.registerHealthy('orders-1', 3001);
    value(watch(fixture).outcome);
    const lines = Array.from({ length: 5 }, () => watch(fixture, { line: 'orders-1' }));
    expect(lines.map(({ outcome }) => outcome.ok)).toEqual([true, true, true, true, true]);
    expect(lines.map(({ isEnded }) => isEnded())).toEqual([true, true, true, false, false]);
    expect(value(fixture.registry.describe()).watchers).toBe(3);
    expect(fixture.record('orders-1').state).toBe('HEALTHY');
  });

  it('include the lines of instances that have left', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxWatchers: 2 } });
    const open: ReturnType<typeof watch>[] = [];
    for (let i = 0; i < 5; i += 1) {
      value(await fixture.register(`orders-${i}`, 3001));
      open.push(watch(fixture, { line: `orders-${i}` }));
      value(await fixture.registry.leave(`orders-${i}`, { secret: SECRET }));
    }
    expect(open.map(({ isEnded }) => isEnded())).toEqual([false, false, true, true, true]);
    expect(codeOf(watch(fixture).outcome)).toBe('TOO_MANY');
    for (const { outcome } of open.slice(0, 1)) value(outcome).closed();
    value(watch(fixture).outcome);
  });
});

interface Watching {
  readonly peer?: string;
  readonly line?: string;
  readonly sink?: Partial<WatcherSink>;
}

function watch(
  fixture: RegistryFixture,
  { peer = '10.0.0.5', line, sink = {} }: Watching = {},
): { readonly outcome: Outcome<Watcher>; readonly isEnded: () => boolean } {
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
  };
  const order = {
    namespace: 'default',
    services: ['orders'],
    resume: [],
    cursor: null,
    line: line === undefined ? null : { id: line, secret: SECRET },
    peer,
  };
  const outcome = fixture.registry.watch(order, { flush() {}, beat() {}, backlog: () => 0, end, ...sink });
  return { outcome, isEnded: () => isEnded };
}

/** A store whose every write takes a turn of the event loop. */
class SlowStore extends MemoryStore {
  isFull = false;

  override async write(...of: Parameters<MemoryStore['write']>): Promise<void> {
    await Promise.resolve();
    if (this.isFull) throw new Error('No space left.');
    await super.write(...of);
  }
}
