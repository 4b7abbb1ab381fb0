// Three workers of node:cluster, which share their port.
import 'reflect-metadata';
import cluster from 'node:cluster';
import { Controller, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const WORKERS = 3;

@Controller()
class Orders {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  find(@Payload() { id }: { id: string }) {
    return { id, instance: this.rollcall.id };
  }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'clustered' })], controllers: [Orders] })
class AppModule {}

async function work(): Promise<void> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  app.enableShutdownHooks();
  await app.listen();
}

if (cluster.isPrimary) for (let worker = 0; worker < WORKERS; worker += 1) cluster.fork();
else void work();
