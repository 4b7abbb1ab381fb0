// The regions here are the code about `ready` in docs/guide/calls.md: two services that need each other at their start.
import { Inject, Injectable, Module } from '@nestjs/common';
import type { INestMicroservice, OnApplicationBootstrap, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from './wait-for.js';

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
const apps: INestMicroservice[] = [];

beforeEach(async () => {
  registry = await startTestRegistry();
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await registry.close();
});

/** A service that depends on another one, with a hook that runs when it starts. */
async function create(service: string, needs: string, hook?: Type): Promise<INestMicroservice> {
  @Module({
    imports: [RollcallModule.forRoot({ service, registry: registry.url }), RollcallModule.forFeature([needs])],
    providers: hook === undefined ? [] : [hook],
  })
  class ServiceModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(ServiceModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: false,
    abortOnError: false,
  });
  apps.push(app);
  return app;
}

async function start(app: INestMicroservice): Promise<void> {
  // #region main
  await app.listen();
  await app.get(Rollcall).ready(['orders', 'users'], { timeoutMs: 20_000 });
  // #endregion
}

/** What a hook must not do. */
function createWaitingHook(other: string): Type {
  @Injectable()
  class Waits implements OnApplicationBootstrap {
    constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

    async onApplicationBootstrap(): Promise<void> {
      await this.rollcall.ready([other], { timeoutMs: 1_000 });
    }
  }
  return Waits;
}

describe('ready', () => {
  it('waits after listen, also where two services wait for each other', async () => {
    const [orders, users] = [await create('orders', 'users'), await create('users', 'orders')];
    await Promise.all([start(orders), start(users)]);
    expect(orders.get(Rollcall).service('users').instances).toMatchObject([{ state: 'HEALTHY' }]);
  });

  it('waits for the services of forFeature when it is given no names', async () => {
    const orders = await create('orders', 'users');
    await orders.listen();
    const late = orders.get(Rollcall).ready(undefined, { timeoutMs: 100 });
    await expect(late).rejects.toMatchObject({ message: expect.stringContaining('users (') });
    const users = await create('users', 'orders');
    await users.listen();
    await orders.get(Rollcall).ready();
  });

  it('may start in a hook that does not await it', async () => {
    const warm: string[] = [];

    @Injectable()
    class Cache implements OnApplicationBootstrap {
      constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

      // #region hook
      onApplicationBootstrap(): void {
        void this.rollcall.ready(['users']).then(() => this.warmUp());
      }
      // #endregion

      private warmUp(): void {
        warm.push('warm');
      }
    }
    const [orders, users] = [await create('orders', 'users', Cache), await create('users', 'orders')];
    await Promise.all([orders.listen(), users.listen()]);
    await waitFor('the cache is warm', () => warm.length === 1);
  });

  it('rejects with a reason where two services await each other before they listen', async () => {
    const orders = await create('orders', 'users', createWaitingHook('users'));
    const users = await create('users', 'orders', createWaitingHook('orders'));
    const ends = await Promise.allSettled([orders.listen(), users.listen()]);
    for (const [index, self] of ['orders', 'users'].entries())
      expect(ends[index]).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringContaining(`This process, ${self}, has not registered`) },
      });
  });
});
