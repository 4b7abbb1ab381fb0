// `node app.js <kind>…`: one application of each kind, with nothing configured but its name.
import 'reflect-metadata';
import type { Server } from 'node:net';
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import type { INestApplication, INestApplicationContext, INestMicroservice, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { PROTOCOLS, SHOP } from './shop.js';
import type { Answer, Kind, Question } from './shop.js';

const WORK_MS = 60;
const HOST = '127.0.0.1';
const TCP: MicroserviceOptions = { transport: Transport.TCP, options: { host: HOST, port: 0 } };
const GRPC: MicroserviceOptions = {
  transport: Transport.GRPC,
  options: { package: 'shop', packageDefinition: SHOP, url: `${HOST}:0` },
};

@Controller()
class Orders {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  overTcp(@Payload() { id }: Question): Promise<Answer> {
    return this.find(id);
  }

  @GrpcMethod('Orders', 'Find')
  overGrpc({ id }: Question): Promise<Answer> {
    return this.find(id);
  }

  @Get('orders/:id')
  overHttp(@Param('id') id: string): Promise<Answer> {
    return this.find(id);
  }

  private async find(id: string): Promise<Answer> {
    await new Promise((resolve) => setTimeout(resolve, WORK_MS));
    return { id, instance: this.rollcall.id };
  }
}

function moduleOf(service: string): Type {
  @Module({ imports: [RollcallModule.forRoot({ service })], controllers: [Orders] })
  class AppModule {}
  return AppModule;
}

async function microservice(service: string, options: MicroserviceOptions): Promise<INestApplicationContext> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(moduleOf(service), options);
  app.enableShutdownHooks();
  await app.listen();
  return app;
}

async function listening(app: INestApplication): Promise<INestApplicationContext> {
  app.enableShutdownHooks();
  await app.listen(0, HOST);
  return app;
}

async function hybrid(app: INestApplication): Promise<INestApplicationContext> {
  app.connectMicroservice(TCP); // the first: see `portsOf`
  app.connectMicroservice(GRPC);
  await app.startAllMicroservices();
  return listening(app);
}

const START: Readonly<Record<Kind, () => Promise<INestApplicationContext>>> = {
  tcp: () => microservice('tcp', TCP),
  grpc: () => microservice('grpc', GRPC),
  express: async () => listening(await NestFactory.create(moduleOf('express'))),
  fastify: async () => listening(await NestFactory.create(moduleOf('fastify'), new FastifyAdapter())),
  'hybrid-express': async () => hybrid(await NestFactory.create(moduleOf('hybrid-express'))),
  'hybrid-fastify': async () => hybrid(await NestFactory.create(moduleOf('hybrid-fastify'), new FastifyAdapter())),
};

/** The ports that the servers report: Nest's gRPC server does not, and asking it is an error. */
function portsOf(kind: Kind, app: INestApplicationContext): Readonly<Record<string, number>> {
  const http = PROTOCOLS[kind].includes('http') ? (app as INestApplication).getHttpServer() : null;
  const [overTcp] = kind.startsWith('hybrid')
    ? (app as INestApplication).getMicroservices()
    : [app as INestMicroservice];
  const tcp = PROTOCOLS[kind].includes('tcp') ? overTcp?.unwrap<Server>() : null;
  return { ...portOf('http', http as Server | null), ...portOf('tcp', tcp ?? null) };
}

function portOf(name: string, server: Server | null): Readonly<Record<string, number>> {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? { [name]: address.port } : {};
}

async function main(kinds: readonly string[]): Promise<void> {
  for (const kind of kinds as readonly Kind[]) {
    const app = await START[kind]();
    console.log(JSON.stringify({ kind, instance: app.get(Rollcall).id, ports: portsOf(kind, app) }));
  }
}

void main(process.argv.slice(2));
