import 'reflect-metadata';
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs';
import type { Observable } from 'rxjs';
import { ClientProxy } from '@nestjs/microservices';
import { RollcallError } from '@rollcall/core';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { ServiceClient } from './service-client.js';
import { FakeRollcall } from '../nest.fixture.js';

interface Order {
  readonly total: number;
}
type OrdersApi = {
  find: (query: { id: string }) => Promise<Order>;
  watch: (query: { id: string }) => Observable<Order>;
};

const FIND = {
  path: '/shop.Orders/Find',
  requestStream: false,
  responseStream: false,
  requestSerialize: (query: { readonly id: string }) => Buffer.from(query.id),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
};

function client(defaults = {}) {
  const rollcall = new FakeRollcall();
  let woken = 0;
  const host = { rollcall, wake: () => void (woken += 1) };
  return { rollcall, orders: new ServiceClient(host, 'orders', defaults), woken: () => woken };
}

describe('send', () => {
  it('is cold: each subscription is one call', async () => {
    const { orders, rollcall, woken } = client({ deadlineMs: 800 });
    const order = orders.send('find', { id: '7' });
    expect([rollcall.made.length, woken()]).toEqual([0, 0]);
    rollcall.onStream = (observer) => (observer.next(1), observer.next(2), observer.complete());
    expect(await lastValueFrom(order.pipe(toArray()))).toEqual([1, 2]);
    await lastValueFrom(order);
    expect(rollcall.made).toHaveLength(2);
    expect(rollcall.made[0]).toEqual({
      verb: 'stream',
      service: 'orders',
      pattern: 'find',
      data: { id: '7' },
      options: { deadlineMs: 800 },
    });
    expect(woken()).toBe(2);
  });

  it('cancels the call on unsubscribe', () => {
    const { orders, rollcall } = client();
    rollcall.onStream = () => {};
    orders.send('find', {}).subscribe().unsubscribe();
    expect(rollcall.cancelled).toBe(1);
  });

  it('passes the error on unchanged', async () => {
    const { orders, rollcall } = client();
    const error = new RollcallError('NO_INSTANCE', 'none');
    rollcall.onStream = (observer) => observer.error(error);
    await expect(firstValueFrom(orders.send('find', {}))).rejects.toBe(error);
  });

  it('passes on an empty value, and a pattern that is an object', async () => {
    const { orders, rollcall } = client();
    rollcall.onStream = (observer) => (observer.next(null), observer.complete());
    expect(await firstValueFrom(orders.send({ cmd: 'find' }, 0))).toBeNull();
    expect(rollcall.made[0]).toMatchObject({ pattern: { cmd: 'find' }, data: 0 });
  });
});

describe('emit', () => {
  it('is hot: it is sent once, with any number of subscribers', async () => {
    const { orders, rollcall } = client();
    const sent = orders.emit('created', { id: '7' });
    expect(rollcall.made).toMatchObject([{ verb: 'emit', service: 'orders', pattern: 'created', data: { id: '7' } }]);
    await lastValueFrom(sent);
    await lastValueFrom(sent);
    expect(rollcall.made).toHaveLength(1);
  });

  it('reports its failure to subscribers only', async () => {
    const { orders, rollcall } = client();
    const error = new RollcallError('NO_INSTANCE', 'none');
    rollcall.onCall = () => Promise.reject(error);
    const sent = orders.emit('created', {}); // an unhandled rejection would fail this file
    await expect(lastValueFrom(sent)).rejects.toBe(error);
    orders.emit('created', {});
  });
});

describe('call and fetch', () => {
  it('take options, which override the defaults of the service', async () => {
    const { orders, rollcall } = client({ deadlineMs: 800, idempotent: true });
    expect(await orders.call('find', { id: '7' }, { deadlineMs: 50 })).toBe('answered');
    const response = await orders.fetch('/orders/7', { method: 'PUT' }, { idempotent: false });
    expect(await response.text()).toBe('fetched');
    expect(await orders.grpc(FIND, { id: '7' }, { headers: { 'x-trace': 'a' } })).toBe('answered');
    expect(rollcall.made).toMatchObject([
      { verb: 'call', pattern: 'find', options: { deadlineMs: 50, idempotent: true } },
      { verb: 'fetch', pattern: '/orders/7', data: { method: 'PUT' }, options: { deadlineMs: 800, idempotent: false } },
      { verb: 'grpc', pattern: '/shop.Orders/Find', options: { deadlineMs: 800, headers: { 'x-trace': 'a' } } },
    ]);
  });
});

describe('the dispatch hook', () => {
  it('is called with each packet of send, emit and call, and what it adds is sent beside the payload', async () => {
    const { orders, rollcall } = client({ deadlineMs: 800 });
    orders.setOnDispatchHook((packet) => Object.assign(packet, { metadata: { tenant: packet.pattern } }));
    rollcall.onStream = (observer) => (observer.next(1), observer.complete());
    await lastValueFrom(orders.send('find', {}));
    await lastValueFrom(orders.emit('created', {}), { defaultValue: null });
    await orders.call('book', {}, { packetMetadata: { trace: 'a', tenant: 'overridden' } });
    expect(rollcall.made.map(({ options }) => options)).toEqual([
      { deadlineMs: 800, packetMetadata: { tenant: 'find' } },
      { deadlineMs: 800, packetMetadata: { tenant: 'created' } },
      { deadlineMs: 800, packetMetadata: { tenant: 'book', trace: 'a' } },
    ]);
  });

  it('fails only the call if it throws', async () => {
    const { orders, rollcall } = client();
    const error = new Error('no tenant');
    orders.setOnDispatchHook(() => {
      throw error;
    });
    await expect(firstValueFrom(orders.send('find', {}))).rejects.toBe(error);
    await expect(orders.call('find', {})).rejects.toBe(error);
    await expect(lastValueFrom(orders.emit('created', {}))).rejects.toBe(error);
    expect(rollcall.made).toEqual([]);
  });

  it('has no effect if it adds nothing', async () => {
    const { orders, rollcall } = client({ deadlineMs: 800 });
    orders.setOnDispatchHook(() => {});
    await orders.call('find', {});
    expect(rollcall.made[0]?.options).toEqual({ deadlineMs: 800 });
  });
});

describe('a client', () => {
  it('has no connection events, and names the alternatives', () => {
    const { orders } = client();
    expect(() => orders.on('connect')).toThrow(/on\('connect'\) of the client of orders has nothing.*client\.status/);
    expect(() => orders.on('connect')).toThrow(RollcallError);
  });

  it('is a ClientProxy that has nothing to close', () => {
    const { orders, rollcall } = client();
    expect(orders).toBeInstanceOf(ClientProxy);
    orders.close();
    expect(orders.unwrap()).toBe(rollcall);
    expect(rollcall.events).toEqual([]);
  });

  it('reports the connection status and its changes until unsubscribed', () => {
    const { orders, rollcall } = client();
    const seen: string[] = [];
    const subscription = orders.status.subscribe((status) => seen.push(status));
    for (const listener of rollcall.listeners) listener('connected');
    subscription.unsubscribe();
    expect([seen, rollcall.listeners.size]).toEqual([['waiting', 'connected'], 0]);
  });

  it('is connected once there is a copy of the service', async () => {
    const { orders, rollcall } = client();
    await orders.connect();
    expect(rollcall.events).toEqual(['instances orders']);
  });

  it('knows the patterns, inputs and outputs of its contract; without one it is as untyped as a ClientProxy', () => {
    const { orders } = client();
    const typed = orders as unknown as ServiceClient<OrdersApi>;
    expectTypeOf(() => typed.call('find', { id: '7' })).returns.toEqualTypeOf<Promise<Order>>();
    expectTypeOf(() => typed.send('watch', { id: '7' })).returns.toEqualTypeOf<Observable<Order>>();
    // @ts-expect-error no such pattern
    expectTypeOf(() => typed.call('fnid', { id: '7' })).toBeFunction();
    // @ts-expect-error no such input
    expectTypeOf(() => typed.send('find', { id: 7 })).toBeFunction();
    expectTypeOf(() => orders.send<Order>({ cmd: 'find' }, 7)).returns.toEqualTypeOf<Observable<Order>>();
    expectTypeOf(() => orders.call<Order>('find', 7)).returns.toEqualTypeOf<Promise<Order>>();
    expectTypeOf(typed).toExtend<ClientProxy>();
  });
});
