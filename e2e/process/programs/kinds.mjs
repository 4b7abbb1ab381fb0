// A Nest application of the KIND that the environment names, which records its executions in the file NOTES. SERVICE is
// its name, LEAST_MS the least time that its shutdown keeps serving, PORT its first port (else any free port). SIGTERM
// ends it by its shutdown hooks, SIGUSR2 by `app.close()` in code; then nothing may keep it alive.
import 'reflect-metadata';
import { openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Get, Module, Post, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, GrpcMethod, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { KIND, SERVICE, NOTES, LEAST_MS, PORT = '0' } = process.env;
const port = Number(PORT);
/** `book` takes so long that a draining instance has several of them in flight. */
const MS = { find: 2, book: 200, notify: 20 };

const notes = openSync(NOTES, 'a');
const packageDefinition = fromJSON(JSON.parse(readFileSync(new URL('shop.json', import.meta.url), 'utf8')));

async function execute(verb, id, { id: instance }) {
  await pass(MS[verb]);
  writeSync(notes, `${SERVICE} ${verb} ${id}\n`);
  return { instance };
}

/** Builds a decorated class, as plain Node has no decorators: a method for each verb, with its parameter. */
function controller(parameter, methods) {
  // oxlint-disable-next-line typescript/no-extraneous-class -- its methods follow
  class Desk {
    constructor(rollcall) {
      this.rollcall = rollcall;
    }
  }
  for (const [verb, method] of Object.entries(methods)) {
    Desk.prototype[verb] = function answer(id) {
      return execute(verb, id, this.rollcall);
    };
    method(Desk.prototype, verb, Object.getOwnPropertyDescriptor(Desk.prototype, verb));
    parameter?.(Desk.prototype, verb, 0);
  }
  Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
  Controller()(Desk);
  return Desk;
}

const overTcp = controller(Payload('id'), {
  find: MessagePattern('find', Transport.TCP),
  book: MessagePattern('book', Transport.TCP),
  notify: EventPattern('notify', Transport.TCP),
});
const overHttp = controller(Query('id'), { find: Get('find'), book: Post('book') });
const overGrpc = controller(Payload('id'), { find: GrpcMethod('Orders', 'Find'), book: GrpcMethod('Orders', 'Book') });

const TCP = { transport: Transport.TCP, options: { host: '127.0.0.1', port } };
const GRPC = {
  transport: Transport.GRPC,
  options: { package: 'shop', packageDefinition, url: `127.0.0.1:${KIND === 'grpc' ? port : 0}` },
};
const KINDS = {
  tcp: { alone: TCP, controllers: [overTcp] },
  grpc: { alone: GRPC, controllers: [overGrpc] },
  express: { controllers: [overHttp] },
  fastify: { adapter: () => new FastifyAdapter(), controllers: [overHttp] },
  'tcp-express': { beside: [TCP], controllers: [overTcp, overHttp] },
  'grpc-fastify': { adapter: () => new FastifyAdapter(), beside: [GRPC], controllers: [overHttp, overGrpc] },
  'hybrid-express': { beside: [TCP, GRPC], controllers: [overTcp, overHttp, overGrpc] },
  'hybrid-fastify': {
    adapter: () => new FastifyAdapter(),
    beside: [TCP, TCP, GRPC],
    controllers: [overTcp, overHttp, overGrpc],
  },
};
const isContext = KIND === 'context';
const { alone, adapter, beside = [], controllers } = KINDS[KIND] ?? {};

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [
    RollcallModule.forRoot({
      service: SERVICE,
      metadata: { pid: String(process.pid) },
      ...(isContext ? { heartbeatPort: 0 } : {}),
      drain: { leastMs: Number(LEAST_MS ?? 0) },
    }),
  ],
  controllers,
})(AppModule);

const app = isContext
  ? await NestFactory.createApplicationContext(AppModule)
  : alone === undefined
    ? await NestFactory.create(AppModule, ...(adapter === undefined ? [] : [adapter()]))
    : await NestFactory.createMicroservice(AppModule, alone);
app.enableShutdownHooks(['SIGTERM']);
process.on('SIGUSR2', () => void app.close());

for (const server of beside) app.connectMicroservice(server);
if (beside.length > 0) await app.startAllMicroservices();
if (!isContext) await (alone === undefined ? app.listen(beside.length > 0 ? 0 : port, '127.0.0.1') : app.listen());
console.log('listening');
