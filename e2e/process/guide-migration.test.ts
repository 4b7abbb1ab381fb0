// The regions here are the code of docs/guide/migration.md.
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import type { INestApplication, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxy, ClientsModule, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

@Controller()
class OrdersController {
  @MessagePattern('find')
  find(@Payload() { id }: { id: string }): { id: string } {
    return { id };
  }
}

// #region controller
@Controller('orders')
class ShopController {
  constructor(@Inject('ORDERS_SERVICE') private readonly orders: ClientProxy) {}

  @Get(':id')
  find(@Param('id') id: string) {
    return this.orders.send('find', { id });
  }
}
// #endregion

let running: Awaited<ReturnType<typeof startTestRegistry>>;
let registry = '';
const apps: (INestApplication | INestMicroservice)[] = [];

beforeEach(async () => {
  running = await startTestRegistry();
  registry = running.url;
});
afterEach(async () => {
  for (const app of apps.splice(0).toReversed()) await app.close();
  await running.close();
});

async function startOrders(): Promise<number> {
  @Module({
    imports: [RollcallModule.forRoot({ service: 'orders', registry })],
    controllers: [OrdersController],
  })
  class OrdersModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: false,
  });
  apps.push(app);
  await app.listen();
  return app.unwrap<{ address(): AddressInfo }>().address().port;
}

async function askShop(module: Parameters<typeof NestFactory.create>[0]): Promise<unknown> {
  const app = await NestFactory.create(module, { logger: false });
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  return (await fetch(`${await app.getUrl()}/orders/7`)).json();
}

describe('the page on migration', () => {
  it('a controller that injects a ClientProxy by a token works unchanged', async () => {
    const port = await startOrders();
    const host = '127.0.0.1';

    // #region before
    const clients = ClientsModule.register([
      { name: 'ORDERS_SERVICE', transport: Transport.TCP, options: { host, port } },
    ]);

    @Module({ imports: [clients], controllers: [ShopController] })
    class ShopBefore {}
    // #endregion
    expect(await askShop(ShopBefore)).toEqual({ id: '7' });

    // #region after
    const orders = RollcallModule.forFeature([{ service: 'orders', token: 'ORDERS_SERVICE' }]);

    @Module({ imports: [RollcallModule.forRoot({ registry }), orders], controllers: [ShopController] })
    class ShopAfter {}
    // #endregion
    expect(await askShop(ShopAfter)).toEqual({ id: '7' });
  });

  it('a service without a registry is called at its addresses', async () => {
    const port = await startOrders();
    const host = '127.0.0.1';

    // #region static
    const orders = RollcallModule.forFeature([
      { service: 'legacy-orders', token: 'ORDERS_SERVICE', static: [{ protocol: 'tcp', host, port }] },
    ]);

    @Module({ imports: [RollcallModule.forRoot(), orders], controllers: [ShopController] })
    class ShopAlone {}
    // #endregion
    expect(await askShop(ShopAlone)).toEqual({ id: '7' });
  });
});
