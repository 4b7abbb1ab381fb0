// Calls every kind of application over each of its protocols: GET /<kind>/<protocol>/<id>.
import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { ModuleRef, NestFactory } from '@nestjs/core';
import { getServiceToken, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { firstValueFrom } from 'rxjs';
import { FIND, KINDS } from './shop.js';
import type { Answer } from './shop.js';

/** None of these is marked as idempotent: a second execution would be a defect. */
const CALL = {
  tcp: (client: ServiceClient, id: string) => firstValueFrom(client.send<Answer>('find', { id })),
  http: async (client: ServiceClient, id: string) => (await (await client.fetch(`/orders/${id}`)).json()) as Answer,
  grpc: (client: ServiceClient, id: string) => client.grpc(FIND, { id }),
};

@Controller()
class Gateway {
  constructor(
    @Inject(ModuleRef) private readonly modules: ModuleRef,
    @Inject(Rollcall) private readonly rollcall: Rollcall,
  ) {}

  @Get(':kind/:protocol/:id')
  async find(@Param('kind') kind: string, @Param('protocol') protocol: keyof typeof CALL, @Param('id') id: string) {
    const client: ServiceClient = this.modules.get(getServiceToken(kind), { strict: false });
    try {
      return await CALL[protocol](client, id);
    } catch (error) {
      console.error(error, JSON.stringify(this.rollcall.explain(kind)));
      throw error;
    }
  }
}

@Module({ imports: [RollcallModule.forRoot(), RollcallModule.forFeature(KINDS)], controllers: [Gateway] })
class GatewayModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(GatewayModule, { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  console.log(JSON.stringify({ url: await app.getUrl() }));
}

void main();
