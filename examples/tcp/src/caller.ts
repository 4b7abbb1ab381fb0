import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectService, RollcallModule, ServiceClient } from '@rollcall/nestjs';

@Controller('orders')
class OrdersGateway {
  constructor(@InjectService('orders') private readonly orders: ServiceClient) {}

  @Get(':id')
  find(@Param('id') id: string) {
    return this.orders.send('find', { id }); // an Observable, as with ClientProxy; `call` is the same as a promise
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'gateway' }), RollcallModule.forFeature(['orders'])],
  controllers: [OrdersGateway],
})
class GatewayModule {}

const app = await NestFactory.create(GatewayModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
