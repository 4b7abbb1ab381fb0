import 'reflect-metadata';
import { connect } from 'node:net';
import { Controller, Get, HttpException, Inject, Injectable, Module, Param } from '@nestjs/common';
import { MessagePattern, RpcException, Transport } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { Rollcall } from '@rollcall/client';
import type { RollcallError } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { lastValueFrom, of, toArray } from 'rxjs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { InjectService } from './inject.js';
import { RollcallModule } from './rollcall.module.js';
import { ServiceClient } from './calls/service-client.js';
import { fakeServices, RollcallTestingModule } from './testing.js';
import type { FakeHttpRequest, FakeServices } from './testing.js';

@Injectable()
class Checkout {
  constructor(@InjectService('orders') readonly orders: ServiceClient) {}
}

@Module({ imports: [RollcallModule.forFeature(['orders'])], providers: [Checkout], exports: [Checkout] })
class CheckoutModule {}

/** An unmodified application, with a registry that a test must not reach. */
@Module({
  imports: [
    RollcallModule.forRoot({ service: 'gateway', registry: 'http://192.0.2.1:1337', cache: '/nowhere' }),
    CheckoutModule,
  ],
})
class AppModule {}

const keep = (module: TestingModule): TestingModule => {
  onTestFinished(() => module.close());
  return module;
};

async function appWith(services: FakeServices): Promise<ServiceClient> {
  const module = keep(await services.applyTo(Test.createTestingModule({ imports: [AppModule] })).compile());
  return module.get(Checkout, { strict: false }).orders;
}

const failure = (promise: Promise<unknown>): Promise<RollcallError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: RollcallError) => error,
  );

describe('fake services', () => {
  it('answer an unmodified application, with any registry', async () => {
    const services = fakeServices({ orders: { find: ({ id }: { id: string }) => ({ id, total: 42 }) } });
    const orders = await appWith(services);
    expect(await orders.call('find', { id: '7' })).toEqual({ id: '7', total: 42 });
    expect(services.calls).toMatchObject([
      { service: 'orders', instance: 'orders-1', name: 'find', input: { id: '7' }, attempt: 1 },
    ]);
  });

  it('are a root module for a feature module alone', async () => {
    const root = RollcallTestingModule.forRoot({ orders: { find: () => 'found' } });
    const module = keep(await Test.createTestingModule({ imports: [root, CheckoutModule] }).compile());
    expect(await lastValueFrom(module.get(Checkout, { strict: false }).orders.send('find', {}))).toBe('found');
  });

  it('answer streams, events, promises and objects as patterns', async () => {
    const placed = vi.fn();
    const services = fakeServices({
      orders: {
        all: () => of(1, 2, 3),
        placed,
        later: async () => 'later',
        '{"cmd":"sum"}': (numbers: number[]) => numbers.length,
      },
    });
    const orders = await appWith(services);
    expect(await lastValueFrom(orders.send('all', {}).pipe(toArray()))).toEqual([1, 2, 3]);
    await lastValueFrom(orders.emit('placed', { id: 7 }), { defaultValue: null });
    expect(placed).toHaveBeenCalledWith({ id: 7 }, expect.objectContaining({ name: 'placed' }));
    expect(await orders.call('later', {})).toBe('later');
    expect(await orders.call({ cmd: 'sum' }, [1, 2])).toBe(2);
  });

  it('return copies, as a network does', async () => {
    const stored = { id: 7, at: new Date(0), secret: undefined };
    const orders = await appWith(fakeServices({ orders: { find: () => stored } }));
    expect(await orders.call('find', {})).toEqual({ id: 7, at: '1970-01-01T00:00:00.000Z' });
  });

  it('may be an object of a class', async () => {
    class FakeOrders {
      count = 0;
      next(): number {
        this.count += 1;
        return this.count;
      }
    }
    const orders = await appWith(fakeServices({ orders: new FakeOrders() }));
    await orders.call('next', {});
    expect(await orders.call('next', {})).toBe(2);
  });

  it('fail as a Nest handler does', async () => {
    const services = fakeServices({
      orders: {
        refuse: () => {
          throw new RpcException({ status: 'error', message: 'sold out' });
        },
        crash: () => {
          throw new TypeError('a secret of the handler');
        },
      },
    });
    const orders = await appWith(services);
    expect(await failure(orders.call('refuse', {}))).toMatchObject({ code: 'REMOTE', cause: { message: 'sold out' } });
    expect(await failure(orders.call('crash', {}))).toMatchObject({
      code: 'REMOTE',
      cause: { message: 'Internal server error' },
    });
    expect((await failure(orders.call('fnid', {}))).message).toContain('The fake service "orders" has refuse, crash');
  });

  it('do not exist unless a test adds them', async () => {
    const services = fakeServices({ users: {} });
    const orders = await appWith(services);
    expect((await failure(orders.call('find', {}))).code).toBe('UNKNOWN_SERVICE');
    services.overrideService('orders', { find: () => 'there now' });
    expect(await orders.call('find', {})).toBe('there now');
  });

  it('can be overridden handler by handler, and reset', async () => {
    const services = fakeServices({ orders: { find: () => 'usual', list: () => 'list' } });
    const orders = await appWith(services);
    services.overrideService('orders', { find: (data: unknown) => ({ data }) });
    expect([await orders.call('find', 1), await orders.call('list', 1)]).toEqual([{ data: 1 }, 'list']);
    services.service('orders').fault({ kind: 'error', error: new Error('x') });
    services.reset();
    expect(await orders.call('find', 1)).toBe('usual');
    expect(services.calls).toHaveLength(1);
  });

  it('play a service of fixed addresses, too', async () => {
    const feature = RollcallModule.forFeature([
      { service: 'legacy', static: [{ protocol: 'tcp', host: '192.0.2.1', port: 4001 }], token: 'LEGACY' },
    ]);
    const root = RollcallTestingModule.forRoot({ legacy: { find: () => 'old' } });
    const module = keep(await Test.createTestingModule({ imports: [root, feature] }).compile());
    expect(await module.get<ServiceClient>('LEGACY', { strict: false }).call('find', {})).toBe('old');
  });

  it('report mistakes of the test itself', () => {
    const services = fakeServices({ orders: {} });
    expect(() => services.add('orders', {})).toThrow('already');
    expect(() => services.service('ordres')).toThrow('There are: orders.');
  });
});

const shop = (): FakeServices =>
  fakeServices({
    orders: {
      'GET /orders/:id': ({ params, query, headers }: FakeHttpRequest) => ({
        ...params,
        full: query.get('full'),
        as: headers.get('x-as'),
      }),
      'POST /orders': ({ body }: FakeHttpRequest) => ({ body }),
      'GET /text': () => new Response('plain', { status: 202, headers: { 'x-kind': 'text' } }),
      'GET /gone': () => {
        throw new HttpException({ message: 'gone' }, 410);
      },
      'GET /busy': () => new Response('busy', { status: 503 }),
    },
  });

describe('fake services over HTTP', () => {
  it('answer by route', async () => {
    const orders = await appWith(shop());
    const found = await orders.fetch('/orders/a%20b?full=1', { headers: { 'x-as': 'me' } });
    expect([found.status, await found.json()]).toEqual([200, { id: 'a b', full: '1', as: 'me' }]);
    const made = await orders.fetch('/orders', {
      method: 'POST',
      body: JSON.stringify({ id: 7 }),
      headers: { 'content-type': 'application/json' },
    });
    expect([made.status, await made.json()]).toEqual([201, { body: { id: 7 } }]);
    const text = await orders.fetch('/text');
    expect([text.status, text.headers.get('x-kind'), await text.text()]).toEqual([202, 'text', 'plain']);
    const head = await orders.fetch('/text', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([202, '']);
  });

  it('refuse as a Nest application does, and 503 is retried elsewhere', async () => {
    const fakes = shop();
    fakes.service('orders').addInstance();
    const orders = await appWith(fakes);
    const gone = await orders.fetch('/gone');
    expect([gone.status, await gone.json()]).toEqual([410, { message: 'gone' }]);
    expect((await orders.fetch('/nowhere')).status).toBe(404);
    fakes.reset();
    const busy = await orders.fetch('/busy');
    expect([busy.status, await busy.text()]).toEqual([503, 'busy']);
    expect(new Set(fakes.calls.map((call) => call.instance)).size).toBe(2);
  });

  it('are hosts of a dispatcher', async () => {
    const module = keep(
      await shop()
        .applyTo(Test.createTestingModule({ imports: [AppModule] }))
        .compile(),
    );
    const dispatcher = await module.get(Rollcall, { strict: false }).dispatcher();
    const { request } = await import('undici');
    const { statusCode, body } = await request('http://orders/orders/7', { dispatcher });
    expect([statusCode, await body.json()]).toMatchObject([200, { id: '7' }]);
  });
});

const two = (): FakeServices => {
  const services = fakeServices({
    orders: { find: (_data: unknown, { instance }: { instance: string }) => instance },
  });
  services.service('orders').addInstance();
  return services;
};

describe('faults', () => {
  it.each(['refuse', 'drop'] as const)('%s: an idempotent call is answered by the other instance', async (kind) => {
    const services = two();
    const orders = await appWith(services);
    const [first, second] = services.service('orders').instances;
    first?.fault({ kind });
    for (let i = 0; i < 10; i += 1) expect(await orders.call('find', {}, { idempotent: true })).toBe(second?.id);
    first?.heal();
  });

  it('drop: a call that may have been executed is not retried', async () => {
    const services = two();
    const orders = await appWith(services);
    services.service('orders').fault({ kind: 'drop', times: 1 });
    expect(await failure(orders.call('find', {}))).toMatchObject({
      code: 'TRANSPORT',
      attempts: [{ outcome: 'closed' }],
    });
  });

  it('refuse everywhere: no instance is available', async () => {
    const services = two();
    const orders = await appWith(services);
    services.service('orders').fault({ kind: 'refuse' });
    expect((await failure(orders.call('find', {}, { deadlineMs: 300 }))).attempts.length).toBeGreaterThan(1);
  });

  it('error: the handlers throw it this many times', async () => {
    const services = two();
    const orders = await appWith(services);
    services.service('orders').fault({ kind: 'error', error: new RpcException('no'), times: 1 });
    await failure(orders.call('find', {}));
    await failure(orders.call('find', {}));
    expect(await orders.call('find', {})).toMatch(/^orders-/);
    expect(services.calls).toHaveLength(1);
  });

  it('delay and hang: on the clock of the test, and no timer is left', async () => {
    const time = new ManualTime();
    const services = fakeServices({ orders: { find: () => 'late' } }, { time });
    const module = await services.applyTo(Test.createTestingModule({ imports: [AppModule] })).compile();
    const { orders } = module.get(Checkout, { strict: false });
    services.service('orders').fault({ kind: 'delay', ms: 400, times: 1 });
    const settled: unknown[] = [];
    const note = (what: unknown): void => void settled.push(what);
    orders.call('find', {}).then(note, note);
    await time.advanceBy(399);
    expect(settled).toEqual([]);
    await time.advanceBy(1);
    expect(settled).toEqual(['late']);
    services.service('orders').fault({ kind: 'hang' });
    orders.call('find', {}, { deadlineMs: 1_000 }).then(note, note);
    await time.advanceBy(1_100);
    expect(settled[1]).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    services.service('orders').fault({ kind: 'delay', ms: 60_000 });
    orders.call('find', {}, { deadlineMs: 90_000 }).then(note, note);
    await time.advanceBy(1);
    await module.close();
    await time.advanceBy(0);
    expect(settled[2]).toMatchObject({ code: 'CLOSED' });
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('fake instances', () => {
  it('come, change and leave as real ones do', async () => {
    const services = fakeServices({ orders: { find: (_data: unknown, call: { instance: string }) => call.instance } });
    const orders = await appWith(services);
    await orders.call('find', {});
    const service = services.service('orders');
    const [first] = service.instances;
    const second = service.addInstance({ version: '2.0.0' });
    expect(await orders.call('find', {}, { version: '2' })).toBe('orders-2');
    first?.become('CRITICAL');
    for (let i = 0; i < 5; i += 1) expect(await orders.call('find', {})).toBe('orders-2');
    second.remove();
    expect((await failure(orders.call('find', {}))).code).toBe('NO_INSTANCE');
    first?.become('HEALTHY');
    expect(await orders.call('find', {})).toBe('orders-1');
  });
});

describe('an application that serves', () => {
  @Controller()
  class Gateway {
    constructor(@Inject(Checkout) private readonly checkout: Checkout) {}

    @Get('orders/:id')
    find(@Param('id') id: string) {
      return this.checkout.orders.send('find', { id });
    }

    @MessagePattern('ping')
    ping(): string {
      return 'pong';
    }
  }

  it('registers with the test, is HEALTHY there, and leaves at its end', async () => {
    @Module({ imports: [AppModule, CheckoutModule], controllers: [Gateway] })
    class Serving {}
    const services = fakeServices({ orders: { find: ({ id }: { id: string }) => ({ id }) } });
    const module = await services.applyTo(Test.createTestingModule({ imports: [Serving] })).compile();
    const app = module.createNestApplication();
    app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    onTestFinished(() => app.close());
    await expect.poll(() => services.registered).toEqual(['gateway']);
    const { port } = app.getHttpServer().address();
    expect(await (await fetch(`http://127.0.0.1:${port}/orders/7`)).json()).toEqual({ id: '7' });
    await expect.poll(() => module.get(Rollcall, { strict: false }).state, { timeout: 3_000 }).toBe('HEALTHY');
    await app.close();
    await expect(
      new Promise((resolve, reject) => connect(port, '127.0.0.1').on('connect', resolve).on('error', reject)),
    ).rejects.toThrow('ECONNREFUSED');
  });

  it('opens no registry of its own, although it embeds one', async () => {
    const start = vi.fn();
    const registry = { url: 'http://127.0.0.1:1337', start, close: async () => {} };
    @Module({ imports: [RollcallModule.forRoot({ registry }), CheckoutModule] })
    class Embedding {}
    const services = fakeServices({ orders: { find: () => 'found' } });
    const module = keep(await services.applyTo(Test.createTestingModule({ imports: [Embedding] })).compile());
    expect(await module.get(Checkout, { strict: false }).orders.call('find', {})).toBe('found');
    expect(start).not.toHaveBeenCalled();
  });
});

const callOf = (module: TestingModule): Promise<unknown> =>
  module.get(Checkout, { strict: false }).orders.call('find', {});

describe('two applications on the same fake services', () => {
  it('are closed independently', async () => {
    const services = fakeServices({ orders: { find: () => 'found' } });
    const build = (): Promise<TestingModule> =>
      services.applyTo(Test.createTestingModule({ imports: [AppModule] })).compile();
    const [one, other] = [await build(), keep(await build())];
    expect([await callOf(one), await callOf(other)]).toEqual(['found', 'found']);
    await one.close();
    expect(await callOf(other)).toBe('found');
    expect((await failure(callOf(one))).code).toBe('CLOSED');
  });
});
