import 'reflect-metadata';
import { loadSync } from '@grpc/proto-loader';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientsModule, Transport } from '@nestjs/microservices';
import type { ClientGrpc } from '@nestjs/microservices';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import type { GrpcMethod } from '@rollcall/nestjs';
import { fileURLToPath } from 'node:url';
import type { Observable } from 'rxjs';

type Query = { id: string };
type Order = { id: string; instance: string };

const protoPath = fileURLToPath(new URL('../orders.proto', import.meta.url));
/** A method as proto-loader describes it; generated clients have the same as `OrdersClient.service.find`. */
const { Find } = loadSync(protoPath)['shop.Orders'] as unknown as { Find: GrpcMethod<Query, Order> };

@Controller()
class OrdersGateway {
  constructor(
    @Inject('ORDERS') private readonly client: ClientGrpc,
    @InjectService('orders') private readonly orders: ServiceClient,
  ) {}

  /** Nest's own client, whose URL is the name of a service: see below. */
  @Get('orders/:id')
  find(@Param('id') id: string) {
    return this.client.getService<{ find(query: Query): Observable<Order> }>('Orders').find({ id });
  }

  /** Our own call: with retries, hedges, a deadline and an identity check, and without a gRPC library. */
  @Get('purchases/:id')
  findByCall(@Param('id') id: string) {
    return this.orders.grpc(Find, { id });
  }
}

const client = ClientsModule.registerAsync([
  {
    name: 'ORDERS',
    inject: [Rollcall],
    useFactory: async (rollcall: Rollcall) => {
      await rollcall.registerGrpcResolver(); // before the client is made
      return { transport: Transport.GRPC, options: { url: 'rollcall:///orders', package: 'shop', protoPath } };
    },
  },
]);

const rollcall = RollcallModule.forRoot({ service: 'gateway' });
@Module({ imports: [rollcall, RollcallModule.forFeature(['orders']), client], controllers: [OrdersGateway] })
class GatewayModule {}

const app = await NestFactory.create(GatewayModule);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000);
