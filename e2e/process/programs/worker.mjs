// A Nest service over TCP and HTTP that records each execution in a file, so that those of killed processes are known
// too. The environment: SERVICE is its name, NOTES the file, PORT the one of TCP. SIGUSR2 turns the FAULT on:
// `move-in`, it listens only then; `slow`, 50 times slower; `unavailable`, each request fails at once because it cannot
// serve; `refuse`, at once because a business rule refuses it.
import 'reflect-metadata';
import { subscribe } from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { ConflictException, Controller, Get, Module, Post, Query, ServiceUnavailableException } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, RpcException, Transport } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { SERVICE, NOTES, PORT, FAULT } = process.env;
/** `book` takes so long that a killed instance has several of them in flight. */
const MS = { find: 2, book: 80 };
const SLOWER = 50;

const notes = openSync(NOTES, 'a');
let isFaulty = false;

async function execute(verb, id, { instance, refusal }) {
  writeSync(notes, `${SERVICE} ${verb} ${id}\n`);
  if (isFaulty && FAULT === 'unavailable') throw new ServiceUnavailableException();
  if (isFaulty && FAULT === 'refuse') throw refusal;
  const ms = MS[verb];
  await pass(isFaulty && FAULT === 'slow' ? SLOWER * ms : ms);
  return { instance };
}

/** Builds a decorated class, as plain Node has no decorators: a method for each verb, with its parameter. */
function controller(refusal, parameter, methods) {
  // oxlint-disable-next-line typescript/no-extraneous-class -- its methods follow
  class Desk {
    constructor(rollcall) {
      this.rollcall = rollcall;
    }
  }
  for (const [verb, method] of Object.entries(methods)) {
    Desk.prototype[verb] = function answer(id) {
      return execute(verb, id, { instance: this.rollcall.id, refusal });
    };
    method(Desk.prototype, verb, Object.getOwnPropertyDescriptor(Desk.prototype, verb));
    parameter(Desk.prototype, verb, 0);
  }
  Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
  Controller()(Desk);
  return Desk;
}

const controllers = [
  controller(new RpcException('sold out'), Payload('id'), {
    find: MessagePattern('find'),
    book: MessagePattern('book'),
  }),
  controller(new ConflictException('sold out'), Query('id'), { find: Get('find'), book: Post('book') }),
];

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: SERVICE, version: '1', metadata: { pid: String(process.pid) } })],
  controllers,
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: Number(PORT ?? 0) } });
app.enableShutdownHooks(['SIGTERM']);

async function listen() {
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
}

if (FAULT === 'move-in') {
  subscribe('net.server.socket', () => console.log('knock'));
  process.once('SIGUSR2', () => void listen().then(() => console.log('moved in')));
  console.log('waiting');
  // it has no server yet: something must keep it alive
  setInterval(() => {}, 1_000);
} else {
  await listen();
  process.on('SIGUSR2', () => {
    isFaulty = !isFaulty;
    console.log(isFaulty ? 'faulty' : 'well');
  });
}
