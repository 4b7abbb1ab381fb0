import { Controller, Get, Headers, Module } from '@nestjs/common';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, MessagePattern, TcpContext, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { getServiceToken, Idempotent, InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from './wait-for.js';

/** What the instances of the service did, all in this process. */
const seen = { executions: 0, breaksNext: false };

@Controller()
class Orders {
  @Idempotent()
  @MessagePattern('find')
  find(@Ctx() context: TcpContext): unknown {
    return execute(context);
  }

  @MessagePattern('book')
  book(@Ctx() context: TcpContext): unknown {
    return execute(context);
  }

  @MessagePattern('travelled')
  travelled(@Ctx() context: TcpContext): unknown {
    return context.getMetadata();
  }
}

/** Executes; then the connection may break before the answer is sent. */
function execute(context: TcpContext): unknown {
  seen.executions += 1;
  if (!seen.breaksNext) return 'done';
  seen.breaksNext = false;
  context.getSocketRef().netSocket.destroy();
  return 'never received';
}

@Controller()
class Gateway {
  constructor(@InjectService('orders') private readonly orders: ServiceClient) {}

  /** As gateways do: Nest subscribes to the Observable. */
  @Get('travelled')
  travelled(@Headers('x-how') how: string): unknown {
    return how === 'call' ? this.orders.call('travelled', {}) : this.orders.send('travelled', {});
  }
}

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
const apps: INestApplicationContext[] = [];

function moduleOf(service: string, controller: Type): Type {
  @Module({
    imports: [RollcallModule.forRoot({ service, registry: registry.url }), RollcallModule.forFeature(['orders'])],
    controllers: [controller],
  })
  class AppModule {}
  return AppModule;
}

async function startOrders(): Promise<void> {
  const options = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 }, logger: false } as const;
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(moduleOf('orders', Orders), options);
  apps.push(app);
  await app.listen();
}

async function startGateway(): Promise<{ readonly app: INestApplicationContext; readonly url: string }> {
  const app = await NestFactory.create(moduleOf('gateway', Gateway), { logger: false });
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  const rollcall = app.get(Rollcall);
  const isHealthy = (): boolean =>
    rollcall.service('orders').instances.filter(({ state }) => state === 'HEALTHY').length === 2;
  await waitFor('both are HEALTHY', isHealthy);
  return { app, url: await app.getUrl() };
}

beforeEach(async () => {
  Object.assign(seen, { executions: 0, breaksNext: false });
  registry = await startTestRegistry();
  await Promise.all([startOrders(), startOrders()]);
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await registry.close();
});

describe('the policy of a handler', () => {
  it('makes callers repeat it after a broken connection, without configuration', async () => {
    const { app } = await startGateway();
    const orders = app.get<ServiceClient>(getServiceToken('orders'));
    seen.breaksNext = true;
    expect(await orders.call('find', {})).toBe('done');
    expect(seen.executions).toBe(2);
  });

  it('keeps callers from repeating a call that is not idempotent; they report that it may have been executed', async () => {
    const { app } = await startGateway();
    const orders = app.get<ServiceClient>(getServiceToken('orders'));
    seen.breaksNext = true;
    await expect(orders.call('book', {})).rejects.toMatchObject({
      code: 'TRANSPORT',
      message: expect.stringContaining('may have been executed'),
    });
    expect(seen.executions).toBe(1);
  });

  it('is overridden by the options of a call', async () => {
    const { app } = await startGateway();
    const orders = app.get<ServiceClient>(getServiceToken('orders'));
    seen.breaksNext = true;
    await expect(orders.call('find', {}, { idempotent: false })).rejects.toMatchObject({ code: 'TRANSPORT' });
    expect(seen.executions).toBe(1);
  });
});

describe('what the calls of a handler inherit from its request', () => {
  it.each(['send', 'call'])(
    'is passed on by %s: the rest of the deadline, and that it is a repetition',
    async (how) => {
      const { url } = await startGateway();
      const headers = { 'x-how': how, 'rollcall-deadline-ms': '400', 'rollcall-attempt': '2' };
      const travelled = (await (await fetch(`${url}/travelled`, { headers })).json()) as Record<string, number>;
      expect(travelled['rollcall-attempt']).toBe(2);
      expect(travelled['rollcall-deadline-ms']).toBeGreaterThan(0);
      expect(travelled['rollcall-deadline-ms']).toBeLessThanOrEqual(400);
    },
  );

  it('is nothing where the request set nothing', async () => {
    const { url } = await startGateway();
    const answer = await fetch(`${url}/travelled`, { headers: { 'x-how': 'send' } });
    const travelled = (await answer.json()) as Record<string, number>;
    expect(Object.keys(travelled)).toEqual(['rollcall-deadline-ms']);
    expect(travelled['rollcall-deadline-ms']).toBeGreaterThan(4_000); // the default of a call
  });
});
