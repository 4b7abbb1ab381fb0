// The regions here are the code of docs/guide/tls.md.
import { readFileSync } from 'node:fs';
import { ServerCredentials } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Get, Injectable, Module } from '@nestjs/common';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import type { GrpcMethod as Method } from '@rollcall/nestjs';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { urlOf } from './plain-requests.js';
import { Certificates } from './certificates.js';
import { endAll, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const packageDefinition = fromJSON(
  JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')) as object,
);
const { Find } = packageDefinition['shop.Orders'] as unknown as { Find: Method<{ id: string }, { instance: string }> };

@Controller()
class OrdersController {
  @MessagePattern('find')
  overTcp(): object {
    return { instance: 'tcp' };
  }

  @GrpcMethod('Orders', 'Find')
  overGrpc(): object {
    return { instance: 'grpc' };
  }

  @Get('find')
  overHttp(): object {
    return { instance: 'http' };
  }
}

function moduleOf(service: string): new () => object {
  @Module({ imports: [RollcallModule.forRoot({ service })], controllers: [OrdersController] })
  class OrdersModule {}
  return OrdersModule;
}

const certificates = new Certificates();
/** Closed at the end, the last first. */
const open: { close(): Promise<unknown> }[] = [];
const keep = <One extends { close(): Promise<unknown> }>(one: One): One => {
  open.push(one);
  return one;
};
let caFile = '';
let certFile = '';
let keyFile = '';
const logger = false;
const host = '127.0.0.1';

async function startTcp(): Promise<INestApplicationContext> {
  const OrdersModule = moduleOf('tcp');
  // #region tcp
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.TCP,
    options: { host, port: 0, tlsOptions: { cert, key } },
    logger,
  });
  await app.listen();
  // #endregion
  return app;
}

async function startHttp(): Promise<INestApplicationContext> {
  const OrdersModule = moduleOf('http');
  // #region http
  const httpsOptions = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const app = await NestFactory.create(OrdersModule, { httpsOptions, logger });
  await app.listen(0, host);
  // #endregion
  return app;
}

async function startFastify(): Promise<INestApplicationContext> {
  const OrdersModule = moduleOf('fastify');
  // #region asks
  const [ca, cert, key] = [readFileSync(caFile), readFileSync(certFile), readFileSync(keyFile)];
  const https = { cert, key, ca, requestCert: true, rejectUnauthorized: true }; // a client without a certificate of this CA is refused
  const app = await NestFactory.create(OrdersModule, new FastifyAdapter({ https }), { logger });
  await app.listen(0, host);
  // #endregion
  return app;
}

async function startGrpc(): Promise<INestApplicationContext> {
  const OrdersModule = moduleOf('grpc');
  // #region grpc
  const pair = { cert_chain: readFileSync(certFile), private_key: readFileSync(keyFile) };
  const asksForCertificates = true; // false: any client that trusts ours may call
  const credentials = ServerCredentials.createSsl(readFileSync(caFile), [pair], asksForCertificates);
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.GRPC,
    options: { package: 'shop', packageDefinition, url: `${host}:0`, credentials },
    logger,
  });
  await app.listen();
  // #endregion
  return app;
}

async function startGuarded(): Promise<RunningRegistry> {
  const port = 0;
  // #region registry
  const registry = await startRegistry({ port, heartbeatTls: { caFile, certFile, keyFile } });
  // #endregion
  return registry;
}

@Injectable()
class Shop {
  constructor(
    @InjectService('tcp') readonly tcp: ServiceClient,
    @InjectService('http') readonly http: ServiceClient,
    @InjectService('fastify') readonly fastify: ServiceClient,
    @InjectService('grpc') readonly grpc: ServiceClient,
  ) {}
}

function callerModule(root: ReturnType<typeof RollcallModule.forRoot>): new () => object {
  @Module({ imports: [root, RollcallModule.forFeature(['tcp', 'http', 'fastify', 'grpc'])], providers: [Shop] })
  class ShopModule {}
  return ShopModule;
}

async function callerWith(root: ReturnType<typeof RollcallModule.forRoot>): Promise<INestApplicationContext> {
  return keep(await NestFactory.createApplicationContext(callerModule(root), { logger: false }));
}

const SERVICES = ['tcp', 'http', 'fastify', 'grpc'] as const;

describe('the page on TLS', () => {
  beforeAll(async () => {
    const authority = await certificates.createAuthority('ca');
    caFile = authority.certFile;
    ({ certFile, keyFile } = await certificates.createSigned(authority));
    const registry = keep(await startGuarded());
    vi.stubEnv('ROLLCALL_URL', registry.url);
    for (const begin of [startTcp, startHttp, startFastify, startGrpc]) keep(await begin());
  });

  afterAll(async () => {
    for (const one of open.splice(0).toReversed()) await one.close();
    vi.unstubAllEnvs();
    certificates.remove();
  });

  it('a caller that trusts them, and shows a certificate where one is required, calls each; each is HEALTHY', async () => {
    // #region caller
    const root = RollcallModule.forRoot({ calls: { tls: { caFile, certFile, keyFile } } });
    // #endregion
    const context = await callerWith(root);
    const { tcp, http, fastify, grpc } = context.get(Shop);
    const rollcall = context.get(Rollcall);
    rollcall.start();
    await waitFor('all are HEALTHY', () =>
      SERVICES.every((service) => rollcall.service(service).instances[0]?.state === 'HEALTHY'),
    );
    for (const service of SERVICES)
      expect(rollcall.service(service).instances[0]?.endpoints).toMatchObject([{ tls: true }]);
    expect(await tcp.call('find', {})).toEqual({ instance: 'tcp' });
    expect(await (await http.fetch('/find')).json()).toEqual({ instance: 'http' });
    expect(await (await fastify.fetch('/find')).json()).toEqual({ instance: 'http' });
    expect(await grpc.grpc(Find, { id: '7' })).toMatchObject({ instance: 'grpc' });
  });

  it('a caller without a certificate reaches servers that require none', async () => {
    // #region trusts
    const root = RollcallModule.forRoot({ calls: { tls: { caFile } } });
    // #endregion
    const { tcp, fastify } = (await callerWith(root)).get(Shop);
    expect(await tcp.call('find', {})).toEqual({ instance: 'tcp' });
    await expect(fastify.fetch('/find')).rejects.toThrow();
  });

  it('a caller without a trusted CA gets the reason', async () => {
    const { tcp } = (await callerWith(RollcallModule.forRoot({}))).get(Shop);
    await expect(tcp.call('find', {})).rejects.toThrow(/certificate/);
  });

  it('a registry on the command line trusts the CA that it is given', async () => {
    const child = start('rollcall', ['up', '--json', '--port', '0', '--interval', '500', '--services-ca', caFile]);
    onTestFinished(endAll);
    const url = await urlOf(child);
    vi.stubEnv('ROLLCALL_URL', url);
    keep(await startTcp());
    keep(await startHttp());
    const context = await callerWith(RollcallModule.forRoot({ calls: { tls: { caFile } } }));
    const rollcall = context.get(Rollcall);
    rollcall.start();
    await waitFor('both are HEALTHY', () =>
      ['tcp', 'http'].every((service) => rollcall.service(service).instances[0]?.state === 'HEALTHY'),
    );
  });
});
