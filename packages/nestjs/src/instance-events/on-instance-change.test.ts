import { Controller, Injectable, Module, Scope } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Rollcall } from '@rollcall/client';
import { recordingLog, sampleInstance } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PORTS } from '../inject.js';
import { fakeServices } from '../testing.js';
import type { FakeServices } from '../testing.js';
import { RollcallTestingModule } from '../testing.js';
import { changesBetween, OnInstanceChange } from './on-instance-change.js';
import type { InstanceChange } from './on-instance-change.js';

const known = (...instances: ReturnType<typeof sampleInstance>[]) => new Map(instances.map((one) => [one.id, one]));

describe('the changes between two views', () => {
  const [a, b] = [sampleInstance({ id: 'a' }), sampleInstance({ id: 'b' })];

  it('are none if nothing relevant to callers has changed', () => {
    expect(changesBetween('orders', known(a, b), [a, sampleInstance({ id: 'b', weight: 7 })])).toEqual([]);
  });

  it('are the added instances, changed states or admin states, and removed instances', () => {
    const unhealthy = sampleInstance({ id: 'a', state: 'UNHEALTHY' });
    const drained = sampleInstance({ id: 'b', admin: 'DRAINING' });
    const c = sampleInstance({ id: 'c' });
    const changes = changesBetween('orders', known(a, b), [c, unhealthy, drained]);
    expect(changes).toEqual([
      { kind: 'came', service: 'orders', instance: c, before: null },
      { kind: 'state', service: 'orders', instance: unhealthy, before: a },
      { kind: 'state', service: 'orders', instance: drained, before: b },
    ]);
    expect(changesBetween('orders', known(a, b), [b])).toEqual([
      { kind: 'went', service: 'orders', instance: a, before: a },
    ]);
  });
});

const events: string[] = [];
const note = (listener: string, { kind, service, instance, before }: InstanceChange): void =>
  void events.push(`${listener} ${kind} ${service} ${instance.id} ${before?.state ?? '-'}>${instance.state}`);

@Injectable()
class Cache {
  @OnInstanceChange('orders')
  onOrders(change: InstanceChange): void {
    note('cache', change);
  }
}

@Injectable()
class Throwing {
  @OnInstanceChange('orders')
  throws(): void {
    throw new Error('it broke');
  }

  @OnInstanceChange('orders')
  async rejects(): Promise<void> {
    throw new Error('it broke later');
  }
}

@Controller()
class Board {
  @OnInstanceChange('orders', 'users')
  onAny(change: InstanceChange): void {
    note('board', change);
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  @OnInstanceChange('orders')
  never(change: InstanceChange): void {
    note('request', change);
  }
}

async function start(services: FakeServices) {
  events.length = 0;
  const log = recordingLog();
  @Module({ providers: [Throwing, Cache, PerRequest], controllers: [Board] })
  class Feature {}
  const provider = services.providers().find(({ provide }) => provide === PORTS)!;
  const root = RollcallTestingModule.forRoot(services);
  const module = await Test.createTestingModule({ imports: [root, Feature] })
    .overrideProvider(PORTS)
    .useFactory({
      inject: provider.inject!,
      factory: (...injected: unknown[]) => ({ ...provider.useFactory(...injected), log }),
    })
    .compile();
  onTestFinished(() => module.close());
  await module.init();
  return { module, log };
}

describe('@OnInstanceChange', () => {
  it('is called with the instances at the start of the watch, and with every later change', async () => {
    const services = fakeServices({ orders: {}, users: {}, others: { find: () => 'found' } });
    const { module } = await start(services);
    expect(events).toEqual([]);
    // the first start of the client begins the watch
    const rollcall = module.get(Rollcall);
    rollcall.start();
    await expect.poll(() => events.length).toBe(3);
    expect(events.toSorted()).toEqual([
      'board came orders orders-1 ->HEALTHY',
      'board came users users-1 ->HEALTHY',
      'cache came orders orders-1 ->HEALTHY',
    ]);
    events.length = 0;
    services.service('orders').instances[0]?.become('UNHEALTHY');
    const second = services.service('orders').addInstance({ state: 'REGISTERING' });
    await expect.poll(() => events.length).toBe(4);
    expect(events.filter((line) => line.startsWith('cache'))).toEqual([
      'cache state orders orders-1 HEALTHY>UNHEALTHY',
      'cache came orders orders-2 ->REGISTERING',
    ]);
    events.length = 0;
    second.remove();
    await expect
      .poll(() => events)
      .toEqual(expect.arrayContaining(['cache went orders orders-2 REGISTERING>REGISTERING']));
  });

  it('is isolated: an error is logged and affects no other listener', async () => {
    const { module, log } = await start(fakeServices({ orders: {}, users: {} }));
    module.get(Rollcall).start();
    await expect.poll(() => events.length).toBe(3);
    await expect
      .poll(() => log.texts('error').toSorted())
      .toEqual([
        'Throwing.rejects failed with a change of orders: it broke later',
        'Throwing.throws failed with a change of orders: it broke',
      ]);
    expect(log.texts('warn')).toEqual([
      expect.stringContaining('PerRequest.never has @OnInstanceChange but is made for each request'),
    ]);
  });

  it('is no longer called once the application is closed', async () => {
    const services = fakeServices({ orders: {}, users: {} });
    const { module } = await start(services);
    module.get(Rollcall).start();
    await expect.poll(() => events.length).toBe(3);
    await module.close();
    services.service('orders').addInstance();
    await Promise.resolve();
    expect(events).toHaveLength(3);
  });
});

describe('the log', () => {
  it('has one line for each change of a watched service, and one for many at once', async () => {
    const services = fakeServices({ orders: {}, users: {} });
    for (let i = 0; i < 20; i += 1) services.service('orders').addInstance();
    const { module, log } = await start(services);
    module.get(Rollcall).start();
    await expect.poll(() => log.texts('debug')).toContain('… and 11 more changes of orders at once.');
    expect(log.texts('debug')).toContain('orders…rs-1 is there: HEALTHY.');
    services.service('orders').instances[0]?.become('CRITICAL', 'it fell over');
    await expect.poll(() => log.texts('info')).toContain('orders…rs-1 is CRITICAL (was HEALTHY): it fell over.');
  });
});
