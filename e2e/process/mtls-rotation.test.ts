import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:tls';
import type { Server } from 'node:tls';
import { experimental } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Get, Module, Post } from '@nestjs/common';
import type { INestApplication, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall } from '@rollcall/client';
import type { GrpcMethod as Method, RollcallOptions } from '@rollcall/client';
import type { Instance, RegistryEvent } from '@rollcall/core';
import { RollcallModule } from '@rollcall/nestjs';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Certificates, fingerprintOf, textOf } from './certificates.js';
import type { Pair } from './certificates.js';
import { OpenLoop } from './open-loop.js';
import type { Verb } from './open-loop.js';
import { waitFor } from './wait-for.js';

const definition = fromJSON(JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')));
const { Find } = definition['shop.Orders'] as unknown as { Find: Method<{ id: string }, { instance: string }> };

/** Long enough that a busy machine does not look dead. */
const INTERVAL_MS = 1_000;
const CALLS_PER_SECOND = 500;
/** The test takes 15 s on a free machine. */
const TEST_TIMEOUT_MS = 180_000;
/** All participants are in this one process, and handshakes take its time. */
const connectOptions = { connectTimeoutMs: 10_000 };

@Controller()
class Desk {
  @MessagePattern('find')
  findOverTcp(): object {
    return { instance: 'tcp' };
  }

  @MessagePattern('book')
  bookOverTcp(): object {
    return { instance: 'tcp' };
  }

  @GrpcMethod('Orders', 'Find')
  findOverGrpc(): object {
    return { instance: 'grpc' };
  }

  @Get('find')
  findOverHttp(): object {
    return { instance: 'http' };
  }

  @Post('book')
  bookOverHttp(): object {
    return { instance: 'http' };
  }
}

const made = new Certificates();
let oldCa: Pair;
let newCa: Pair;
/** The CA that all trust. */
let caFile = '';
let registry: RunningRegistry;

/** Every participant has one certificate, for the registry, for its callees, and for its callers. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  registry: [],
  reader: ['URI:rollcall:reader'],
  orders: ['URI:rollcall:service:orders'],
  users: ['URI:rollcall:service:users'],
  stock: ['URI:rollcall:service:stock'],
  prices: ['URI:rollcall:service:prices'],
  gateway: ['URI:rollcall:service:gateway'],
};
const SERVICES = ['orders', 'users', 'stock', 'prices', 'gateway'] as const;
const pairs = new Map<string, Pair>();
const pairOf = (name: string): Pair => pairs.get(name)!;

/** Replaces the certificate of a participant. */
async function renew(name: string, by: Pair): Promise<void> {
  const names = NAMES[name] ?? [];
  pairs.set(name, made.install(await made.createSigned(by, { names }), name));
}

/** Servers that would keep their initial certificates in Node: see docs/guide/secure.md. */
const servers = new Map<string, Server>();

function serverTerms(name: string) {
  const { certFile, keyFile } = pairOf(name);
  const [cert, key, ca] = [certFile, keyFile, caFile].map(textOf);
  return { cert, key, ca, requestCert: true, rejectUnauthorized: true };
}

// ---- participants -------------------------------------------------------------------------------------------------

function options(name: string): RollcallOptions {
  const registryTls = { caFile, ...pairOf(name) };
  const patient = { deadlineMs: 30_000, attemptTimeoutMs: 15_000, catalogWaitMs: 30_000 };
  const ways = { tcp: connectOptions, http: { ...connectOptions, connections: 16 }, grpc: connectOptions };
  return { registry: registry.url, registryTls, calls: { tls: registryTls, ...patient, ...ways } };
}

const apps: (INestApplication | INestMicroservice)[] = [];

function moduleOf(service: string): object {
  @Module({ imports: [RollcallModule.forRoot({ ...options(service), service })], controllers: [Desk] })
  class ServiceModule {}
  return ServiceModule;
}

async function startMicroservice(name: string, given: object): Promise<INestMicroservice> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(moduleOf(name), { ...given, logger: false });
  apps.push(app);
  await app.listen();
  return app;
}

async function startTcp(name: string): Promise<void> {
  const terms = { host: '127.0.0.1', port: 0, tlsOptions: serverTerms(name) };
  const app = await startMicroservice(name, { transport: Transport.TCP, options: terms });
  servers.set(name, app.unwrap<Server>());
}

async function startHttp(name: string): Promise<INestApplication> {
  const app = await NestFactory.create(moduleOf(name), { logger: false, httpsOptions: serverTerms(name) });
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  servers.set(name, app.getHttpServer() as Server);
  return app;
}

/** grpc-js reloads its files itself. */
async function startGrpc(name: string): Promise<void> {
  const { certFile: certificateFile, keyFile: privateKeyFile } = pairOf(name);
  const files = { certificateFile, privateKeyFile, caCertificateFile: caFile, refreshIntervalMs: 100 };
  const provider = new experimental.FileWatcherCertificateProvider(files);
  const credentials = experimental.createCertificateProviderServerCredentials(provider, provider, true);
  const given = { package: 'shop', packageDefinition: definition, url: '127.0.0.1:0', credentials };
  await startMicroservice(name, { transport: Transport.GRPC, options: given });
}

/** Calls the services in turn. */
function createAsk(caller: Rollcall): (verb: Verb, id: string) => Promise<string> {
  const http = async (verb: Verb): Promise<unknown> =>
    (await caller.fetch('stock', `/${verb}`, { method: verb === 'find' ? 'GET' : 'POST' })).json();
  const turns = [
    (verb: Verb, id: string) => caller.call('orders', verb, { id }, { idempotent: verb === 'find' }),
    (verb: Verb, id: string) => caller.call('users', verb, { id }, { idempotent: verb === 'find' }),
    (verb: Verb) => http(verb),
    (verb: Verb, id: string) => caller.grpc('prices', Find, { id }, { idempotent: verb === 'find' }),
  ];
  let turn = 0;
  return async (verb, id) => {
    turn += 1;
    const answer = await turns.at(turn % turns.length)!(verb, id);
    return (answer as { instance: string }).instance;
  };
}

// ---- observations from outside ----------------------------------------------------------------------------------------

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Sends a request to the registry over a connection of its own. */
async function ask(path: string, pair = pairOf('reader')): Promise<Answer> {
  for (;;) {
    try {
      return await askOnce(path, pair);
    } catch (error) {
      // a connection whose handshake runs while files change is closed
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      console.warn(`Asked again for ${path}: the connection was reset.`);
    }
  }
}

function askOnce(path: string, { certFile, keyFile }: ReturnType<typeof pairOf>): Promise<Answer> {
  const [cert, key, ca] = [certFile, keyFile, caFile].map(textOf);
  return new Promise((resolve, reject) => {
    const asked = request(`${registry.url}${path}`, { cert, key, ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }));
    });
    asked.on('error', reject).end();
  });
}

/** The one instance of each service. */
const instances = new Map<string, Instance>();

async function isHealthy(service: string): Promise<boolean> {
  const { body } = await ask(`/api/v1/services/${service}`);
  const [instance] = (body as { instances?: Instance[] }).instances ?? [];
  if (instance !== undefined) instances.set(service, instance);
  return instance?.state === 'HEALTHY';
}

interface Direction {
  readonly lastSuccessAgoMs: number | null;
}

/** Whether both heartbeats of a service, each over a connection of its own, have arrived since. */
async function haveHeartbeatsArrivedSince(at: number, service: string): Promise<boolean> {
  const { body } = await ask(`/api/v1/instances/${instances.get(service)?.id}`);
  const { heartbeats } = body as { heartbeats?: Record<string, Direction> };
  const agoMs = [heartbeats?.['heartbeat1'], heartbeats?.['heartbeat2']].map(
    (one) => one?.lastSuccessAgoMs ?? Infinity,
  );
  return Math.max(...agoMs) < performance.now() - at;
}

/** Whether a new connection gets its newest certificate. */
async function isCertificateServed(name: string): Promise<boolean> {
  const port = name === 'registry' ? registry.port : (instances.get(name)?.endpoints[0]?.port ?? 0);
  const { certFile, keyFile } = pairOf('reader');
  const [cert, key, ca] = [certFile, keyFile, caFile].map(textOf);
  const socket = connect({ host: '127.0.0.1', port, cert, key, ca });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.fingerprint256 === fingerprintOf(pairOf(name));
  } finally {
    socket.destroy();
  }
}

/** A process that starts now reaches the registry and all services. */
async function checkNewProcess(): Promise<void> {
  const caller = new Rollcall(options('gateway'));
  const askNext = createAsk(caller);
  for (let turn = 0; turn < 4; turn += 1) await askNext('find', String(turn));
  await caller.close();
}

/** A process that makes its calls this late, ms, has no time for handshakes either. */
const FAIR_LAG_MS = 500;
/** Failures that such a process causes by itself, independently of certificates. */
const STARVATION_CODES: ReadonlySet<string> = new Set(['BULKHEAD_FULL', 'OVERLOADED', 'DEADLINE_EXCEEDED']);
/** The timeout of a Heartbeat-1: a process that is late by half of it loses some of them. */
const HEARTBEAT_MS = 0.4 * INTERVAL_MS;

/** Each kind of failure once. */
function failures({ outcomes, lagMs }: OpenLoop): readonly string[] {
  const isFair = lagMs <= FAIR_LAG_MS;
  const kinds = outcomes.flatMap(({ failure }) => {
    const isOurs = failure === null || (!isFair && STARVATION_CODES.has(failure.code));
    return isOurs ? [] : `${failure.code}: ${failure.text.replaceAll(/\d+/g, 'n')} [${failure.attempts.join(', ')}]`;
  });
  if (!isFair) console.warn(`Only connection errors are judged: calls were made up to ${lagMs.toFixed(0)} ms late.`);
  return [...new Set(kinds)];
}

// ---- the test -------------------------------------------------------------------------------------------------------

describe('every certificate is replaced under load', () => {
  beforeAll(async () => {
    oldCa = await made.createAuthority('old-ca');
    newCa = await made.createAuthority('new-ca');
    caFile = made.bundle('ca.pem', [oldCa]);
    for (const name of Object.keys(NAMES)) await renew(name, oldCa);
    const own = pairOf('registry');
    const tls = { ...own, caFile };
    registry = await startRegistry({ port: 0, intervalMs: INTERVAL_MS, tls, heartbeatTls: tls });
    await startTcp('orders');
    await startTcp('users');
    await startHttp('stock');
    await startGrpc('prices');
  });

  afterAll(async () => {
    for (const app of apps.toReversed()) await app.close();
    await registry.close();
    made.remove();
  });

  it(
    'no call fails, all stay HEALTHY, and certificates of the old CA are refused in the end',
    async () => {
      const gateway = await startHttp('gateway');
      for (const service of SERVICES) await waitFor(`${service} is HEALTHY`, () => isHealthy(service));
      await checkNewProcess();
      const loop = new OpenLoop('rotation', createAsk(gateway.get(Rollcall)), {
        find: CALLS_PER_SECOND / 2,
        book: CALLS_PER_SECOND / 2,
      });
      onTestFinished(() => loop.stop());
      /** Resolves when every connection kind has been used since the files changed. */
      const waitUntilSettled = async (): Promise<void> => {
        for (const [name, server] of servers) server.setSecureContext(serverTerms(name));
        for (const name of ['registry', ...SERVICES])
          await waitFor(`${name} shows its certificate`, () => isCertificateServed(name));
        const at = performance.now();
        for (const service of SERVICES)
          await waitFor(`both heartbeats of ${service} arrive`, () => haveHeartbeatsArrivedSince(at, service));
        await checkNewProcess();
      };

      caFile = made.bundle('ca.pem', [oldCa, newCa]);
      await waitUntilSettled();
      const before = new Map([...pairs].map(([name, pair]) => [name, made.copy(pair, `${name}-before`)]));
      for (const name of Object.keys(NAMES)) {
        await renew(name, newCa);
        await waitUntilSettled();
      }
      caFile = made.bundle('ca.pem', [newCa]);
      await waitFor(
        'an old certificate is refused',
        async () => (await ask('/api/v1/services', before.get('reader'))).status === 401,
      );
      await waitUntilSettled();
      await loop.stop();

      expect(failures(loop)).toEqual([]);
      const answered = new Set(loop.outcomes.flatMap(({ instance }) => instance ?? []));
      expect(answered).toEqual(new Set(['tcp', 'http', 'grpc']));
      expect(loop.outcomes.length).toBeGreaterThan(2_000);
      for (const service of SERVICES) await waitFor(`${service} is HEALTHY`, () => isHealthy(service));
      const { events } = (await ask('/api/v1/events?limit=1000')).body as { events: RegistryEvent[] };
      const changes = events
        .filter(({ kind, state }) => kind === 'removed' || (kind === 'state' && state !== 'HEALTHY'))
        .map(({ service, text, reason }) => `${service}: ${text}, ${reason?.text}`);
      const isFair = loop.lagMs <= HEARTBEAT_MS / 2;
      if (!isFair)
        console.warn(`Judged loosely: this process was late by ${Math.round(loop.lagMs)} ms. ${changes.join(' | ')}`);
      expect(isFair ? changes : changes.filter((text) => /certificate|TLS|SSL/i.test(text))).toEqual([]);

      // services verify the certificates of callers, too
      const stale = new Rollcall({ ...options('gateway'), calls: { tls: { caFile, ...before.get('gateway') } } });
      await expect(stale.call('orders', 'find', {})).rejects.toMatchObject({ code: 'TRANSPORT' });
      await stale.close();
    },
    TEST_TIMEOUT_MS,
  );
});
