import 'reflect-metadata';
import { Controller, Get, Inject, Module } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { portOf } from '../nest.fixture.js';
import { RollcallModule } from '../rollcall.module.js';
import { problemsOf, readHealthOptions } from './terminus-health.js';
import type { HealthFacts, RollcallHealthOptions } from './terminus-health.js';
import { RollcallHealthIndicator } from './terminus.js';
import { fakeServices, RollcallTestingModule } from '../testing.js';
import type { FakeServices } from '../testing.js';

const ORDERS = { status: 'known', instances: 2, callable: 1, ageMs: 900, isStale: false } as const;
const WELL: HealthFacts = {
  registry: 'connected',
  state: 'HEALTHY',
  isDraining: false,
  copies: { orders: ORDERS },
};

const judge = (facts: Partial<HealthFacts>, options: RollcallHealthOptions = {}): readonly string[] =>
  problemsOf({ ...WELL, ...facts }, readHealthOptions(options));

describe('a process', () => {
  it('is healthy while its copy serves, with or without the registry', () => {
    expect(judge({})).toEqual([]);
    expect(judge({ registry: 'disconnected', state: 'CRITICAL' })).toEqual([]);
  });

  it('is unhealthy while it drains, or has no copy of a service that it calls', () => {
    expect(judge({ isDraining: true })).toEqual(['This process drains: it takes no new work.']);
    const copies = { orders: { status: 'waiting', instances: 0, callable: 0, ageMs: null, isStale: true } } as const;
    expect(judge({ copies })).toEqual(['Nothing is known of "orders" yet: no registry has reported it.']);
  });

  it('is as strict as configured', () => {
    expect(judge({ registry: 'disconnected' }, { registry: true })).toEqual(['The registry is unreachable.']);
    expect(judge({ state: 'UNHEALTHY' }, { ownState: true })).toEqual(['The registry reports this process UNHEALTHY.']);
    expect(judge({ state: null }, { ownState: true })).toEqual([]);
    expect(judge({}, { maxCopyAgeMs: 1 })).toEqual([]);
    const stale = { copies: { orders: { ...ORDERS, isStale: true } } };
    expect(judge(stale, { maxCopyAgeMs: 900 })).toEqual([]);
    expect(judge(stale, { maxCopyAgeMs: 899 })).toEqual([
      'What is known of "orders" is 900 ms old; at most 899 are allowed.',
    ]);
    const copies = { orders: { ...ORDERS, callable: 0 } };
    expect(judge({ copies })).toEqual([]);
    expect(judge({ copies }, { services: ['orders'] })).toEqual(['No instance of "orders" can be called.']);
  });
});

async function start(services: FakeServices, options?: object): Promise<INestApplication> {
  @Controller('health')
  class HealthController {
    constructor(
      @Inject(HealthCheckService) private readonly health: HealthCheckService,
      @Inject(RollcallHealthIndicator) private readonly rollcall: RollcallHealthIndicator,
    ) {}

    @Get()
    @HealthCheck()
    check() {
      return this.health.check([() => this.rollcall.isHealthy('rollcall', options)]);
    }
  }

  @Module({
    imports: [TerminusModule.forRoot({ logger: false }), RollcallModule.forFeature(['orders'])],
    controllers: [HealthController],
    providers: [RollcallHealthIndicator],
  })
  class HealthModule {}
  const root = RollcallTestingModule.forRoot(services, { service: 'gateway' });
  const module = await Test.createTestingModule({ imports: [root, HealthModule] }).compile();
  const app = module.createNestApplication();
  app.useLogger(false);
  await app.listen(0, '127.0.0.1');
  onTestFinished(() => app.close());
  return app;
}

async function checkHealth(app: INestApplication) {
  const response = await fetch(`http://127.0.0.1:${portOf(app)}/health`);
  const body: any = await response.json();
  return { status: response.status, body };
}

describe('the health indicator', () => {
  it('reports the copies, the registry and this process to Terminus', async () => {
    const app = await start(fakeServices({ orders: {} }));
    await expect.poll(async () => (await checkHealth(app)).status).toBe(200);
    const { body } = await checkHealth(app);
    expect(body.details.rollcall).toMatchObject({
      status: 'up',
      registry: 'connected',
      copies: { orders: { status: 'known', instances: 1, callable: 1, isStale: false, ageMs: expect.any(Number) } },
    });
  });

  it('is down with its reasons', async () => {
    const services = fakeServices({ orders: {} });
    services.service('orders').instances[0]?.become('CRITICAL');
    const app = await start(services, { services: ['orders'] });
    await expect
      .poll(async () => (await checkHealth(app)).body.details.rollcall.problems)
      .toEqual(['No instance of "orders" can be called.']);
    expect((await checkHealth(app)).status).toBe(503);
  });

  it('rejects unknown options', async () => {
    const app = await start(fakeServices({ orders: {} }), { serivces: ['orders'] });
    expect((await checkHealth(app)).status).toBe(500);
  });
});
