// One service of those in the screenshots of the dashboard: its name, its version and its callees are in the environment.
// SIGUSR2 closes only its port: then it is unreachable, while it still reaches the registry.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { Idempotent, Rollcall, RollcallModule } from '@rollcall/nestjs';

const { SERVICE, VERSION, ZONE, CALLS = '', WORK_MS = '2', HTTP } = process.env;
const callees = CALLS === '' ? [] : CALLS.split(',');
const IDEMPOTENT = { idempotent: true };

class Desk {
  constructor(rollcall) {
    this.rollcall = rollcall;
  }

  async work() {
    await sleep(Number(WORK_MS) * (0.5 + Math.random()));
    await Promise.all(callees.map((name) => this.rollcall.call(name, 'work', {}, IDEMPOTENT)));
    return { instance: this.rollcall.id };
  }
}

/** Applies decorators by hand, as plain Node has no syntax for them. */
const descriptor = Object.getOwnPropertyDescriptor(Desk.prototype, 'work');
for (const one of [HTTP === undefined ? MessagePattern('work') : Get('work'), Idempotent()]) {
  one(Desk.prototype, 'work', descriptor);
}
Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
Controller()(Desk);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [
    RollcallModule.forRoot({ service: SERVICE, version: VERSION, zone: ZONE, metadata: { pid: String(process.pid) } }),
    RollcallModule.forFeature(callees),
  ],
  controllers: [Desk],
})(AppModule);

const quiet = { logger: ['error'] };
const app =
  HTTP === undefined
    ? await NestFactory.createMicroservice(AppModule, {
        ...quiet,
        transport: Transport.TCP,
        options: { host: '127.0.0.1', port: 0 },
      })
    : await NestFactory.create(AppModule, quiet);
app.enableShutdownHooks(['SIGTERM']);
await (HTTP === undefined ? app.listen() : app.listen(0, '127.0.0.1'));

const server = HTTP === undefined ? app.unwrap() : app.getHttpServer();
process.on('SIGUSR2', () => server.close());
process.on('disconnect', () => process.exit()); // the parent is gone
