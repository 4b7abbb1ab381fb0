import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

/** Each answer names the instance that gave it. */
@Controller()
class PingController {
  constructor(private readonly rollcall: Rollcall) {}

  @MessagePattern('ping')
  ping() {
    return { instance: this.rollcall.id };
  }

  @MessagePattern('echo')
  echo(@Payload() data: unknown) {
    return { instance: this.rollcall.id, echo: data };
  }
}

@Module({
  // metadata is optional, and published unchanged: here it names the process of an instance
  imports: [RollcallModule.forRoot({ service: 'a', metadata: { pid: String(process.pid) } })],
  controllers: [PingController],
})
class AppModule {}

const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, {
  transport: Transport.TCP,
  // any free port: callers find it. On several machines: 0.0.0.0
  options: { host: process.env['BIND_HOST'] ?? '127.0.0.1', port: Number(process.env['PORT'] ?? 0) },
});
app.enableShutdownHooks(); // so that a SIGTERM drains: no call fails
await app.listen();
