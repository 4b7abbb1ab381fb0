import { All, Controller, Delete, Get, Post, RequestMethod, VersioningType } from '@nestjs/common';
import type { INestApplication, Type } from '@nestjs/common';
import { EventPattern, GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import type { MethodPolicy } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { application, LOOPBACK, microservice, createFixture } from '../nest.fixture.js';
import { Hedge, Idempotent, Timeout } from './handler-policy.js';

/** The handlers that an application with this controller publishes, and its warnings. */
async function published(controller: Type, prepare: (app: INestApplication) => void = () => {}) {
  const fixture = await createFixture({ service: 'orders' }, { controllers: [controller] });
  const app = application(fixture);
  prepare(app);
  app.connectMicroservice(LOOPBACK);
  await app.startAllMicroservices();
  await app.listen(0);
  return { methods: fixture.rollcall.methods, problems: fixture.log.texts('warn') };
}

async function names(controller: Type, prepare?: (app: INestApplication) => void): Promise<string[]> {
  return Object.keys((await published(controller, prepare)).methods ?? {}).toSorted();
}

function versioned(app: INestApplication): void {
  app.enableVersioning({ type: VersioningType.URI, defaultVersion: ['1', '2'] });
}

function both(prefix: string): string[] {
  return ['GET', 'POST'].map((verb) => `${verb} ${prefix}/invoices`);
}

describe('the handlers of messages', () => {
  @Controller()
  class Catalog {
    @MessagePattern('find')
    @Idempotent()
    @Timeout(250)
    @Hedge({ afterMs: 20 })
    find(): void {}

    @Hedge()
    @Idempotent()
    @MessagePattern([{ role: 'math', cmd: 'sum' }, 'sum'], Transport.TCP)
    sum(): void {}

    @MessagePattern('book')
    book(): void {}

    @Idempotent()
    @EventPattern('placed')
    placed(order: unknown): unknown {
      return order;
    }

    @Idempotent()
    @GrpcMethod('Catalog', 'Find')
    overGrpc(query: unknown): unknown {
      return query;
    }
  }

  it('publish their policies under each of their patterns', async () => {
    const { methods, problems } = await published(Catalog);
    expect(methods).toEqual({
      find: { idempotent: true, timeoutMs: 250, hedge: { afterMs: 20 } },
      '{"cmd":"sum","role":"math"}': { idempotent: true, hedge: true },
      sum: { idempotent: true, hedge: true },
      'Catalog/Find': { idempotent: true },
    });
    expect(problems).toEqual([expect.stringContaining('Catalog.placed is not published')]);
  });

  it('are published for a standalone microservice, too', async () => {
    const fixture = await createFixture({ service: 'orders' }, { controllers: [Catalog] });
    await microservice(fixture).listen();
    expect(fixture.rollcall.methods).toHaveProperty('find');
  });

  it('publish nothing without decorators', async () => {
    const fixture = await createFixture();
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).not.toBeNull();
    expect(fixture.rollcall.methods).toBeUndefined();
    expect(fixture.log.texts('warn')).toEqual([]);
  });

  it('inherit from their controller what they do not declare themselves', async () => {
    @Idempotent()
    @Timeout(100)
    @Controller()
    class Reports {
      @MessagePattern('read')
      read(): void {}

      @Idempotent(false)
      @MessagePattern('bill')
      bill(): void {}
    }
    const { methods } = await published(Reports);
    expect(methods).toEqual({
      read: { idempotent: true, timeoutMs: 100 },
      bill: { idempotent: false, timeoutMs: 100 },
    });
  });

  it('must be idempotent to be hedged, and are warned about otherwise', async () => {
    @Controller()
    class TimedController {
      @Hedge()
      @MessagePattern('hasty')
      timed(): void {}
    }
    expect((await published(TimedController)).problems).toEqual([expect.stringContaining('needs @Idempotent()')]);
  });

  it('are not published if they exceed a registration, which is logged', async () => {
    class Endless extends Object {}
    for (let i = 0; i < 300; i += 1) {
      const descriptor = { value: () => i, configurable: true, writable: true };
      MessagePattern(`endless-${i}`)(Endless.prototype, `run${i}`, descriptor);
      Idempotent()(Endless.prototype, `run${i}`, descriptor);
      Object.defineProperty(Endless.prototype, `run${i}`, descriptor);
    }
    Controller()(Endless);
    const { methods, problems } = await published(Endless);
    expect(methods).toBeUndefined();
    expect(problems).toEqual([expect.stringContaining('more than 256')]);
  });
});

describe('the routes of an application', () => {
  @Controller('invoices')
  class Invoices {
    @Idempotent()
    @Post()
    make(): void {}

    @Timeout(100)
    @Get(':id')
    find(): void {}
  }

  it('are published by verb and first segment, as callers name them', async () => {
    const { methods, problems } = await published(Invoices);
    expect(methods).toEqual({ 'POST /invoices': { idempotent: true }, 'GET /invoices': { timeoutMs: 100 } });
    expect(problems).toEqual([]);
  });

  it('include the prefix and the version of the application', async () => {
    expect(await names(Invoices, (app) => app.setGlobalPrefix('api'))).toEqual(both('/api'));
    expect(await names(Invoices, versioned)).toEqual([...both('/v1'), ...both('/v2')].toSorted());
    const exclude = [{ path: 'invoices', method: RequestMethod.POST }];
    expect(await names(Invoices, (app) => app.setGlobalPrefix('api', { exclude }))).toContain('POST /invoices');
  });

  it('behind another prefix share one name for callers, and publish only what all declare', async () => {
    // the fixture's own GET routes declare nothing
    expect(await names(Invoices, (app) => app.setGlobalPrefix('shop'))).toEqual(['POST /shop']);
  });

  it('publish only what all declare if callers cannot distinguish them, with a warning for the others', async () => {
    @Controller('carts')
    class Carts {
      @Idempotent()
      @Timeout(50)
      @Post(':id/clear')
      clear(): void {}

      @Timeout(80)
      @Post()
      add(): void {}
    }
    const { methods, problems } = await published(Carts);
    expect(methods).toEqual({ 'POST /carts': { timeoutMs: 80 } satisfies MethodPolicy });
    expect(problems).toEqual([expect.stringContaining('Carts.clear is not all published')]);
  });

  it('are not published as idempotent if a wildcard route may match instead', async () => {
    @Controller()
    class WildcardController {
      @All(':anything')
      any(): void {}

      @Idempotent()
      @Post('orders')
      make(): void {}

      @Idempotent()
      @Delete(':id')
      remove(): void {}
    }
    const { methods, problems } = await published(WildcardController);
    expect(methods).toBeUndefined();
    expect(problems).toEqual([
      expect.stringContaining('WildcardController.make is not all published'),
      expect.stringContaining('WildcardController.remove is not published'),
    ]);
  });
});

describe('a decorator', () => {
  it('rejects an invalid time', () => {
    expect(() => Timeout(0)).toThrow('@Timeout takes a whole number of ms');
    expect(() => Timeout(1.5)).toThrow('received 1.5');
    expect(() => Hedge({ afterMs: Infinity })).toThrow('@Hedge takes');
  });
});
