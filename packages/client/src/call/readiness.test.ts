import type { Frame, Instance } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { RollcallOptions } from '../options.js';
import { createInstance, resetFrame, FakeLink } from '../registry-client/registry-client.fixture.js';
import { Rollcall } from '../rollcall.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function setUp(options: RollcallOptions = {}) {
  const time = new ManualTime();
  const link = new FakeLink();
  const rollcall = new Rollcall(options, { time, random: seededRandom(1), link });
  cleanups.push(() => rollcall.close());
  /** The result of the wait so far: null, `ready`, or the error. */
  const outcome: { of: unknown } = { of: null };
  const wait = async (...args: Parameters<Rollcall['ready']>): Promise<void> => {
    rollcall.ready(...args).then(
      () => (outcome.of = 'ready'),
      (error: unknown) => (outcome.of = error),
    );
    await time.advanceBy(0);
  };
  return { time, link, rollcall, outcome, wait };
}

const is = (service: string, fields: Partial<Instance> = {}): Frame =>
  resetFrame([createInstance({ id: `${service}-1`, service, ...fields })], fields.revision ?? 1);
const unknownFrame = (service: string, nearest?: string): Frame => ({
  event: 'unknown',
  data: { namespace: 'default', service, ...(nearest === undefined ? {} : { nearest }) },
});

describe('Rollcall.ready', () => {
  it('resolves when each service has an instance for calls', async () => {
    const { time, link, outcome, wait } = setUp();
    await wait(['orders', 'users']);
    expect(link.stream.request.services).toEqual(['orders', 'users']);
    link.stream.accept([is('orders'), unknownFrame('users')]);
    await time.advanceBy(5_000);
    expect(outcome.of).toBe(null);
    link.stream.flush([is('users', { state: 'REGISTERING', revision: 2 })], 2);
    await time.advanceBy(1);
    expect(outcome.of).toBe(null);
    link.stream.flush([is('users', { revision: 3 })], 3);
    await time.advanceBy(0);
    expect(outcome.of).toBe('ready');
    expect(time.pending().foreground).toBe(0);
  });

  it('resolves at once if they already have one, and without any names', async () => {
    const { link, outcome, wait, rollcall } = setUp();
    await wait('orders');
    link.stream.accept([is('orders', { state: 'UNHEALTHY' })]);
    await expect(rollcall.ready(['orders'], { timeoutMs: 0 })).resolves.toBeUndefined();
    await expect(rollcall.ready()).resolves.toBeUndefined();
    expect(outcome.of).toBe('ready');
  });

  it('waits for the dependencies of the process if no service is named', async () => {
    const { time, link, rollcall, outcome, wait } = setUp();
    rollcall.dependOn('orders');
    rollcall.dependOn('users');
    await wait();
    link.stream.accept([is('orders')]);
    await time.advanceBy(1);
    expect(outcome.of).toBe(null);
    link.stream.flush([is('users')], 2);
    await time.advanceBy(0);
    expect(outcome.of).toBe('ready');
  });

  it('does not wait for services with fixed addresses', async () => {
    const { rollcall } = setUp();
    rollcall.fix('payments', [{ protocol: 'http', host: '10.0.0.9', port: 80 }]);
    await expect(rollcall.ready('payments')).resolves.toBeUndefined();
  });

  it('accepts the states that the policy of the service allows', async () => {
    const { time, link, outcome, wait } = setUp({ calls: { services: { orders: { allowedStates: ['HEALTHY'] } } } });
    await wait('orders', { timeoutMs: 50 });
    link.stream.accept([is('orders', { state: 'UNHEALTHY' })]);
    await time.advanceBy(50);
    expect(outcome.of).toMatchObject({ message: expect.stringContaining('orders (none may be called: 1 UNHEALTHY)') });
  });

  it('lists at the timeout the missing services with the reasons', async () => {
    const { time, link, outcome, wait } = setUp();
    await wait(['orders', 'ordres', 'users', 'stock', 'payments', 'empty']);
    const leaving = is('users', { state: 'DEREGISTERING' });
    const frames = [is('orders'), unknownFrame('ordres', 'orders'), is('stock', { state: 'REGISTERING' }), leaving];
    const empty = resetFrame([createInstance({ service: 'empty' })]) as Extract<Frame, { event: 'reset' }>;
    link.stream.accept([...frames, { event: 'reset', data: { ...empty.data, instances: [] } }]);
    await time.advanceBy(9_999);
    expect(outcome.of).toBe(null);
    await time.advanceBy(1);
    expect(outcome.of).toMatchObject({
      code: 'NO_CATALOG',
      retryable: true,
      message:
        'Not ready within 10000 ms: ordres (the registry knows no such service; did you mean orders?), ' +
        'users (all are leaving or disabled by an operator: 1 DEREGISTERING), stock (none has answered the registry yet: 1 REGISTERING), ' +
        'payments (the registry has not reported it yet), empty (no instance is registered).',
    });
  });

  it.each([
    ['UNKNOWN_SERVICE', unknownFrame('orders')],
    ['NO_INSTANCE', is('orders', { admin: 'DRAINING' })],
  ])('rejects with %s if that is the only cause', async (code, frame) => {
    const { time, link, outcome, wait } = setUp();
    await wait('orders', { timeoutMs: 20 });
    link.stream.accept([frame]);
    await time.advanceBy(20);
    expect(outcome.of).toMatchObject({ code, retryable: true });
  });

  it('reports that no registry answers', async () => {
    const { time, link, outcome, wait } = setUp();
    await wait('orders', { timeoutMs: 20 });
    link.stream.end();
    await time.advanceBy(20);
    expect(outcome.of).toMatchObject({
      code: 'NO_CATALOG',
      message: 'Not ready within 20 ms: orders (no registry answers at http://registry.test).',
    });
  });

  it('reports that the process itself has not registered, if it has a service', async () => {
    const { time, rollcall, outcome, wait } = setUp({ service: 'shop' });
    await wait('orders', { timeoutMs: 20 });
    await time.advanceBy(20);
    expect(outcome.of).toMatchObject({ message: expect.stringContaining('This process, shop, has not registered') });
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await wait('orders', { timeoutMs: 20 });
    await time.advanceBy(20);
    expect(outcome.of).toMatchObject({ message: expect.not.stringContaining('has not registered') });
  });

  it('ends when its signal aborts', async () => {
    const { outcome, wait, time, rollcall } = setUp();
    const over = new AbortController();
    await wait('orders', { signal: over.signal });
    over.abort(new Error('enough'));
    await time.advanceBy(0);
    expect(outcome.of).toMatchObject({ code: 'CANCELLED', cause: expect.objectContaining({ message: 'enough' }) });
    expect(time.pending().foreground).toBe(0);
    await expect(rollcall.ready('orders', { signal: over.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('ends when the client is closed', async () => {
    const { outcome, wait, time, rollcall } = setUp();
    await wait('orders');
    await rollcall.close();
    await time.advanceBy(0);
    expect(outcome.of).toMatchObject({ code: 'CLOSED' });
  });

  it.each([-1, NaN, Infinity, 2 ** 31])('refuses a timeout of %d ms', async (timeoutMs) => {
    const { rollcall } = setUp();
    await expect(rollcall.ready('orders', { timeoutMs })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
