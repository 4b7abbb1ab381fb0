import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Idempotent, Rollcall, RollcallModule } from '@rollcall/nestjs';

@Controller()
class OrdersController {
  constructor(private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  @Idempotent() // safe to execute twice: when an instance dies, callers retry on another one
  find(@Payload() { id }: { id: string }) {
    return { id, instance: this.rollcall.id }; // so that a caller sees which instance answered
  }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'orders' })], // the name is all that others need to know
  controllers: [OrdersController],
})
class OrdersModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
  transport: Transport.TCP,
  options: { host: '0.0.0.0', port: 0 }, // any free port: callers find it
});
app.enableShutdownHooks(); // a SIGTERM drains: no call fails
await app.listen();
