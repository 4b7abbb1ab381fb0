// The regions here are the code of docs/guide/nest.md.
import { Controller, Inject, Injectable, Logger, Module } from '@nestjs/common';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, JsonSocket, MessagePattern, Payload, TcpContext, TcpSocket, Transport } from '@nestjs/microservices';
import type { ConsumerDeserializer, ConsumerSerializer, MicroserviceOptions, TcpOptions } from '@nestjs/microservices';
import { getServiceToken, InjectService, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import type { RollcallModuleOptions, ServiceFeature } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitFor } from './wait-for.js';

@Controller()
class OrdersController {
  constructor(private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  find(@Payload() { id }: { id: string }) {
    return { id, instance: this.rollcall.id };
  }

  @MessagePattern('tenant')
  tenant(@Ctx() context: TcpContext) {
    return context.getMetadata()?.['tenant'];
  }

  @MessagePattern('refuse')
  refuse(): never {
    throw new Error('no such order');
  }
}

/** In the shape of @nestjs/config. */
@Injectable()
class ConfigService {
  getOrThrow(name: string): string {
    const value = { SERVICE_NAME: 'billing', ORDERS_DEADLINE_MS: '800' }[name];
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
  }
}

@Module({ providers: [ConfigService], exports: [ConfigService] })
class ConfigModule {}

// #region envelope
/** What is sent, in both directions: the packet in an envelope. */
const envelope = {
  serialize: (packet: unknown) => ({ v: 1, body: Buffer.from(JSON.stringify(packet)).toString('base64') }),
  deserialize: ({ body }: { body: string }) => JSON.parse(Buffer.from(body, 'base64').toString()),
};
// #endregion

const open: { close(): Promise<unknown> }[] = [];
let url = '';
let watcher: Rollcall;
let log: string[] = [];

beforeEach(async () => {
  const registry = await startTestRegistry();
  url = registry.url;
  vi.stubEnv('ROLLCALL_URL', url);
  watcher = new Rollcall({ registry: url });
  watcher.start();
  open.push(registry, watcher);
  log = [];
  const keep = (text: unknown): void => void log.push(String(text));
  Logger.overrideLogger({ log: keep, warn: keep, error: keep });
});

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
  vi.unstubAllEnvs();
  Logger.overrideLogger(false);
});

const only = (service: string) => watcher.service(service).instances.find(({ state }) => state === 'HEALTHY');
const isHealthy = (service: string): Promise<unknown> => waitFor('it is HEALTHY', () => only(service));

async function tcp(options: TcpOptions['options'], root: RollcallModuleOptions = {}): Promise<void> {
  @Module({ imports: [RollcallModule.forRoot({ service: 'orders', ...root })], controllers: [OrdersController] })
  class OrdersModule {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0, ...options },
  });
  open.push(app);
  await app.listen();
}

async function contextOf(module: Type): Promise<INestApplicationContext> {
  const app = await NestFactory.createApplicationContext(module);
  open.push(app);
  return app;
}

async function callerOf(feature: ServiceFeature): Promise<ServiceClient> {
  @Module({ imports: [RollcallModule.forRoot({}), RollcallModule.forFeature([feature])] })
  class CallerModule {}
  return (await contextOf(CallerModule)).get<ServiceClient>(getServiceToken(feature.service), { strict: false });
}

describe('options that are known when the application starts', () => {
  it('come from a configuration', async () => {
    await tcp({});
    // #region async
    @Module({
      imports: [
        RollcallModule.forRootAsync({
          imports: [ConfigModule],
          inject: [ConfigService],
          useFactory: (config: ConfigService) => ({ service: config.getOrThrow('SERVICE_NAME') }),
        }),
        RollcallModule.forFeatureAsync([
          {
            service: 'orders', // the name is known beforehand: injection needs it
            imports: [ConfigModule],
            inject: [ConfigService],
            useFactory: (config: ConfigService) => ({ deadlineMs: Number(config.getOrThrow('ORDERS_DEADLINE_MS')) }),
          },
        ]),
      ],
    })
    class AppModule {}
    // #endregion
    await isHealthy('orders');
    const orders = (await contextOf(AppModule)).get<ServiceClient>(getServiceToken('orders'), { strict: false });
    expect(await orders.call('find', { id: '7' })).toMatchObject({ id: '7' });
    expect(log.filter((line) => line.startsWith('Not registered: billing'))).toHaveLength(1);
  });

  it('come from a class', async () => {
    // #region class
    @Injectable()
    class RollcallConfig {
      constructor(@Inject(ConfigService) private readonly config: ConfigService) {}

      createRollcallOptions() {
        return { service: this.config.getOrThrow('SERVICE_NAME'), heartbeatPort: 0 };
      }
    }

    const root = RollcallModule.forRootAsync({ imports: [ConfigModule], useClass: RollcallConfig });
    // #endregion
    @Module({ imports: [root] })
    class AppModule {}
    await contextOf(AppModule);
    await isHealthy('billing');
  });
});

describe('an application without a server', () => {
  it('is registered where a port is opened for it, and leaves when it closes', async () => {
    // #region worker
    @Module({ imports: [RollcallModule.forRoot({ service: 'worker', heartbeatPort: 0 })] }) // 0: any free port
    class WorkerModule {}

    const app = await NestFactory.createApplicationContext(WorkerModule);
    app.enableShutdownHooks(['SIGTERM']);
    // #endregion
    await isHealthy('worker');
    expect(only('worker')?.endpoints).toMatchObject([{ protocol: 'heartbeat' }]);
    await app.close();
    await waitFor('it has left', () => only('worker') === undefined);
  });

  it('logs in one line why it is not registered, and what to set', async () => {
    @Module({ imports: [RollcallModule.forRoot({ service: 'worker' })] })
    class WorkerModule {}
    await contextOf(WorkerModule);
    const lines = log.filter((line) => line.startsWith('Not registered'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/worker has no server.*set the option heartbeatPort/);
    expect(await watcher.instances('worker')).toEqual([]);
  });
});

describe('a TCP server with a serializer and a deserializer of its own', () => {
  it('is HEALTHY, and is called by callers with the same pair', async () => {
    await tcp({
      serializer: envelope as ConsumerSerializer,
      deserializer: envelope as ConsumerDeserializer,
    });
    await isHealthy('orders');
    expect(log.filter((line) => line.includes('a serializer and a deserializer of its own'))).toHaveLength(1);
    // #region codec
    const feature = RollcallModule.forFeature([{ service: 'orders', serializer: envelope, deserializer: envelope }]);
    // #endregion
    @Module({ imports: [RollcallModule.forRoot({}), feature] })
    class CallerModule {}
    const orders = (await contextOf(CallerModule)).get<ServiceClient>(getServiceToken('orders'), { strict: false });
    const answers = await Promise.all(['7', '8', '9'].map((id) => orders.call('find', { id })));
    expect(answers).toMatchObject([{ id: '7' }, { id: '8' }, { id: '9' }]);
    expect(await firstValueFrom(orders.send('find', { id: '7' }))).toMatchObject({ id: '7' });
    await expect(orders.call('refuse', {})).rejects.toMatchObject({ code: 'REMOTE' });
    await waitFor('it is still HEALTHY both ways', () => only('orders')?.reason.code === 'BOTH_WAYS_OK');
  });

  it('fails a call whose serializer throws, and blames no instance', async () => {
    await tcp({ serializer: envelope as ConsumerSerializer, deserializer: envelope as ConsumerDeserializer });
    await isHealthy('orders');
    const serializer = {
      serialize: (packet: { pattern: string }) => {
        if (packet.pattern === 'refuse') throw new Error('not this one');
        return envelope.serialize(packet);
      },
    };
    const orders = await callerOf({ service: 'orders', serializer: serializer as never, deserializer: envelope });
    await expect(orders.call('refuse', {})).rejects.toThrow('not this one');
    expect(await orders.call('find', { id: '7' })).toMatchObject({ id: '7' });
  });
});

/** Lines in place of Nest's frames. */
class LineSocket extends TcpSocket {
  #rest = '';

  protected handleSend(message: unknown): void {
    this.socket.write(`${JSON.stringify(message)}\n`);
  }

  protected handleData(data: Buffer): void {
    const lines = (this.#rest + data.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.emitMessage(line);
  }
}

class LoggedSocket extends JsonSocket {}

describe('a TCP server with a socketClass of its own', () => {
  it('is probed at a port of its own, is not called by name, and logs that', async () => {
    await tcp({ socketClass: LineSocket });
    await isHealthy('orders');
    expect(only('orders')?.endpoints).toMatchObject([{ protocol: 'heartbeat' }]);
    expect(log.filter((line) => line.includes('LineSocket'))).toEqual([
      expect.stringMatching(/frames are not those of Nest.*leave out socketClass/),
    ]);
    await expect(watcher.call('orders', 'find', {})).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
  });

  it('that keeps the frames is called like any other', async () => {
    await tcp({ socketClass: LoggedSocket });
    await isHealthy('orders');
    expect(await watcher.call('orders', 'find', { id: '7' })).toMatchObject({ id: '7' });
    expect(log.filter((line) => line.includes('LoggedSocket'))).toEqual([]);
  });
});

describe('the metadata of a message', () => {
  it('is set by a hook, for each packet', async () => {
    await tcp({});
    await isHealthy('orders');
    @Injectable()
    class Checkout {
      // #region hook
      constructor(@InjectService('orders') private readonly orders: ServiceClient) {
        orders.setOnDispatchHook((packet) => (packet.metadata = { tenant: currentTenant() }));
      }
      // #endregion

      tenant(): Promise<unknown> {
        return this.orders.call('tenant', {});
      }
    }
    @Module({ imports: [RollcallModule.forRoot({}), RollcallModule.forFeature(['orders'])], providers: [Checkout] })
    class ShopModule {}
    expect(await (await contextOf(ShopModule)).get(Checkout).tenant()).toBe('acme');
  });

  it('is set for one call', async () => {
    await tcp({});
    await isHealthy('orders');
    const orders = await callerOf({ service: 'orders' });
    expect(await orders.call('tenant', {}, { packetMetadata: { tenant: 'other' } })).toBe('other');
  });
});

const currentTenant = (): string => 'acme';
