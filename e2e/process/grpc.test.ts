import { fromJSON } from '@grpc/proto-loader';
import { Controller, Module } from '@nestjs/common';
import type { INestApplicationContext, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, GrpcMethod, Transport } from '@nestjs/microservices';
import type { ClientGrpc, MicroserviceOptions } from '@nestjs/microservices';
import type { GrpcMethod as Method } from '@rollcall/client';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { firstValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from './wait-for.js';

const text = { type: 'string', id: 1 };
const SHOP = fromJSON({
  nested: {
    shop: {
      nested: {
        Query: { fields: { id: text } },
        Order: { fields: { id: text } },
        Orders: { methods: { Find: { requestType: 'Query', responseType: 'Order', comment: '' } } },
      },
    },
  },
});
const FIND = (SHOP['shop.Orders'] as unknown as { Find: Method<{ id: string }, { id: string }> }).Find;

interface OrdersService {
  find(query: { id: string }): Observable<{ id: string }>;
}

@Controller()
class Orders {
  @GrpcMethod('Orders', 'Find')
  find({ id }: { id: string }): { id: string } {
    return { id };
  }
}

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
const apps: INestApplicationContext[] = [];

async function startOrders(): Promise<INestMicroservice> {
  @Module({ imports: [RollcallModule.forRoot({ service: 'orders', registry: registry.url })], controllers: [Orders] })
  class OrdersModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.GRPC,
    options: { package: 'shop', packageDefinition: SHOP, url: '127.0.0.1:0' },
    logger: false,
  });
  apps.push(app);
  await app.listen();
  return app;
}

/** A process that calls others, with the scheme `rollcall:` for its gRPC clients. */
async function startCaller(): Promise<Rollcall> {
  @Module({ imports: [RollcallModule.forRoot({ registry: registry.url }), RollcallModule.forFeature(['orders'])] })
  class CallerModule {}
  const app = await NestFactory.createApplicationContext(CallerModule, { logger: false });
  apps.push(app);
  const rollcall = app.get(Rollcall);
  await rollcall.registerGrpcResolver();
  rollcall.start(); // it has no server, so nothing else starts it
  return rollcall;
}

const healthy = (rollcall: Rollcall): number =>
  rollcall.service('orders').instances.filter(({ state }) => state === 'HEALTHY').length;

/** Nest's own client. */
function clientByName(): { readonly client: ClientGrpc & { close(): void }; readonly orders: OrdersService } {
  const client = ClientProxyFactory.create({
    transport: Transport.GRPC,
    options: { package: 'shop', packageDefinition: SHOP, url: 'rollcall:///orders' },
  }) as unknown as ClientGrpc & { close(): void };
  return { client, orders: client.getService<OrdersService>('Orders') };
}

beforeEach(async () => {
  registry = await startTestRegistry();
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await registry.close();
});

describe('a Nest service over gRPC', () => {
  it('becomes HEALTHY by both heartbeats, and is called by name, by our own call and by Nest’s client', async () => {
    await startOrders();
    const rollcall = await startCaller();
    await waitFor('it is HEALTHY', () => healthy(rollcall) === 1);
    expect(rollcall.service('orders').instances).toMatchObject([
      { endpoints: [{ protocol: 'grpc', host: '127.0.0.1' }], reason: { code: 'BOTH_WAYS_OK' } },
    ]);
    expect(await rollcall.grpc('orders', FIND, { id: '7' })).toEqual({ id: '7' });
    const { client, orders } = clientByName();
    expect(await firstValueFrom(orders.find({ id: '8' }))).toEqual({ id: '8' });
    client.close();
  });

  it('is restarted, one instance after the other, without a failed call', async () => {
    const first = [await startOrders(), await startOrders()];
    const rollcall = await startCaller();
    await waitFor('both are HEALTHY', () => healthy(rollcall) === 2);
    const { client, orders } = clientByName();
    const failures: unknown[] = [];
    let count = 0;
    const over = new AbortController();
    const callOn = async (call: () => Promise<unknown>): Promise<void> => {
      while (!over.signal.aborted) {
        await call().catch((error: unknown) => failures.push(error));
        count += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const callers = [
      callOn(() => rollcall.grpc('orders', FIND, { id: '7' })),
      callOn(() => firstValueFrom(orders.find({ id: '8' }))),
    ];
    for (const app of first) {
      await startOrders();
      await waitFor('the new one is HEALTHY', () => healthy(rollcall) === 3);
      await app.close();
      await waitFor('the old one is gone', () => healthy(rollcall) === 2);
    }
    const seen = count;
    await waitFor('calls go on', () => count > seen + 20);
    over.abort();
    await Promise.all(callers);
    client.close();
    expect(failures).toEqual([]);
  });
});
