import 'reflect-metadata';
import { Metadata } from '@grpc/grpc-js';
import { Test } from '@nestjs/testing';
import type { GrpcMethod } from '@rollcall/client';
import { RollcallError } from '@rollcall/core';
import { firstValueFrom, lastValueFrom, of, toArray } from 'rxjs';
import type { Observable } from 'rxjs';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import { readGrpc } from './grpc-proto.js';
import { SHOP } from '../grpc.fixture.js';
import type { Order } from '../grpc.fixture.js';
import { getServiceToken } from '../inject.js';
import { FakeRollcall } from '../nest.fixture.js';
import { RollcallModule } from '../rollcall.module.js';
import { ServiceClient } from './service-client.js';
import { fakeServices, RollcallTestingModule } from '../testing.js';

interface OrdersService {
  find(order: Order, ...more: object[]): Observable<Order>;
  Find(order: Order): Observable<Order>;
  follow(order: Order): Observable<Order>;
}

async function client(defaults = {}) {
  const rollcall = new FakeRollcall();
  let woken = 0;
  const grpc = await readGrpc('orders', { package: 'shop', packageDefinition: SHOP });
  const orders = new ServiceClient({ rollcall, wake: () => void (woken += 1), grpc }, 'orders', defaults);
  return { rollcall, client: orders, orders: orders.grpc<OrdersService>('Orders'), woken: () => woken };
}

describe('grpc(name)', () => {
  it('returns the methods of the proto, each cold: a subscription is a call', async () => {
    const { orders, rollcall, woken } = await client({ deadlineMs: 800 });
    rollcall.onStream = (observer) => (observer.next({ id: '7' }), observer.complete());
    const found = orders.find({ id: '7' });
    expect([rollcall.made.length, woken()]).toEqual([0, 0]);
    expect(await firstValueFrom(found)).toEqual({ id: '7' });
    await lastValueFrom(orders.Find({ id: '8' }));
    expect(woken()).toBe(2);
    expect(rollcall.made).toEqual([
      {
        verb: 'grpc',
        service: 'orders',
        pattern: '/shop.Orders/Find',
        data: { id: '7' },
        options: { deadlineMs: 800 },
      },
      {
        verb: 'grpc',
        service: 'orders',
        pattern: '/shop.Orders/Find',
        data: { id: '8' },
        options: { deadlineMs: 800 },
      },
    ]);
  });

  it('cancels the call on unsubscribe, and passes the error on unchanged', async () => {
    const { orders, rollcall } = await client();
    rollcall.onStream = () => {};
    orders.follow({ id: '7' }).subscribe().unsubscribe();
    expect(rollcall.cancelled).toBe(1);
    const error = new RollcallError('NO_INSTANCE', 'none');
    rollcall.onStream = (observer) => observer.error(error);
    await expect(lastValueFrom(orders.find({ id: '7' }))).rejects.toBe(error);
  });

  it('takes the metadata of grpc-js and call options, which override the defaults of the service', async () => {
    const { orders, rollcall } = await client({ deadlineMs: 800, idempotent: true });
    rollcall.onStream = (observer) => observer.complete();
    const metadata = new Metadata();
    metadata.add('x-user', 'ann');
    metadata.add('x-user', 'bob');
    metadata.add('x-key-bin', Buffer.from([255, 0]));
    const end = { defaultValue: null };
    await lastValueFrom(orders.find({ id: '7' }, metadata, { deadlineMs: 50, headers: { 'x-more': '1' } }), end);
    await lastValueFrom(orders.find({ id: '7' }, { idempotent: false }), end);
    expect(rollcall.made.map(({ options }) => options)).toEqual([
      {
        deadlineMs: 50,
        idempotent: true,
        headers: { 'x-user': 'ann,bob', 'x-key-bin': '/wA=', 'x-more': '1' },
      },
      { deadlineMs: 800, idempotent: false, headers: {} },
    ]);
  });

  it('rejects unknown options, such as the deadline of grpc-js', async () => {
    const { orders, rollcall } = await client();
    const refused = orders.find({ id: '7' }, { deadline: Date.now() });
    await expect(lastValueFrom(refused)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(lastValueFrom(refused)).rejects.toThrow('Did you mean deadlineMs?');
    await expect(lastValueFrom(orders.find({ id: '7' }, { idempotnet: true }))).rejects.toThrow('idempotent?');
    expect(rollcall.made).toEqual([]);
  });

  it('names the missing lines if no proto is set, and the existing services', async () => {
    const bare = new ServiceClient({ rollcall: new FakeRollcall(), wake() {} }, 'orders');
    expect(() => bare.grpc('Orders')).toThrow("RollcallModule.forFeature([{ service: 'orders', grpc: { package:");
    const { client: named } = await client();
    expect(() => named.grpc('Order')).toThrow('Did you mean Orders?');
  });

  it('takes its type from the caller; a method of a generated client still works', async () => {
    const { client: orders } = await client();
    expectTypeOf(orders.grpc<OrdersService>('Orders')).toEqualTypeOf<OrdersService>();
    expectTypeOf((method: GrpcMethod<Order, Order>) => orders.grpc(method, { id: '7' })).returns.toEqualTypeOf<
      Promise<Order>
    >();
  });
});

async function application(grpc: object) {
  const fakes = fakeServices({
    orders: {
      'Orders/Find': ({ id }: Order) => ({ id, status: 'found' }),
      'Orders/Follow': () => of({ id: '1' }, { id: '2' }),
    },
  });
  const module = await Test.createTestingModule({
    imports: [
      RollcallTestingModule.forRoot(fakes),
      RollcallModule.forFeature([{ service: 'orders', grpc: { package: 'shop', packageDefinition: SHOP, ...grpc } }]),
    ],
  }).compile();
  onTestFinished(() => module.close());
  return module.get<ServiceClient>(getServiceToken('orders'), { strict: false }).grpc<OrdersService>('Orders');
}

describe('forFeature with grpc', () => {
  it('makes the service callable through the whole call path', async () => {
    const orders = await application({});
    expect(await firstValueFrom(orders.find({ id: '7' }))).toEqual({ id: '7', status: 'found' });
    expect(await lastValueFrom(orders.follow({ id: '7' }).pipe(toArray()))).toEqual([{ id: '1' }, { id: '2' }]);
  });

  it('prevents the start of an application with an invalid proto', async () => {
    await expect(application({ package: 'shops' })).rejects.toThrow('Did you mean shop?');
  });
});
