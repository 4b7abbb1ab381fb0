// A Nest service over TCP whose handler takes MS ms, and which drains on the signals that Nest handles by default.
import 'reflect-metadata';
import { setTimeout as pass } from 'node:timers/promises';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';

/** Builds a decorated class, as plain Node has no decorators. */
class Reports {
  async write() {
    console.log('begun');
    await pass(Number(process.env.MS));
    return 'written';
  }
}
MessagePattern('write')(Reports.prototype, 'write', Object.getOwnPropertyDescriptor(Reports.prototype, 'write'));
Controller()(Reports);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({ imports: [RollcallModule.forRoot({ service: 'reports' })], controllers: [Reports] })(AppModule);

const options = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } };
const app = await NestFactory.createMicroservice(AppModule, options);
app.enableShutdownHooks();
await app.listen();
