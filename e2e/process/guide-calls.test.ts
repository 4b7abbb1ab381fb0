// The regions here are the code of docs/guide/calls.md.
import { explainText } from '@rollcall/client';
import { Controller, Inject, Injectable, Logger, Module } from '@nestjs/common';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Hedge, Idempotent, InjectService, isRollcallError, Rollcall } from '@rollcall/nestjs';
import { RollcallModule, ServiceClient, Timeout } from '@rollcall/nestjs';
import type { RollcallModuleOptions } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitFor } from './wait-for.js';

interface Order {
  readonly id: string;
  readonly by: string;
}

// #region handler
@Controller()
class OrdersController {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  @Idempotent() // executing it twice does no more than once: callers may repeat it
  @Timeout(250) // the most that an answer takes, ms
  @Hedge({ afterMs: 50 }) // and a second attempt may be made beside a slow first one
  find(@Payload() { id }: { id: string }): Order {
    return { id, by: this.rollcall.id };
  }

  @MessagePattern('book') // says nothing: it is never repeated once it may have been executed
  book(@Payload() { id }: { id: string }): Order {
    return { id, by: this.rollcall.id };
  }
}
// #endregion

/** Ends the reports in progress, which a drain would wait for. */
const reports: (() => void)[] = [];

@Controller()
class ReportsController {
  @MessagePattern('report')
  report(): Promise<void> {
    return new Promise((resolve) => reports.push(resolve));
  }
}

// #region contract
type OrdersApi = {
  find: (query: { id: string }) => Order;
  book: (query: { id: string }) => Order;
  report: (query: { id: string }) => Order; // takes long
};
// #endregion

@Injectable()
class Shop {
  // #region inject
  constructor(@InjectService('orders') private readonly orders: ServiceClient<OrdersApi>) {}
  // #endregion

  deadline(id: string): Promise<Order> {
    // #region deadline
    return this.orders.call('find', { id }, { deadlineMs: 800 });
    // #endregion
  }

  repeated(id: string): Promise<Order> {
    // #region idempotent
    return this.orders.call('book', { id }, { idempotent: true });
    // #endregion
  }

  hedged(id: string): Promise<Order> {
    // #region hedge
    return this.orders.call('find', { id }, { hedge: { afterMs: 30 } });
    // #endregion
  }

  sticky(id: string): Promise<Order> {
    // #region hash
    return this.orders.call('find', { id }, { hashKey: id });
    // #endregion
  }

  canary(id: string): Promise<Order> {
    // #region canary
    return this.orders.call('find', { id }, { version: '2', metadata: { tier: 'canary' } });
    // #endregion
  }

  withFallback(id: string): Promise<Order> {
    // #region fallback
    return this.orders.call('report', { id }, { deadlineMs: 100, fallback: () => ({ id, by: 'cache' }) });
    // #endregion
  }

  async politely(id: string): Promise<Order | string> {
    // #region errors
    try {
      return await this.orders.call('report', { id }, { deadlineMs: 100 });
    } catch (error) {
      if (!isRollcallError(error)) throw error;
      const tries = error.attempts.map(({ instance, ms, outcome }) => `${instance}: ${outcome} after ${ms} ms`);
      return `${error.code}, ${error.retryable ? 'try again' : 'do not repeat it'}; ${tries.join(', ')}`;
    }
    // #endregion
  }

  async cancelled(id: string): Promise<Order> {
    // #region signal
    const leaving = new AbortController();
    const answer = this.orders.call('report', { id }, { signal: leaving.signal });
    leaving.abort(); // the call ends with CANCELLED
    return answer;
    // #endregion
  }
}

let url = '';
let registry: Awaited<ReturnType<typeof startTestRegistry>>;
const apps: INestApplicationContext[] = [];

beforeEach(async () => {
  registry = await startTestRegistry();
  url = registry.url;
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const finish of reports.splice(0)) finish();
  for (const app of apps.splice(0).toReversed()) await app.close();
  await registry.close();
});

async function startOrders(version = '', metadata = {}): Promise<void> {
  @Module({
    imports: [RollcallModule.forRoot({ service: 'orders', registry: url, version, metadata })],
    controllers: [OrdersController, ReportsController],
  })
  class OrdersModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: false,
  });
  apps.push(app);
  await app.listen();
}

async function startShop(root: Type | ReturnType<typeof RollcallModule.forRoot>): Promise<[Shop, Rollcall]> {
  @Module({ imports: [root, RollcallModule.forFeature(['orders'])], providers: [Shop] })
  class ShopModule {}
  const app = await NestFactory.createApplicationContext(ShopModule, { logger: false });
  apps.push(app);
  const rollcall = app.get(Rollcall);
  rollcall.start();
  return [app.get(Shop), rollcall];
}

async function healthy(rollcall: Rollcall, count: number): Promise<void> {
  const states = (): readonly string[] => rollcall.service('orders').instances.map(({ state }) => state);
  await waitFor(`${count} are HEALTHY`, () => states().filter((state) => state === 'HEALTHY').length === count);
}

describe('the page on calls', () => {
  it('deadline, repetition, hedge: each call is answered', async () => {
    await startOrders();
    const [shop, rollcall] = await startShop(RollcallModule.forRoot({ registry: url }));
    await healthy(rollcall, 1);
    expect(await shop.deadline('1')).toMatchObject({ id: '1' });
    expect(await shop.repeated('2')).toMatchObject({ id: '2' });
    expect(await shop.hedged('3')).toMatchObject({ id: '3' });
    // the policy of a handler is published
    const [instance] = rollcall.service('orders').instances;
    expect(instance).toMatchObject({
      methods: { find: { idempotent: true, timeoutMs: 250, hedge: { afterMs: 50 } } },
    });
  });

  it('a failed call has a reason, may fall back, and can be cancelled', async () => {
    await startOrders();
    const [shop, rollcall] = await startShop(RollcallModule.forRoot({ registry: url }));
    await healthy(rollcall, 1);
    expect(await shop.politely('1')).toMatch(/^DEADLINE_EXCEEDED, do not repeat it; orders-.*: .* after \d+/);
    expect(await shop.withFallback('2')).toEqual({ id: '2', by: 'cache' });
    await expect(shop.cancelled('3')).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('the balancer is chosen for all services or for one', async () => {
    await startOrders();
    await startOrders();
    // #region balancers
    const calls: RollcallModuleOptions['calls'] = {
      balancer: 'least-loaded', // for all services but these
      services: { orders: { balancer: 'consistent-hash', deadlineMs: 2_000 } },
    };
    // #endregion
    const root = RollcallModule.forRoot({ calls, registry: url });
    const [shop, rollcall] = await startShop(root);
    await healthy(rollcall, 2);
    const by = new Set<string>();
    for (let turn = 0; turn < 10; turn += 1) by.add((await shop.sticky('7')).by);
    expect(by.size).toBe(1);
    expect(rollcall.explain('orders').protocols).toMatchObject([{ balancer: 'consistent-hash' }]);
  });

  it('a version and metadata select instances', async () => {
    await startOrders('1.4.0');
    await startOrders('2.0.1', { tier: 'canary' });
    const [shop, rollcall] = await startShop(RollcallModule.forRoot({ registry: url }));
    await healthy(rollcall, 2);
    const canary = rollcall.service('orders').instances.find(({ version }) => version === '2.0.1')!;
    for (let turn = 0; turn < 10; turn += 1) expect((await shop.canary('7')).by).toBe(canary.id);
  });

  it('explains itself, and reports events', async () => {
    await startOrders();
    const log = vi.spyOn(Logger, 'log').mockReturnValue();
    const [shop, rollcall] = await startShop(RollcallModule.forRoot({ registry: url }));
    await healthy(rollcall, 1);
    // #region events
    const stop = rollcall.onEvent((event) => {
      if (event.kind === 'ejected') Logger.warn(`${event.instance} gets no calls from here: ${event.failure}`);
      if (event.kind === 'opened') Logger.error(`No instance of ${event.service} can be called.`);
    });
    // #endregion
    await shop.deadline('1');
    // #region explain
    Logger.log(explainText(rollcall.explain('orders')));
    // #endregion
    expect(log.mock.calls.at(-1)?.[0]).toMatch(/Over tcp: CLOSED, all well\. .*by p2c-peak-ewma/);
    const errorLog = vi.spyOn(Logger, 'error').mockReturnValue();
    await apps.shift()!.close();
    await expect(shop.deadline('2')).rejects.toMatchObject({ code: 'NO_INSTANCE' });
    await waitFor('it is logged', () => errorLog.mock.calls.length > 0);
    expect(errorLog.mock.calls).toEqual([['No instance of orders can be called.']]);
    stop();
  });
});
