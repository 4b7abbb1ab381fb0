// A Nest service over TCP, HTTP and gRPC that appends a line to the file NOTES for each execution, when the execution begins. SERVICE is
// its name, HOST the address that it listens on, PORTS the ports of the three protocols in this order. SIGUSR2 makes it call
// process.exit(0), with whatever it has in hand.
import 'reflect-metadata';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Module, Post, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { SERVICE, NOTES, HOST = '127.0.0.1', PORTS = '0,0,0' } = process.env;
const [tcpPort, httpPort, grpcPort] = PORTS.split(',').map(Number);
const HANDLER_MS = { find: 10, book: 10, read: 70, slow: 400 };

const notes = openSync(NOTES, 'a');

async function execute(verb, id, { id: instance }) {
  writeSync(notes, `${verb} ${id}\n`);
  await pass(HANDLER_MS[verb]);
  return { instance };
}

/** What a decorated class comes to, for plain Node has no decorators: a method for each verb, with its parameter. */
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
    parameter(Desk.prototype, verb, 0);
  }
  Reflect.defineMetadata('design:paramtypes', [Rollcall], Desk);
  Controller()(Desk);
  return Desk;
}

const overTcp = controller(Payload('id'), {
  find: MessagePattern('find', Transport.TCP),
  book: MessagePattern('book', Transport.TCP),
  read: MessagePattern('read', Transport.TCP),
  slow: MessagePattern('slow', Transport.TCP),
});
const overHttp = controller(Query('id'), {
  find: Get('find'),
  book: Post('book'),
  read: Get('read'),
  slow: Get('slow'),
});
const overGrpc = controller(Payload('id'), {
  find: GrpcMethod('Orders', 'Find'),
  book: GrpcMethod('Orders', 'Book'),
  read: GrpcMethod('Orders', 'Read'),
  slow: GrpcMethod('Orders', 'Slow'),
});

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: SERVICE, metadata: { pid: String(process.pid) } })],
  controllers: [overTcp, overHttp, overGrpc],
})(AppModule);

const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] });
app.connectMicroservice({ transport: Transport.TCP, options: { host: HOST, port: tcpPort } });
app.connectMicroservice({
  transport: Transport.GRPC,
  options: {
    package: 'law',
    protoPath: fileURLToPath(new URL('law.proto', import.meta.url)),
    url: `${HOST}:${grpcPort}`,
  },
});
process.on('SIGUSR2', () => process.exit(0));
await app.startAllMicroservices();
await app.listen(httpPort, HOST);
console.log('listening');
