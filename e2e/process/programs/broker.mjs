// A Nest application over a broker, without a port of its own: BROKER is `redis` or `mqtt`, BROKER_PORT its port,
// SERVICE the name, TOPIC the topic that it answers, NOTES the file where it records executions. SIGTERM ends it by its
// shutdown hooks, SIGUSR2 by `app.close()`.
import 'reflect-metadata';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { BROKER, BROKER_PORT, SERVICE, TOPIC, NOTES } = process.env;
/** So long that a draining instance has requests in flight. */
const ANSWER_MS = 300;

const notes = openSync(NOTES, 'a');

// oxlint-disable-next-line typescript/no-extraneous-class -- its methods follow
class Desk {
  constructor(rollcall) {
    this.rollcall = rollcall;
  }
  async find({ id }) {
    await pass(ANSWER_MS);
    return { id, instance: this.rollcall.id };
  }
  async notify({ id }) {
    await pass(ANSWER_MS);
    writeSync(notes, `${this.rollcall.id} notify ${id}\n`);
  }
}
const handlers = { find: MessagePattern(`${TOPIC}find`), notify: EventPattern(`${TOPIC}notify`) };
for (const [name, handler] of Object.entries(handlers)) {
  handler(Desk.prototype, name, Object.getOwnPropertyDescriptor(Desk.prototype, name));
  Payload()(Desk.prototype, name, 0);
}
Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
Controller()(Desk);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: SERVICE, metadata: { pid: String(process.pid) } })],
  controllers: [Desk],
})(AppModule);

const BROKERS = {
  redis: { transport: Transport.REDIS, options: { host: '127.0.0.1', port: Number(BROKER_PORT) } },
  mqtt: { transport: Transport.MQTT, options: { url: `mqtt://127.0.0.1:${BROKER_PORT}` } },
};
const app = await NestFactory.createMicroservice(AppModule, BROKERS[BROKER]);
app.enableShutdownHooks(['SIGTERM']);
process.on('SIGUSR2', () => void app.close());
await app.listen();
console.log('listening');
