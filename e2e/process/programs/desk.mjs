// A Nest service over TCP of the name in SERVICE whose `wait` takes as many ms as its argument. With CALLS it calls
// that service once, for SLOW_MS, and prints which instance it called (`asked <id>`) and when it was answered.
import 'reflect-metadata';
import { setTimeout as pass } from 'node:timers/promises';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { SERVICE, CALLS, SLOW_MS } = process.env;

class Desk {
  async wait({ ms }) {
    await pass(ms);
    return { waited: ms };
  }
}
MessagePattern('wait')(Desk.prototype, 'wait', Object.getOwnPropertyDescriptor(Desk.prototype, 'wait'));
Payload()(Desk.prototype, 'wait', 0);
Controller()(Desk);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({ imports: [RollcallModule.forRoot({ service: SERVICE })], controllers: [Desk] })(AppModule);

const app = await NestFactory.createMicroservice(AppModule, {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: 0 },
  logger: false,
});
app.enableShutdownHooks();
await app.listen();

if (CALLS !== undefined) {
  const rollcall = app.get(Rollcall);
  await rollcall.ready(CALLS);
  const answer = rollcall.call(CALLS, 'wait', { ms: Number(SLOW_MS) }, { deadlineMs: 60_000, timeoutMs: 60_000 });
  console.log(`asked ${rollcall.explain(CALLS).protocols[0].picks[0].instance}`);
  await answer;
  console.log('answered');
}
