import { HttpService } from '@nestjs/axios';
import { Controller, Get, Inject, Injectable, Module, Param } from '@nestjs/common';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import axios from 'axios';
import { firstValueFrom } from 'rxjs';
import { getGlobalDispatcher, request, setGlobalDispatcher } from 'undici';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

@Controller('buyers')
class BuyersController {
  @Get(':id')
  find(@Param('id') id: string): { readonly id: string } {
    return { id };
  }
}

/** As in the README. */
@Injectable()
class Buyers {
  constructor(@Inject(Rollcall) readonly rollcall: Rollcall) {}

  async find(id: string): Promise<unknown> {
    const dispatcher = await this.rollcall.dispatcher();
    const { body } = await request(`http://users/buyers/${id}`, { dispatcher });
    return body.json();
  }
}

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
const apps: INestApplicationContext[] = [];

async function service(): Promise<void> {
  @Module({
    imports: [RollcallModule.forRoot({ service: 'users', registry: registry.url })],
    controllers: [BuyersController],
  })
  class UsersModule {}

  const app = await NestFactory.create(UsersModule, new FastifyAdapter(), { logger: false });
  apps.unshift(app);
  await app.listen(0, '127.0.0.1');
}

async function caller(): Promise<Buyers> {
  @Module({ imports: [RollcallModule.forRoot({ registry: registry.url })], providers: [Buyers] })
  class CallerModule {}

  const app = await NestFactory.createApplicationContext(CallerModule, { logger: false });
  apps.unshift(app);
  return app.get(Buyers);
}

beforeEach(async () => {
  registry = await startTestRegistry();
});

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  await registry.close();
});

describe('an HTTP service, by its name,', () => {
  it('is called by undici.request', async () => {
    await service();
    expect(await (await caller()).find('7')).toEqual({ id: '7' });
  });

  it('is called by the fetch of this Node, when the dispatcher is the global one', async () => {
    await service();
    const { rollcall } = await caller();
    const before = getGlobalDispatcher();
    onTestFinished(() => setGlobalDispatcher(before));
    setGlobalDispatcher(await rollcall.dispatcher());
    expect(await (await fetch('http://users/buyers/8')).json()).toEqual({ id: '8' });
    expect((await fetch(`${registry.url}/health/live`)).status).toBe(200);
  });

  it('is called by HttpService, with the fetch adapter', async () => {
    await service();
    const dispatcher = await (await caller()).rollcall.dispatcher();
    const http = new HttpService(axios.create({ adapter: 'fetch', fetchOptions: { dispatcher } }));
    const { data } = await firstValueFrom(http.get<unknown>('http://users/buyers/9'));
    expect(data).toEqual({ id: '9' });
  });

  it('is suggested for an unknown name', async () => {
    await service();
    const { rollcall } = await caller();
    const dispatcher = await rollcall.dispatcher();
    await expect(request('http://user/buyers/7', { dispatcher })).rejects.toThrow('Did you mean users?');
  });
});
