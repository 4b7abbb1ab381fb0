import { readFileSync } from 'node:fs';
import { fromJSON } from '@grpc/proto-loader';
import { BadRequestException, Catch, Controller, Get, Injectable, Module, VersioningType } from '@nestjs/common';
import type { INestApplication, INestApplicationContext, INestMicroservice, Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Server, Transport } from '@nestjs/microservices';
import type { CustomTransportStrategy, MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { GrpcMethod as Method } from '@rollcall/client';
import type { Endpoint, Instance } from '@rollcall/core';
import { getServiceToken, Rollcall, RollcallAgent, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import type { RollcallModuleOptions } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { NEVER } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitFor } from './wait-for.js';

type Query = { id: string };
type Answer = { instance: string };
const definition = fromJSON(JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')));
const { Find } = definition['shop.Orders'] as unknown as { Find: Method<Query, Answer> };

const TCP = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } } as const;
const GRPC = {
  transport: Transport.GRPC,
  options: { package: 'shop', packageDefinition: definition, url: '127.0.0.1:0' },
} as const;

@Controller({ version: '1', path: 'orders' })
class Orders {
  constructor(private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  overTcp(): Answer {
    return { instance: this.rollcall.id };
  }

  @GrpcMethod('Orders', 'Find')
  overGrpc(): Answer {
    return { instance: this.rollcall.id };
  }

  @Get()
  overHttp(): Answer {
    return { instance: this.rollcall.id };
  }
}

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
let caller: Rollcall;
const apps: INestApplicationContext[] = [];

beforeEach(async () => {
  registry = await startTestRegistry();
  caller = new Rollcall({ registry: registry.url });
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await caller.close();
  await registry.close();
});

function keep<App extends INestApplicationContext>(app: App): App {
  apps.push(app);
  return app;
}

interface Parts {
  readonly options?: RollcallModuleOptions;
  readonly microservices?: readonly object[];
  readonly controllers?: readonly Type[];
  readonly features?: Parameters<typeof RollcallModule.forFeature>[0];
}

function moduleOf({
  options = {},
  microservices: providers = [],
  controllers = [Orders],
  features = [],
}: Parts = {}): Type {
  @Module({
    imports: [
      RollcallModule.forRoot({ service: 'orders', registry: registry.url, ...options }),
      RollcallModule.forFeature(features),
    ],
    controllers: [...controllers],
    providers: providers as never[],
  })
  class AppModule {}
  return AppModule;
}

async function microservice(module: Type, options: object): Promise<INestMicroservice> {
  const app = keep(await NestFactory.createMicroservice<MicroserviceOptions>(module, { ...options, logger: false }));
  await app.listen();
  return app;
}

async function web(module: Type, framework: 'express' | 'fastify', providers: readonly object[] = []) {
  const options = { logger: false } as const;
  const app: INestApplication = keep(
    framework === 'express'
      ? await NestFactory.create(module, options)
      : await NestFactory.create(module, new FastifyAdapter(), options),
  );
  app.setGlobalPrefix('api');
  app.enableVersioning({ type: VersioningType.URI });
  for (const server of providers) app.connectMicroservice(server, { inheritAppConfig: true });
  if (providers.length > 0) await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  return app;
}

/** Each kind of application, configured with nothing but the name of its service, and the protocols that others see. */
const KINDS: readonly [string, (module: Type) => Promise<INestApplicationContext>, readonly Endpoint['protocol'][]][] =
  [
    ['TCP', (module) => microservice(module, TCP), ['tcp']],
    ['gRPC', (module) => microservice(module, GRPC), ['grpc']],
    ['HTTP on Express', (module) => web(module, 'express'), ['http']],
    ['HTTP on Fastify', (module) => web(module, 'fastify'), ['http']],
    ['HTTP, TCP and gRPC on Express', (module) => web(module, 'express', [TCP, GRPC]), ['tcp', 'grpc', 'http']],
    ['HTTP, TCP and gRPC on Fastify', (module) => web(module, 'fastify', [GRPC, TCP]), ['grpc', 'tcp', 'http']],
    ['HTTP and two TCP servers', (module) => web(module, 'express', [TCP, TCP]), ['tcp', 'tcp', 'http']],
    ['a broker', (module) => microservice(module, { strategy: new Broker() }), ['heartbeat']],
    ['a broker and HTTP', (module) => web(module, 'fastify', [{ strategy: new Broker() }]), ['http']],
  ];

/** Stands for Redis, NATS, Kafka, RabbitMQ or MQTT: a transport of its own, and no port. */
class Broker extends Server implements CustomTransportStrategy {
  override transportId = Symbol('broker');
  listen(listening: () => void): void {
    listening();
  }
  close(): void {}
  on(): void {}
  unwrap<T>(): T {
    throw new Error('There is nothing below.');
  }
}

const instances = (): readonly Instance[] => caller.service('orders').instances;

async function healthy(count = 1): Promise<readonly Instance[]> {
  caller.start();
  await waitFor(`${count} are HEALTHY`, () => instances().filter(({ state }) => state === 'HEALTHY').length === count);
  return instances();
}

describe.each(KINDS)('an application over %s', (_, start, protocols) => {
  it('is HEALTHY both ways, at its address, with nothing configured but its name', async () => {
    await start(moduleOf());
    const [instance] = await healthy();
    expect(instance).toMatchObject({ reason: { code: 'BOTH_WAYS_OK' } });
    expect(instance?.endpoints.map(({ protocol }) => protocol)).toEqual(protocols);
    for (const { host, port, tls } of instance?.endpoints ?? []) {
      expect([host, tls]).toEqual(['127.0.0.1', false]);
      expect(port).toBeGreaterThan(0);
    }
  });

  it('is called over the protocols it serves, and over no other', async () => {
    await start(moduleOf());
    const [instance] = await healthy();
    const answer = { instance: instance?.id };
    const calls = {
      tcp: () => caller.call('orders', 'find', {}),
      http: async () => (await caller.fetch('orders', '/api/v1/orders')).json(),
      grpc: () => caller.grpc('orders', Find, { id: '7' }),
    };
    for (const [protocol, call] of Object.entries(calls)) {
      if (protocols.includes(protocol as 'tcp')) expect(await call()).toEqual(answer);
      else await expect(call()).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
    }
  });

  it('stays HEALTHY with any guard, pipe or filter', async () => {
    const app = await start(moduleOf({ microservices: OBSTACLES }));
    await healthy();
    const answer = vi.spyOn(app.get(Rollcall), 'answer');
    await waitFor('it was called several times', () => answer.mock.calls.length >= 4 * protocols.length);
    expect(await healthy()).toMatchObject([{ reason: { code: 'BOTH_WAYS_OK' } }]);
    if (protocols.includes('http')) expect((await caller.fetch('orders', '/api/v1/orders')).status).toBe(403);
  });

  it('deregisters without extra log lines: it is gone as soon as it has closed', async () => {
    const app = await start(moduleOf());
    await healthy();
    await app.close();
    await waitFor('it is gone', () => instances().every(({ state }) => state === 'DEREGISTERING'));
  });
});

@Injectable()
class NobodyMayEnter {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class RejectAllPipe {
  transform(): never {
    throw new BadRequestException();
  }
}

@Injectable()
class HangingInterceptor {
  intercept() {
    return NEVER;
  }
}

/** Returns its input over HTTP, and has no message handlers. */
@Catch()
class SwallowingFilter {
  catch(error: { getStatus?(): number }, host: any): unknown {
    if (host.getType() !== 'http') return NEVER;
    const response = host.switchToHttp().getResponse();
    return response.status(error.getStatus?.() ?? 500).send('no');
  }
}

const OBSTACLES = [
  { provide: APP_GUARD, useClass: NobodyMayEnter },
  { provide: APP_PIPE, useClass: RejectAllPipe },
  { provide: APP_INTERCEPTOR, useClass: HangingInterceptor },
  { provide: APP_FILTER, useClass: SwallowingFilter },
];

describe('an application that starts in halves', () => {
  it('is registered when the second half listens, with both', async () => {
    const app = keep(await NestFactory.create(moduleOf(), { logger: false }));
    app.connectMicroservice(TCP);
    const answered = vi.spyOn(app.get(Rollcall), 'register');
    await app.startAllMicroservices();
    expect(answered).not.toHaveBeenCalled();
    await app.listen(0, '127.0.0.1');
    expect((await healthy())[0]?.endpoints.map(({ protocol }) => protocol)).toEqual(['tcp', 'http']);
  });

  it('is registered with the first half alone when it asks for that', async () => {
    const app = keep(await NestFactory.create(moduleOf({ options: { register: 'manual' } }), { logger: false }));
    app.connectMicroservice(TCP);
    await app.startAllMicroservices();
    await app.get(RollcallAgent).register();
    expect((await healthy())[0]?.endpoints.map(({ protocol }) => protocol)).toEqual(['tcp']);
  });
});

describe('an application context', () => {
  it('calls others, and is not listed itself, even with a name', async () => {
    await microservice(moduleOf(), TCP);
    const context = keep(
      await NestFactory.createApplicationContext(
        moduleOf({ options: { service: 'cron' }, controllers: [], features: ['orders'] }),
        { logger: false },
      ),
    );
    const orders = context.get<ServiceClient>(getServiceToken('orders'));
    await orders.connect();
    await healthy();
    expect(await orders.call('find', {})).toMatchObject({ instance: expect.stringMatching(/^orders-/) });
    expect(await caller.instances('cron')).toEqual([]);
  });

  it('is listed when it registers itself, with a port for heartbeats alone', async () => {
    const options = { service: 'orders', register: 'manual' } as const;
    const context = keep(
      await NestFactory.createApplicationContext(moduleOf({ options, controllers: [] }), { logger: false }),
    );
    await context.get(RollcallAgent).register();
    expect((await healthy())[0]?.endpoints).toMatchObject([{ protocol: 'heartbeat', host: '127.0.0.1' }]);
    await expect(caller.call('orders', 'find', {})).rejects.toMatchObject({
      code: 'NO_ENDPOINT',
      message: expect.stringContaining('heartbeat'),
    });
  });
});

describe('two applications in one process', () => {
  it('are two instances, and one continues when the other closes', async () => {
    const one = await microservice(moduleOf(), TCP);
    await web(moduleOf(), 'fastify', [TCP]);
    const both = await healthy(2);
    expect(new Set(both.map(({ id }) => id)).size).toBe(2);
    await one.close();
    await waitFor('one has left', () => instances().filter(({ state }) => state === 'HEALTHY').length === 1);
    const { instance } = (await caller.call('orders', 'find', {})) as Answer;
    expect(instance).not.toBe(one.get(Rollcall).id);
  });
});

describe('a service without a registry', () => {
  it('is called at fixed addresses, under the token that existing code injects', async () => {
    // as before the introduction of a registry
    @Controller()
    class Legacy {
      @MessagePattern('find')
      find(): string {
        return 'from of old';
      }
    }
    @Module({ controllers: [Legacy] })
    class LegacyModule {}
    const legacy = await microservice(LegacyModule, TCP);
    const { port } = legacy.unwrap<{ address(): { port: number } }>().address();
    const features = [
      { service: 'legacy', token: 'LEGACY_SERVICE', static: [{ protocol: 'tcp', host: '127.0.0.1', port }] },
    ] as const;
    const context = keep(
      await NestFactory.createApplicationContext(moduleOf({ controllers: [], features }), { logger: false }),
    );
    expect(await context.get<ServiceClient>('LEGACY_SERVICE').call('find', {})).toBe('from of old');
  });
});
