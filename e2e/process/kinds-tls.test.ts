import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerCredentials } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Get, Module } from '@nestjs/common';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { GrpcMethod as Method } from '@rollcall/client';
import type { TlsTerms } from '@rollcall/core';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launch } from './launch.js';
import { waitFor } from './wait-for.js';

const definition = fromJSON(JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')));
const { Find } = definition['shop.Orders'] as unknown as { Find: Method<{ id: string }, { instance: string }> };

@Controller()
class Orders {
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

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const folder = mkdtempSync(join(tmpdir(), 'rollcall-tls-'));
let ca = '';
let server: Certificate;
let client: Certificate;
/** Issued by a CA that no process trusts. */
let untrusted: Certificate;

async function openssl(...args: readonly string[]): Promise<void> {
  const { exited, err } = launch('openssl', args, { cwd: folder });
  const { code } = await exited;
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}:\n${err.join('\n')}`);
}

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

async function authority(name: string): Promise<void> {
  await openssl(
    'req',
    '-x509',
    ...KEY,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
  );
}

async function signed(name: string, by: string): Promise<Certificate> {
  writeFileSync(join(folder, 'san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  await openssl('req', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
  const issuer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial'];
  await openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...issuer,
    '-days',
    '2',
    '-extfile',
    'san',
    '-out',
    `${name}.pem`,
  );
  return { cert: read(`${name}.pem`), key: read(`${name}.key`) };
}

beforeAll(async () => {
  await authority('ca');
  await authority('others');
  ca = read('ca.pem');
  server = await signed('server', 'ca');
  client = await signed('client', 'ca');
  untrusted = await signed('stranger', 'others');
});

afterAll(() => rmSync(folder, { recursive: true }));

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

/** `asksForCertificate`: whether callers must have a certificate, too. */
type Start = (module: object, asksForCertificate: boolean) => Promise<INestApplicationContext>;

const asked = (asksForCertificate: boolean) =>
  asksForCertificate ? { ca, requestCert: true, rejectUnauthorized: true } : {};

async function microservice(module: object, options: object): Promise<INestApplicationContext> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(module, { ...options, logger: false });
  await app.listen();
  return app;
}

type Kind = 'tcp' | 'grpc' | 'express' | 'fastify';

const KINDS: Readonly<Record<Kind, Start>> = {
  tcp: (module, asksForCertificate) => {
    const tlsOptions = { ...server, ...asked(asksForCertificate) };
    return microservice(module, { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0, tlsOptions } });
  },
  grpc: (module, asksForCertificate) => {
    const pair = { cert_chain: Buffer.from(server.cert), private_key: Buffer.from(server.key) };
    const credentials = ServerCredentials.createSsl(
      asksForCertificate ? Buffer.from(ca) : null,
      [pair],
      asksForCertificate,
    );
    const options = { package: 'shop', packageDefinition: definition, url: '127.0.0.1:0', credentials };
    return microservice(module, { transport: Transport.GRPC, options });
  },
  express: async (module, asksForCertificate) => {
    const app = await NestFactory.create(module, {
      logger: false,
      httpsOptions: { ...server, ...asked(asksForCertificate) },
    });
    await app.listen(0, '127.0.0.1');
    return app;
  },
  fastify: async (module, asksForCertificate) => {
    const adapter = new FastifyAdapter({ https: { ...server, ...asked(asksForCertificate) } });
    const app = await NestFactory.create(module, adapter, { logger: false });
    await app.listen(0, '127.0.0.1');
    return app;
  },
};

interface TlsFixture {
  readonly caller: Rollcall;
  /** Calls over the one protocol of the service. */
  call(): Promise<unknown>;
}

/** One service over TLS, a registry and a caller; without further options, each trusts what Node trusts. */
async function startTlsFixture(
  kind: Kind,
  { registry: heartbeatTls, caller: tls }: { registry?: TlsTerms; caller?: TlsTerms },
  asksForCertificate = false,
): Promise<TlsFixture> {
  const registry = await startTestRegistry(heartbeatTls === undefined ? {} : { heartbeatTls });
  open.push(registry);
  @Module({
    imports: [RollcallModule.forRoot({ service: 'orders', registry: registry.url })],
    controllers: [Orders],
  })
  class OrdersModule {}
  open.push(await KINDS[kind](OrdersModule, asksForCertificate));
  const caller = new Rollcall({ registry: registry.url, calls: tls === undefined ? {} : { tls } });
  open.push(caller);
  caller.start();
  await caller.ready('orders');
  const overHttp = async (): Promise<unknown> => (await caller.fetch('orders', '/find')).json();
  const calls: Readonly<Record<Kind, () => Promise<unknown>>> = {
    tcp: () => caller.call('orders', 'find', {}),
    grpc: () => caller.grpc('orders', Find, { id: '7' }),
    express: overHttp,
    fastify: overHttp,
  };
  return { caller, call: calls[kind] };
}

const only = ({ caller }: TlsFixture) => caller.service('orders').instances[0];
const isHealthy = (here: TlsFixture) => (): boolean => only(here)?.state === 'HEALTHY';

describe.each(['tcp', 'grpc', 'express', 'fastify'] as const)('over TLS: %s', (kind) => {
  it('is HEALTHY both ways, and is called, by processes that trust its certificate', async () => {
    const here = await startTlsFixture(kind, { registry: { ca }, caller: { ca } });
    await waitFor('it is HEALTHY', isHealthy(here));
    expect(only(here)).toMatchObject({ endpoints: [{ tls: true }], reason: { code: 'BOTH_WAYS_OK' } });
    expect(await here.call()).toMatchObject({ instance: expect.stringMatching(/tcp|grpc|http/) });
  });

  it('is refused by processes that do not trust it, with the reason', async () => {
    const here = await startTlsFixture(kind, {});
    await waitFor('the registry has called it', () => only(here)?.reason.text.includes('certificate'));
    expect(only(here)?.state).not.toBe('HEALTHY');
    const error: unknown = await here.call().catch((thrown: unknown) => thrown);
    expect(String(error instanceof Error ? `${error.message} ${String(error.cause)}` : error)).toMatch(/certificate/);
  });

  it('is accepted unverified by processes that are configured so', async () => {
    const here = await startTlsFixture(kind, {
      registry: { rejectUnauthorized: false },
      caller: { rejectUnauthorized: false },
    });
    await waitFor('it is HEALTHY', isHealthy(here));
    expect(await here.call()).toBeDefined();
  });

  it('may require client certificates, which the registry and callers show', async () => {
    const here = await startTlsFixture(kind, { registry: { ca, ...client }, caller: { ca, ...client } }, true);
    await waitFor('it is HEALTHY', isHealthy(here));
    expect(await here.call()).toBeDefined();
  });

  it('does not answer callers without a trusted certificate where it requires one', async () => {
    const here = await startTlsFixture(kind, { registry: { ca, ...client }, caller: { ca, ...untrusted } }, true);
    await waitFor('it is HEALTHY', isHealthy(here));
    await expect(here.call()).rejects.toThrow();
  });
});

it('an unreadable certificate is reported at the start', async () => {
  const broken = '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n';
  expect(() => new Rollcall({ calls: { tls: { ca: broken } } })).toThrow(/^Option tls: the certificates/);
  await expect(startTestRegistry({ heartbeatTls: { ca: broken } })).rejects.toThrow(/^Option heartbeatTls/);
  expect(() => new Rollcall({ calls: { tls: { cert: client.cert } } })).toThrow('cert is there without key');
  expect(() => new Rollcall({ calls: { tls: { ca: 'ca.pem' } } })).toThrow('PEM text, not the name of a file');
});
