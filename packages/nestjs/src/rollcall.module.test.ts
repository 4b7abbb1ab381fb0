import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import type { DynamicModule, INestApplicationContext, OnApplicationShutdown } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Rollcall } from '@rollcall/client';
import type { TestingModule } from '@nestjs/testing';
import { Transport } from '@nestjs/microservices';
import { isRollcallError } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { getServiceToken, InjectService, PORTS, ROLLCALL } from './inject.js';
import { RollcallModule } from './rollcall.module.js';
import { readSettings } from './rollcall.module-definition.js';
import { ServiceClient } from './calls/service-client.js';
import { FakeRollcall } from './nest.fixture.js';

const opened: INestApplicationContext[] = [];
afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
});

async function compile(imports: DynamicModule['imports'], rollcall = new FakeRollcall()): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports: imports! })
    .overrideProvider(ROLLCALL)
    .useValue(rollcall)
    .overrideProvider(PORTS)
    .useValue({ time: new ManualTime(), log: recordingLog() })
    .compile();
  opened.push(module);
  return module;
}

@Injectable()
class Checkout {
  constructor(@InjectService('orders') readonly orders: ServiceClient) {}
}

describe('forFeature', () => {
  it('provides a client of each named service, wherever forRoot is imported', async () => {
    @Module({ imports: [RollcallModule.forFeature(['orders', 'users'])], providers: [Checkout] })
    class Shop {}
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), Shop], rollcall);
    const { orders } = module.get(Checkout, { strict: false });
    await orders.call('find', { id: '7' });
    expect(rollcall.made).toMatchObject([{ verb: 'call', service: 'orders' }]);
  });

  it('provides the client under an existing token, with its default call options', async () => {
    const feature = RollcallModule.forFeature([{ service: 'orders', token: 'ORDERS_SERVICE', deadlineMs: 800 }]);
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), feature], rollcall);
    const client = module.get<ServiceClient>('ORDERS_SERVICE', { strict: false });
    expect(client).toBe(module.get(getServiceToken('orders'), { strict: false }));
    await client.call('find', {});
    expect(rollcall.made[0]?.options).toEqual({ deadlineMs: 800 });
  });

  it('knows services with fixed addresses before it opens anything', async () => {
    const endpoints = [{ protocol: 'tcp', host: 'legacy', port: 4001 }] as const;
    const feature = RollcallModule.forFeature([{ service: 'legacy', static: endpoints, token: 'LEGACY' }]);
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), feature], rollcall);
    expect(rollcall.events).toEqual(['fix legacy 4001']);
    await module.get<ServiceClient>('LEGACY', { strict: false }).call('find', {});
    expect(rollcall.made).toMatchObject([{ verb: 'call', service: 'legacy', options: {} }]);
  });

  it('watches its services from the start of the client on, not before', async () => {
    const rollcall = new FakeRollcall();
    const module = await compile(
      [RollcallModule.forRoot({}), RollcallModule.forFeature(['orders', 'users'])],
      rollcall,
    );
    await module.init();
    expect(rollcall.events).toEqual([]);
    await module.get<ServiceClient>(getServiceToken('orders'), { strict: false }).call('find', {});
    expect(rollcall.events).toEqual(['start', 'orders', 'users']);
  });

  it('can be replaced in tests of user code', async () => {
    const module = await Test.createTestingModule({
      imports: [RollcallModule.forRoot({}), RollcallModule.forFeature(['orders'])],
      providers: [Checkout],
    })
      .overrideProvider(ROLLCALL)
      .useValue(new FakeRollcall())
      .overrideProvider(getServiceToken('orders'))
      .useValue('mine')
      .compile();
    expect(module.get(Checkout).orders).toBe('mine');
  });
});

describe('forRoot', () => {
  it('throws if it is imported twice in one application, and names both places', async () => {
    @Module({ imports: [RollcallModule.forRoot({ service: 'orders' })] })
    class Billing {}
    @Module({ imports: [RollcallModule.forRoot({ service: 'orders' }), Billing] })
    class Shop {}
    const error: unknown = await compile([Shop]).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(isRollcallError(error) && error.code).toBe('OPTION_INVALID');
    expect(String(error)).toContain('2 times, in the imports of Shop and of Billing');
  });

  it('may be imported in two places if it is the same object', async () => {
    const root = RollcallModule.forRoot({ service: 'orders' });
    @Module({ imports: [root] })
    class Billing {}
    await expect(compile([root, Billing])).resolves.toBeDefined();
  });

  it('takes its options from a factory', async () => {
    @Module({ providers: [{ provide: 'CONFIG', useValue: { service: 'orders' } }], exports: ['CONFIG'] })
    class Config {}
    const root = RollcallModule.forRootAsync({
      imports: [Config],
      inject: ['CONFIG'],
      useFactory: (config: { service: string }) => config,
    });
    const rollcall = new FakeRollcall();
    const module = await compile([root], rollcall);
    const app = module.createNestMicroservice({ transport: Transport.TCP, options: { host: '0.0.0.0', port: 0 } });
    opened.push(app);
    app.useLogger(false);
    rollcall.onDrain = () => Promise.resolve(0);
    await app.listen();
    expect(rollcall.registered).toHaveLength(1);
  });

  it('closes the client last of all: until then the application can call others', async () => {
    const rollcall = new FakeRollcall();
    @Injectable()
    class ShutdownHook implements OnApplicationShutdown {
      constructor(@InjectService('audit') private readonly audit: ServiceClient) {}
      async onApplicationShutdown(): Promise<void> {
        await this.audit.call('stopped', {});
        rollcall.events.push('farewell');
      }
    }
    @Module({ imports: [RollcallModule.forFeature(['audit'])], providers: [ShutdownHook] })
    class Shop {}
    const module = await compile([RollcallModule.forRoot({}), Shop], rollcall);
    await module.init();
    await module.close();
    expect(rollcall.events.slice(-2)).toEqual(['farewell', 'close']);
  });
});

function embedded(events: string[]) {
  return {
    url: 'http://127.0.0.1:1337',
    start: ({ production }: { production: boolean }) =>
      Promise.resolve(void events.push(`registry ${JSON.stringify({ production })}`)),
    close: () => Promise.resolve(void events.push('registry closed')),
  };
}

describe('the client of an application', () => {
  it('serves programs that choose a service at run time, and opens nothing until it is used', async () => {
    @Module({ imports: [RollcallModule.forRoot({ service: 'orders', registry: 'http://127.0.0.1:9' })] })
    class Shop {}
    const app = await NestFactory.createApplicationContext(Shop, { logger: false });
    const rollcall = app.get(Rollcall);
    expect(rollcall.id).toMatch(/^orders-/);
    expect(rollcall.status).toBe('waiting');
    expect(app.get(Symbol.for('rollcall.Rollcall'))).toBe(rollcall); // what another copy of this package asks for
    await app.close();
    await expect(rollcall.call('users', 'find', {})).rejects.toThrow();
  });

  it('throws for an invalid option when the application starts', async () => {
    @Module({ imports: [RollcallModule.forRoot({ service: 'Not A Label' })] })
    class Shop {}
    const start = NestFactory.createApplicationContext(Shop, { logger: false, abortOnError: false });
    await expect(start).rejects.toThrow('a DNS label');
  });
});

describe('an embedded registry', () => {
  it('starts before the client does, when the application listens, and closes after it', async () => {
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({ registry: embedded(rollcall.events) })], rollcall);
    const app = module.createNestApplication();
    app.useLogger(false);
    await app.init();
    expect(rollcall.events).toEqual([]);
    await app.listen(0);
    await app.close();
    opened.splice(0);
    expect(rollcall.events).toEqual(['registry {"production":false}', 'start', 'close', 'registry closed']);
  });
});

describe('settings', () => {
  const DEFAULT = 'http://127.0.0.1:1337';
  const ENVIRONMENT = {
    ROLLCALL_URL: 'http://env:1',
    ROLLCALL_NAMESPACE: 'env-space',
    ROLLCALL_ZONE: 'env-zone',
    ROLLCALL_ADVERTISE_HOST: 'env.internal',
    NODE_ENV: 'production',
  };

  it('come from the options, else the environment, else the defaults', () => {
    expect(readSettings({}, {})).toMatchObject({
      client: { registry: DEFAULT, namespace: 'default', zone: '', advertiseHost: undefined, service: undefined },
      embedded: null,
      register: 'auto',
      isProduction: false,
      drain: { deadlineMs: 10_000, quietMs: 100 },
    });
    expect(readSettings({ zone: undefined }, ENVIRONMENT)).toMatchObject({
      client: { registry: 'http://env:1', namespace: 'env-space', zone: 'env-zone', advertiseHost: 'env.internal' },
      isProduction: true,
    });
    const options = { registry: 'http://own:1', namespace: 'own', zone: 'own', advertiseHost: 'own.internal' };
    expect(readSettings(options, ENVIRONMENT).client).toMatchObject(options);
  });

  it('treat an empty variable as unset', () => {
    expect(readSettings({}, { ROLLCALL_URL: '', ROLLCALL_ZONE: '' }).client.registry).toBe(DEFAULT);
  });

  it('accept several registries, in the environment separated by commas', () => {
    const registry = ['http://one:1337', 'https://two/rollcall'];
    expect(readSettings({ registry }, ENVIRONMENT).client.registry).toEqual(registry);
    expect(readSettings({}, { ROLLCALL_URL: registry.join(', ') }).client.registry).toEqual(registry);
    expect(() => readSettings({}, { ROLLCALL_URL: 'http://one:1337,two' })).toThrow('Option registry');
  });

  it('accept an embedded registry, which overrides the environment and needs a port that is known beforehand', () => {
    const registry = embedded([]);
    expect(readSettings({ registry }, ENVIRONMENT)).toMatchObject({
      client: { registry: DEFAULT },
      embedded: registry,
    });
    expect(() => readSettings({ registry: { ...registry, url: 'http://127.0.0.1:0' } }, {})).toThrow('beforehand');
  });

  it('suggest the nearest name for an unknown one', () => {
    expect(() => readSettings({ advertizeHost: 'x' } as object, {})).toThrow('Did you mean advertiseHost?');
    expect(() => readSettings({ drain: { quiteMs: 1 } } as object, {})).toThrow('Did you mean drain.quietMs?');
    expect(() => readSettings({ registry: 7 } as object, {})).toThrow('or what embedRegistry() returns');
  });
});
