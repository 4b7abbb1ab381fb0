import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Idempotent, Rollcall, RollcallModule } from '@rollcall/nestjs';
import { fileURLToPath } from 'node:url';

@Controller()
class OrdersController {
  constructor(private readonly rollcall: Rollcall) {}

  @GrpcMethod('Orders', 'Find')
  @Idempotent() // callers may repeat it on another instance
  find({ id }: { id: string }) {
    return { id, instance: this.rollcall.id };
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'orders' })],
  controllers: [OrdersController],
})
class OrdersModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
  transport: Transport.GRPC,
  options: {
    package: 'shop',
    protoPath: fileURLToPath(new URL('../orders.proto', import.meta.url)),
    url: '0.0.0.0:0', // any free port: callers find it
  },
});
app.enableShutdownHooks();
await app.listen();
