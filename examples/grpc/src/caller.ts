import 'reflect-metadata';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientsModule, Transport } from '@nestjs/microservices';
import type { ClientGrpc } from '@nestjs/microservices';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { fileURLToPath } from 'node:url';
import type { Observable } from 'rxjs';

type Order = { id: string; instance: string };
interface Orders {
  find(query: { id: string }): Observable<Order>;
}

const proto = { package: 'shop', protoPath: fileURLToPath(new URL('../orders.proto', import.meta.url)) };

@Controller()
class OrdersGateway {
  constructor(
    @InjectService('orders') private readonly orders: ServiceClient,
    @Inject('ORDERS') private readonly client: ClientGrpc,
  ) {}

  /** By our own call: with retries, hedges, a deadline and an identity check. */
  @Get('orders/:id')
  find(@Param('id') id: string) {
    return this.orders.grpc<Orders>('Orders').find({ id });
  }

  /** By Nest's own client, whose URL is the name of a service: see below. */
  @Get('purchases/:id')
  findByClient(@Param('id') id: string) {
    return this.client.getService<Orders>('Orders').find({ id });
  }
}

const client = ClientsModule.registerAsync([
  {
    name: 'ORDERS',
    inject: [Rollcall],
    useFactory: async (rollcall: Rollcall) => {
      await rollcall.registerGrpcResolver(); // before the client is made
      return { transport: Transport.GRPC, options: { url: 'rollcall:///orders', ...proto } };
    },
  },
]);

@Module({
  imports: [
    RollcallModule.forRoot({ service: 'gateway' }),
    RollcallModule.forFeature([{ service: 'orders', grpc: proto }]),
    client,
  ],
  controllers: [OrdersGateway],
})
class GatewayModule {}

const app = await NestFactory.create(GatewayModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
