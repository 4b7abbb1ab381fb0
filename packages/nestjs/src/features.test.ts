import 'reflect-metadata';
import { Inject, Injectable, Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { isRollcallError } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServiceFeatureAsync, ServiceFeatureFactory } from './features.js';
import { getServiceToken, InjectService, PORTS, ROLLCALL, SETTINGS } from './inject.js';
import { FakeRollcall } from './nest.fixture.js';
import { RollcallModule } from './rollcall.module.js';
import type { RollcallModuleAsyncOptions, RollcallModuleOptions, Settings } from './rollcall.module-definition.js';
import { ServiceClient } from './calls/service-client.js';

async function compile(imports: DynamicModule['imports'], rollcall = new FakeRollcall()): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports: imports! })
    .overrideProvider(ROLLCALL)
    .useValue(rollcall)
    .overrideProvider(PORTS)
    .useValue({ time: new ManualTime(), log: recordingLog() })
    .compile();
  onTestFinished(() => module.close());
  return module;
}

@Injectable()
class Checkout {
  constructor(@InjectService('orders') readonly orders: ServiceClient) {}
}

/** The error that prevents the start of an application. */
async function refusal(imports: DynamicModule['imports']): Promise<string> {
  const error: unknown = await Test.createTestingModule({ imports: imports! })
    .compile()
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  expect(isRollcallError(error) && error.code).toBe('OPTION_INVALID');
  return String(error);
}

describe('forFeature', () => {
  it('throws its own error if no module imports forRoot', async () => {
    @Module({ imports: [RollcallModule.forFeature(['orders'])], providers: [Checkout] })
    class Shop {}
    expect(await refusal([Shop])).toMatch(
      /forFeature\(\['orders'\]\) needs RollcallModule\.forRoot.*Add RollcallModule/,
    );
  });

  it('reports the error of an invalid forRoot', async () => {
    const root = RollcallModule.forRoot({ service: 'Orders_API' });
    expect(await refusal([root, RollcallModule.forFeature(['orders'])])).toMatch(/service.*DNS label/);
  });

  it.each([
    ['Orders_API', "'orders-api'"],
    ['OrdersService', "'orders-service'"],
    ['', 'Write one here'],
  ])('throws its own error for the invalid name %s', (name, advice) => {
    expect(() => RollcallModule.forFeature([name])).toThrow(/cannot be the name of a service/);
    expect(() => RollcallModule.forFeature([{ service: name }])).toThrow(advice);
    expect(() => RollcallModule.forFeatureAsync([{ service: name, useFactory: () => ({}) }])).toThrow(advice);
  });

  it('throws its own error for a service that is named twice with options, in one list or in one module', async () => {
    const features = ['orders', { service: 'orders', deadlineMs: 800 }];
    expect(() => RollcallModule.forFeature(features)).toThrow(/names orders twice in one module/);
    @Module({ imports: features.map((feature) => RollcallModule.forFeature([feature])) })
    class Shop {}
    expect(await refusal([RollcallModule.forRoot({}), Shop])).toMatch(/The module Shop:.* names orders twice/);
  });

  it('throws its own error for options without a provider', () => {
    expect(() => RollcallModule.forFeatureAsync([{ service: 'orders' }])).toThrow(/exactly one of useFactory/);
  });
});

describe('forFeature', () => {
  it('accepts the same service in two modules, each with options of its own', async () => {
    @Module({ imports: [RollcallModule.forFeature([{ service: 'orders', deadlineMs: 100 }])], providers: [Checkout] })
    class Shop {}
    @Injectable()
    class Bill {
      constructor(@InjectService('orders') readonly orders: ServiceClient) {}
    }
    @Module({ imports: [RollcallModule.forFeature([{ service: 'orders', deadlineMs: 900 }])], providers: [Bill] })
    class Billing {}
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), Shop, Billing], rollcall);
    await module.get(Checkout, { strict: false }).orders.call('find', {});
    await module.get(Bill, { strict: false }).orders.call('find', {});
    expect(rollcall.made.map(({ options }) => options?.deadlineMs)).toEqual([100, 900]);
  });

  it('accepts the same bare name twice', async () => {
    const module = await compile([RollcallModule.forRoot({}), RollcallModule.forFeature(['orders', 'orders'])]);
    expect(module.get(getServiceToken('orders'), { strict: false })).toBeInstanceOf(ServiceClient);
  });

  it('accepts the serializer and the deserializer of a service', async () => {
    const [serializer, deserializer] = [{ serialize: () => '' }, { deserialize: () => ({ id: '' }) }];
    const rollcall = new FakeRollcall();
    const feature = RollcallModule.forFeature([{ service: 'orders', serializer, deserializer, deadlineMs: 5 }]);
    const module = await compile([RollcallModule.forRoot({}), feature], rollcall);
    expect(rollcall.events).toEqual(['codec orders']);
    await module.get<ServiceClient>(getServiceToken('orders'), { strict: false }).call('find', {});
    expect(rollcall.made[0]?.options).toEqual({ deadlineMs: 5 });
  });
});

/** As `ConfigService` of @nestjs/config. */
@Injectable()
class ConfigService {
  get(name: string): string {
    return { SERVICE: 'orders', DEADLINE_MS: '800' }[name] ?? '';
  }
}

@Module({ providers: [ConfigService], exports: [ConfigService] })
class ConfigModule {}

@Injectable()
class Terms implements ServiceFeatureFactory {
  constructor(@Inject(ConfigService) private readonly config: ConfigService) {}
  createServiceFeature() {
    return { deadlineMs: Number(this.config.get('DEADLINE_MS')) };
  }
}

@Module({ imports: [ConfigModule], providers: [Terms], exports: [Terms] })
class TermsModule {}

describe('forFeatureAsync', () => {
  const service = 'orders';
  it.each<[string, Omit<ServiceFeatureAsync, 'service'>]>([
    [
      'useFactory',
      {
        imports: [ConfigModule],
        inject: [ConfigService],
        useFactory: async (config: ConfigService) => ({ deadlineMs: Number(config.get('DEADLINE_MS')) }),
      },
    ],
    ['useClass', { imports: [ConfigModule], useClass: Terms }],
    ['useExisting', { imports: [TermsModule], useExisting: Terms }],
  ])('resolves the options of a service with %s', async (_, feature) => {
    @Module({
      imports: [RollcallModule.forFeatureAsync([{ service, token: 'ORDERS', ...feature }])],
      providers: [Checkout],
    })
    class Shop {}
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), Shop], rollcall);
    const { orders } = module.get(Checkout, { strict: false });
    expect(module.get('ORDERS', { strict: false })).toBe(orders);
    await orders.call('find', {});
    expect(rollcall.made[0]).toMatchObject({ service, options: { deadlineMs: 800 } });
  });

  it('accepts several services, each with its own options', async () => {
    const features = ['orders', 'users'].map((name, index) => ({
      service: name,
      useFactory: () => ({ deadlineMs: index + 1 }),
    }));
    const rollcall = new FakeRollcall();
    const module = await compile([RollcallModule.forRoot({}), RollcallModule.forFeatureAsync(features)], rollcall);
    for (const { service: name } of features) {
      await module.get<ServiceClient>(getServiceToken(name), { strict: false }).call('find', {});
    }
    expect(rollcall.made.map((made) => [made.service, made.options])).toEqual([
      ['orders', { deadlineMs: 1 }],
      ['users', { deadlineMs: 2 }],
    ]);
  });
});

@Injectable()
class Options {
  constructor(@Inject(ConfigService) private readonly config: ConfigService) {}
  createRollcallOptions(): RollcallModuleOptions {
    return { service: this.config.get('SERVICE') };
  }
}

@Module({ imports: [ConfigModule], providers: [Options], exports: [Options] })
class OptionsModule {}

describe('forRootAsync', () => {
  it.each<[string, RollcallModuleAsyncOptions]>([
    [
      'useFactory',
      {
        imports: [ConfigModule],
        inject: [ConfigService],
        useFactory: async (config: ConfigService) => ({ service: config.get('SERVICE') }),
      },
    ],
    ['useClass', { imports: [ConfigModule], useClass: Options }],
    ['useExisting', { imports: [OptionsModule], useExisting: Options }],
  ])('resolves the options with %s', async (_, options) => {
    @Module({ imports: [RollcallModule.forFeature(['users'])] })
    class Shop {}
    const module = await compile([RollcallModule.forRootAsync(options), Shop]);
    expect(module.get<Settings>(SETTINGS, { strict: false }).client.service).toBe('orders');
    expect(module.get(getServiceToken('users'), { strict: false })).toBeInstanceOf(ServiceClient);
  });

  it('throws one sentence if the factory returns an unknown option', async () => {
    const root = RollcallModule.forRootAsync({ useFactory: () => ({ service: 'Orders_API' }) });
    expect(await refusal([root])).toMatch(/service.*DNS label/);
  });
});
