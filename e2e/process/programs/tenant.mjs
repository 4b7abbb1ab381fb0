// Another service, which listens at a given port as soon as it gets SIGUSR2, and prints each connection and
// each execution.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { RollcallModule } from '@rollcall/nestjs';
import { subscribe } from 'node:diagnostics_channel';

class Handlers {
  ping() {
    console.log('executed');
    return { instance: 'tenant' };
  }
}
MessagePattern('ping')(Handlers.prototype, 'ping', Object.getOwnPropertyDescriptor(Handlers.prototype, 'ping'));
Controller()(Handlers);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: 'tenant', metadata: { pid: String(process.pid) } })],
  controllers: [Handlers],
})(AppModule);

const app = await NestFactory.createMicroservice(AppModule, {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: Number(process.env.PORT) },
});
subscribe('net.server.socket', () => console.log('knock'));
process.once('SIGUSR2', () => void app.listen().then(() => console.log('moved in')));
console.log('waiting');
// it has no server yet: something must keep it alive
setInterval(() => {}, 1_000);
