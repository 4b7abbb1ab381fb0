// A Nest service over TCP, HTTP and gRPC that appends a line to the file NOTES for each execution, when the execution
// begins. SERVICE is its name, or several by commas, each an application of its own, started one after the other. HOST
// is the address that it listens on, PORTS are the ports of the three protocols in this order (default: any). PEER is a
// service that it calls in onModuleInit. SIGUSR2 makes it call process.exit(0), with its calls in flight. HOLD: it
// listens only after SIGHUP. FIRST_CALLS: a client of its own calls each service over each protocol as soon as it
// listens, and the outcomes are printed.
import 'reflect-metadata';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import { Controller, Get, Module, Post, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';

const { SERVICE, NOTES, HOST = '127.0.0.1', PORTS = '0,0,0', PEER, HOLD, FIRST_CALLS } = process.env;
const PROTO = fileURLToPath(new URL('law.proto', import.meta.url));
const HANDLER_MS = { find: 10, book: 10, read: 70, slow: 400 };

const notes = openSync(NOTES, 'a');

async function execute(verb, id, { id: instance }) {
  writeSync(notes, `${verb} ${id}\n`);
  await pass(HANDLER_MS[verb]);
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

/** The result of a call, and its duration in ms. */
async function outcomeOf(call) {
  const at = performance.now();
  const outcome = await call().then(
    () => 'answered',
    ({ code, message }) => code ?? message,
  );
  return `${outcome} ${Math.round(performance.now() - at)}`;
}

const WISHES = { idempotent: true };

/** Before this service serves. */
async function callPeer(rollcall) {
  console.log('calling');
  console.log(`${PEER} ${await outcomeOf(() => rollcall.call(PEER, 'find', { id: `${SERVICE}-first` }, WISHES))}`);
}

/** A client that watches nothing yet. */
const stranger = FIRST_CALLS === undefined ? null : new Rollcall({ registry: process.env.ROLLCALL_URL });
stranger?.start();

async function firstCalls(service) {
  const method = loadSync(PROTO)['law.Orders'].Find;
  const calls = {
    tcp: () => stranger.call(service, 'find', { id: 'first' }, WISHES),
    http: () => stranger.fetch(service, '/find?id=first', {}, WISHES),
    grpc: () => stranger.grpc(service, method, { id: 'first' }, WISHES),
  };
  const results = Object.entries(calls).map(async ([over, call]) => `${over} ${await outcomeOf(call)}`);
  console.log(`first ${service}: ${(await Promise.all(results)).join(', ')}`);
}

async function listen(service, [tcp, http, grpc]) {
  class AppModule {
    constructor(rollcall) {
      this.rollcall = rollcall;
    }

    async onModuleInit() {
      if (PEER !== undefined) await callPeer(this.rollcall);
    }
  }
  Reflect.defineMetadata('design:paramtypes', [Rollcall], AppModule);
  Module({
    imports: [RollcallModule.forRoot({ service, metadata: { pid: String(process.pid) } })],
    controllers: [overTcp, overHttp, overGrpc],
  })(AppModule);
  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: ['error'] });
  app.connectMicroservice({ transport: Transport.TCP, options: { host: HOST, port: tcp } });
  app.connectMicroservice({
    transport: Transport.GRPC,
    options: { package: 'law', protoPath: PROTO, url: `${HOST}:${grpc}` },
  });
  await app.startAllMicroservices();
  await app.listen(http, HOST);
  console.log(`listening ${service}`);
  if (stranger !== null) await firstCalls(service);
}

process.on('SIGUSR2', () => process.exit(0));
if (HOLD !== undefined) {
  const signalled = new Promise((resolve) => process.once('SIGHUP', resolve));
  // a process that waits only for a signal would end
  const alive = setInterval(() => {}, 1_000);
  console.log('waiting');
  await signalled;
  clearInterval(alive);
}
for (const service of SERVICE.split(',')) await listen(service, PORTS.split(',').map(Number));
