// A Nest service over HTTP that serves its metrics and calls another service at /ask/<service>. SERVICE is its name.
import 'reflect-metadata';
import { Controller, Get, Header, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { prometheusMeter } from '@rollcall/nestjs/prometheus';
import { register } from 'prom-client';

class Desk {
  constructor(rollcall) {
    this.rollcall = rollcall;
  }
  metrics() {
    return register.metrics();
  }
  async ask(service) {
    const answer = await this.rollcall.fetch(service, '/metrics');
    return { status: answer.status, bytes: (await answer.text()).length };
  }
}
const methodOf = (name) => [Desk.prototype, name, Object.getOwnPropertyDescriptor(Desk.prototype, name)];
Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
Reflect.defineMetadata('design:paramtypes', [String], Desk.prototype, 'ask');
Get('metrics')(...methodOf('metrics'));
Header('content-type', register.contentType)(...methodOf('metrics'));
Get('ask/:service')(...methodOf('ask'));
Param('service')(Desk.prototype, 'ask', 0);
Controller()(Desk);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
const meter = prometheusMeter();
Module({
  imports: [RollcallModule.forRoot({ service: process.env.SERVICE, version: '1.2.3', meter })],
  controllers: [Desk],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.enableShutdownHooks(['SIGTERM']);
await app.listen(0, '127.0.0.1');
console.log(`listening ${app.getHttpServer().address().port}`);
