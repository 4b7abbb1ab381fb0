// The regions here are the code of docs/guide/shutdown.md.
import { Controller, Inject, Injectable, Module } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall } from '@rollcall/client';
import { RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { waitFor } from './wait-for.js';

const events: string[] = [];
let finish: () => void = () => {};

// #region pool
/** Requests in flight need it, so it must outlive them: it is closed after the drain, with nothing said about it. */
@Injectable()
class Pool implements OnModuleDestroy {
  isOpen = true;

  onModuleDestroy(): void {
    this.isOpen = false;
  }
}
// #endregion

@Controller()
class ReportsController {
  constructor(@Inject(Pool) private readonly pool: Pool) {}

  @MessagePattern('write')
  async write(): Promise<{ poolIsOpen: boolean }> {
    events.push('begun');
    await new Promise<void>((resolve) => (finish = resolve));
    return { poolIsOpen: this.pool.isOpen };
  }
}

describe('the page on shutdown', () => {
  it('a stop waits for what is in flight, and closes the pools after it', async () => {
    const running = await startTestRegistry();
    const registry = running.url;
    const caller = new Rollcall({ registry });
    onTestFinished(async () => {
      await caller.close();
      await running.close();
    });

    // #region options
    const root = RollcallModule.forRoot({
      service: 'reports',
      registry,
      drain: { deadlineMs: 25_000, quietMs: 200 }, // defaults: 10,000 and 100 ms
    });
    // #endregion
    @Module({ imports: [root], controllers: [ReportsController], providers: [Pool] })
    class ReportsModule {}
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(ReportsModule, {
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: 0 },
      logger: false,
    });
    await app.listen();

    const written = caller.call('reports', 'write', {});
    await waitFor('it is being written', () => events.includes('begun'));
    const state = (): string | undefined => caller.service('reports').instances.at(0)?.state;
    const closed = app.close();
    await waitFor('callers know that it leaves', () => state() === 'DEREGISTERING');
    finish();
    expect(await written).toEqual({ poolIsOpen: true });
    await closed;
    expect(app.get(Pool).isOpen).toBe(false);
  });

  it('keeps serving callers that do not know of the drain, and fails readiness probes', async () => {
    const running = await startTestRegistry();
    const registry = running.url;
    onTestFinished(() => running.close());
    // #region least
    const root = RollcallModule.forRoot({ service: 'gateway', registry, drain: { leastMs: 2_000 } });
    // #endregion
    @Module({ imports: [root] })
    class GatewayModule {}
    const app = await NestFactory.create(GatewayModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    const probe = async (): Promise<number> => (await fetch(`${await app.getUrl()}/.well-known/rollcall/ready`)).status;
    expect(await probe()).toBe(200);
    const closed = app.close();
    expect(await probe()).toBe(503);
    await closed;
  });
});
