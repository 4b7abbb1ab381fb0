// The regions here are the code of docs/guide/testing.md.
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { fakeServices } from '@rollcall/nestjs/testing';
import { startTestRegistry } from '@rollcall/registry/testing';
import { expect, it, onTestFinished, vi } from 'vitest';

// #region shop
@Controller('orders')
class ShopController {
  constructor(@InjectService('orders') private readonly orders: ServiceClient) {}

  @Get(':id')
  find(@Param('id') id: string): Promise<unknown> {
    return this.orders.call('find', { id });
  }
}

@Module({
  imports: [RollcallModule.forRoot(), RollcallModule.forFeature(['orders'])],
  controllers: [ShopController],
})
class ShopModule {}
// #endregion

@Controller()
class OrdersController {
  @MessagePattern('find')
  find(@Payload() { id }: { id: string }): { id: string } {
    return { id };
  }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'orders' })], controllers: [OrdersController] })
class OrdersModule {}

// #region fakes
it('shows the order', async () => {
  const services = fakeServices({ orders: { find: ({ id }: { id: string }) => ({ id, status: 'paid' }) } });
  const app = await services.applyTo(Test.createTestingModule({ imports: [ShopModule] })).compile();

  expect(await app.get(ShopController).find('7')).toEqual({ id: '7', status: 'paid' });
  expect(services.calls).toMatchObject([{ service: 'orders', name: 'find', input: { id: '7' } }]);
  await app.close();
});
// #endregion

// #region faults
it('shows the order while an instance is down', async () => {
  const services = fakeServices({ orders: { find: ({ id }: { id: string }) => ({ id }) } });
  services.service('orders').addInstance().fault({ kind: 'refuse' }); // the second one
  const app = await services.applyTo(Test.createTestingModule({ imports: [ShopModule] })).compile();

  for (let turn = 0; turn < 10; turn += 1) expect(await app.get(ShopController).find('7')).toEqual({ id: '7' });
  await app.close();
});
// #endregion

// #region registry
it('finds the orders service by its name', async () => {
  const registry = await startTestRegistry(); // any free port, in memory, a heartbeat every 250 ms
  onTestFinished(() => registry.close());
  vi.stubEnv('ROLLCALL_URL', registry.url);

  const orders = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await orders.listen();
  const shop = await NestFactory.create(ShopModule);
  await shop.listen(0, '127.0.0.1');
  await shop.get(Rollcall).ready(); // the services of forFeature can be called

  const answer = await fetch(`${await shop.getUrl()}/orders/7`);
  expect(await answer.json()).toEqual({ id: '7' });
  await shop.close();
  await orders.close();
});
// #endregion
