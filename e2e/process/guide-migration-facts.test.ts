// The differences from a bare ClientProxy that docs/guide/migration.md states, tested with both side by side.
import { Controller, Get, Inject, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxy, ClientsModule, MessagePattern, Payload, RpcException, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { RollcallModule, ServiceClient } from '@rollcall/nestjs';
import type { AddressInfo } from 'node:net';
import { lastValueFrom, NEVER } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from './free-port.js';

@Controller()
class OrdersController {
  @MessagePattern('echo')
  echo(@Payload() payload: unknown): unknown {
    return { payload };
  }

  @MessagePattern('nothing')
  nothing(): void {}

  @MessagePattern('text')
  text(): never {
    throw new RpcException('sold out');
  }

  @MessagePattern('missing')
  missing(): never {
    throw new RpcException({ statusCode: 404, message: 'No order 7.' });
  }

  @MessagePattern('large')
  large(): string {
    return 'x'.repeat(5_000_000);
  }

  @MessagePattern('never')
  never(): Observable<never> {
    return NEVER;
  }
}

@Controller()
class GatewayController {
  constructor(
    @Inject('ORDERS') private readonly orders: ClientProxy,
    @Inject('DEAD') private readonly dead: ClientProxy,
  ) {}

  @Get('orders/:pattern')
  ask(@Param('pattern') pattern: string): Observable<unknown> {
    return this.orders.send(pattern, {});
  }

  @Get('dead')
  askTheDead(): Observable<unknown> {
    return this.dead.send('echo', {});
  }
}

const host = '127.0.0.1';
const closers: (() => Promise<unknown>)[] = [];

/** A gateway, and its clients of an existing service and of a missing one. */
async function gateway(clients: object) {
  @Module({ imports: [clients as never], controllers: [GatewayController] })
  class GatewayModule {}
  const app = await NestFactory.create(GatewayModule, { logger: false });
  closers.push(() => app.close());
  await app.listen(0, host);
  const url = await app.getUrl();
  return {
    orders: app.get<ClientProxy>('ORDERS', { strict: false }),
    dead: app.get<ClientProxy>('DEAD', { strict: false }),
    statusOf: async (path: string): Promise<number> => (await fetch(`${url}/${path}`)).status,
  };
}

/** The value, or the error. */
const outcome = (asked: Observable<unknown>): Promise<any> =>
  lastValueFrom(asked, { defaultValue: 'no value' }).catch((error: unknown) => error);

describe('a bare ClientProxy, and one of Rollcall,', () => {
  let bare: Awaited<ReturnType<typeof gateway>>;
  let ours: Awaited<ReturnType<typeof gateway>>;

  beforeAll(async () => {
    @Module({ controllers: [OrdersController] })
    class OrdersModule {}
    const options: MicroserviceOptions = { transport: Transport.TCP, options: { host, port: 0 } };
    const service = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
      ...options,
      logger: false,
    });
    closers.push(() => service.close());
    await service.listen();
    const { port } = service.unwrap<{ address(): AddressInfo }>().address();
    const deadPort = await freePort();
    bare = await gateway(
      ClientsModule.register([
        { name: 'ORDERS', transport: Transport.TCP, options: { host, port } },
        { name: 'DEAD', transport: Transport.TCP, options: { host, port: deadPort } },
      ]),
    );
    @Module({
      imports: [
        RollcallModule.forRoot(),
        RollcallModule.forFeature([
          { service: 'orders', token: 'ORDERS', static: [{ protocol: 'tcp', host, port }] },
          { service: 'dead', token: 'DEAD', static: [{ protocol: 'tcp', host, port: deadPort }] },
        ]),
      ],
      exports: [RollcallModule],
    })
    class Clients {}
    ours = await gateway(Clients);
  });
  afterAll(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  it('null is a payload here', async () => {
    expect(await outcome(bare.orders.send('echo', null))).toMatchObject({
      message: expect.stringContaining('invalid data or message pattern'),
    });
    expect(await outcome(ours.orders.send('echo', null))).toEqual({ payload: null });
  });

  it('a handler that returns nothing gives no value, with both', async () => {
    expect(await outcome(bare.orders.send('nothing', {}))).toBe('no value');
    expect(await outcome(ours.orders.send('nothing', {}))).toBe('no value');
    expect(ours.orders instanceof ServiceClient && (await ours.orders.call('nothing', {}))).toBeUndefined();
  });

  it('an error of a handler is the cause here', async () => {
    const thrown = { status: 'error', message: 'sold out' };
    expect(await outcome(bare.orders.send('text', {}))).toEqual(thrown);
    expect(await outcome(ours.orders.send('text', {}))).toMatchObject({ code: 'REMOTE', cause: thrown });
  });

  it('the status of a gateway without error handling', async () => {
    expect([await bare.statusOf('orders/missing'), await ours.statusOf('orders/missing')]).toEqual([404, 404]);
    expect([await bare.statusOf('orders/text'), await ours.statusOf('orders/text')]).toEqual([500, 502]);
    expect(await bare.statusOf('dead')).toBe(500);
    // 502 until its circuit is open, 503 from then on
    expect([502, 503]).toContain(await ours.statusOf('dead'));
  });

  it('ECONNREFUSED is the code of the cause here, and not of an error behind an open circuit', async () => {
    expect(await outcome(bare.dead.send('echo', {}))).toMatchObject({ code: 'ECONNREFUSED' });
    const { dead } = ours;
    if (!(dead instanceof ServiceClient)) expect.fail('not a client of Rollcall');
    expect(await outcome(dead.send('echo', {}))).toMatchObject({ code: 'TRANSPORT', cause: { code: 'ECONNREFUSED' } });
    const codes = new Set<string>();
    for (let tries = 0; tries < 100 && !codes.has('ALL_EJECTED'); tries += 1) {
      const calls = Array.from({ length: 4 }, () => dead.call('echo', {}, { deadlineMs: 100 }));
      for (const one of await Promise.allSettled(calls)) if (one.status === 'rejected') codes.add(one.reason.code);
    }
    expect(codes).toContain('ALL_EJECTED');
  });

  it('an answer of more than 4 Mi characters is refused here', async () => {
    expect(await outcome(bare.orders.send('large', {}))).toHaveLength(5_000_000);
    expect(await outcome(ours.orders.send('large', {}))).toMatchObject({
      code: 'TRANSPORT',
      message: expect.stringContaining('raise calls.tcp.maxMessageLength'),
    });
  });

  it('a call without an answer ends after 5 s here', async () => {
    const startedAt = performance.now();
    let hasEnded = false;
    const subscription = bare.orders.send('never', {}).subscribe({ error: () => (hasEnded = true) });
    expect(await outcome(ours.orders.send('never', {}))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(performance.now() - startedAt).toBeGreaterThan(4_900);
    expect(hasEnded).toBe(false);
    subscription.unsubscribe();
  });
});

it('a call to a service that is not known yet waits for the registry, and then fails with that reason', async () => {
  const registry = `http://127.0.0.1:${await freePort()}`;
  @Module({
    imports: [
      RollcallModule.forRoot({ registry }),
      RollcallModule.forFeature([{ service: 'orders', token: 'ORDERS' }]),
    ],
  })
  class GatewayModule {}
  const app = await NestFactory.createApplicationContext(GatewayModule, { logger: false });
  closers.push(() => app.close());
  const startedAt = performance.now();
  const error = await outcome(app.get<ClientProxy>('ORDERS', { strict: false }).send('echo', {}));
  expect(error).toMatchObject({ code: 'NO_CATALOG', retryable: true });
  expect(performance.now() - startedAt).toBeGreaterThan(4_900);
  await app.close();
});
