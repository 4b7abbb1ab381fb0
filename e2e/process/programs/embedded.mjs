// A Nest service over TCP that embeds a registry: PORT and INTERVAL are the registry's (no INTERVAL: the default),
// FOLDER its data folder (missing: in memory), SERVICE its own name.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { embedRegistry } from '@rollcall/registry/embed';

const { PORT, INTERVAL, FOLDER, SERVICE } = process.env;

class Desk {
  constructor(rollcall) {
    this.rollcall = rollcall;
  }
  find() {
    return this.rollcall.id;
  }
}
Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
MessagePattern('find')(Desk.prototype, 'find', Object.getOwnPropertyDescriptor(Desk.prototype, 'find'));
Controller()(Desk);

const registry = embedRegistry({
  port: Number(PORT),
  ...(INTERVAL === undefined ? {} : { intervalMs: Number(INTERVAL) }),
  ...(FOLDER === undefined ? {} : { folder: FOLDER }),
});

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: SERVICE, registry, metadata: { pid: String(process.pid) } })],
  controllers: [Desk],
})(AppModule);

const app = await NestFactory.createMicroservice(AppModule, {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: 0 },
});
app.enableShutdownHooks(['SIGTERM']);
await app.listen();
console.log('listening');
