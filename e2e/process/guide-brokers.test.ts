// The regions here are the code of docs/guide/brokers.md; they run where Redis is installed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Controller, Get, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { programOf, startBroker } from './brokers.js';
import { freePort } from './free-port.js';
import { endAll } from './launch.js';
import { waitFor } from './wait-for.js';

const sent: string[] = [];

// #region controller
@Controller()
class MailsController {
  @EventPattern('mail')
  mail(@Payload() { to }: { to: string }): void {
    sent.push(to);
  }

  @MessagePattern('mails/sent')
  count(): number {
    return sent.length;
  }
}
// #endregion

@Controller('mails')
class MailsOverHttp {
  @Get()
  count(): number {
    return sent.length;
  }
}

const isInstalled = programOf('redis') !== null;
if (!isInstalled) console.warn('skipped: the code of the page on brokers, since redis-server is not installed');

describe.skipIf(!isInstalled)('the page on brokers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-brokers-'));
  const host = '127.0.0.1';
  const open: { close(): Promise<unknown> }[] = [];
  let port = 0;
  let watcher: Rollcall;

  beforeAll(async () => {
    Logger.overrideLogger(false);
    port = await startBroker('redis', folder);
    const registry = await startTestRegistry();
    vi.stubEnv('ROLLCALL_URL', registry.url);
    watcher = new Rollcall({ registry: registry.url });
    watcher.start();
    open.push(registry, watcher);
  });

  afterEach(async () => {
    for (const one of open.splice(2).toReversed()) await one.close();
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    vi.unstubAllEnvs();
    await endAll();
    rmSync(folder, { recursive: true });
  });

  const only = (service: string) => watcher.service(service).instances.find(({ state }) => state === 'HEALTHY');

  it('an application over Redis is listed, and called over Redis alone', async () => {
    // #region service
    @Module({ imports: [RollcallModule.forRoot({ service: 'mails' })], controllers: [MailsController] })
    class MailsModule {}

    const app = await NestFactory.createMicroservice<MicroserviceOptions>(MailsModule, {
      transport: Transport.REDIS,
      options: { host, port },
    });
    app.enableShutdownHooks(); // a SIGTERM drains
    await app.listen();
    // #endregion
    open.push(app);
    await waitFor('it is HEALTHY', () => only('mails') !== undefined);
    expect(only('mails')?.endpoints).toMatchObject([{ protocol: 'heartbeat', tls: false }]);
    await expect(watcher.call('mails', 'mails/sent', {})).rejects.toMatchObject({ code: 'NO_ENDPOINT' });

    // #region caller
    const mails = ClientProxyFactory.create({ transport: Transport.REDIS, options: { host, port } });
    await lastValueFrom(mails.emit('mail', { to: 'ada' }), { defaultValue: null });
    const count = await lastValueFrom(mails.send<number>('mails/sent', {}));
    // #endregion
    await mails.close();
    expect([0, 1]).toContain(count); // the broker does not define which comes first
    await waitFor('the mail is sent', () => sent.includes('ada'));
  });

  it('may set the port', async () => {
    const heartbeatPort = await freePort();
    // #region port
    const root = RollcallModule.forRoot({ service: 'mails', heartbeatPort }); // one that the registry gets through to
    // #endregion
    @Module({ imports: [root], controllers: [MailsController] })
    class MailsModule {}
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(MailsModule, {
      transport: Transport.REDIS,
      options: { host, port },
    });
    open.push(app);
    await app.listen();
    await waitFor('it is HEALTHY', () => only('mails') !== undefined);
    expect(only('mails')?.endpoints).toMatchObject([{ protocol: 'heartbeat', port: heartbeatPort }]);
  });

  it('an application that also speaks HTTP needs no port beside that', async () => {
    @Module({
      imports: [RollcallModule.forRoot({ service: 'both' })],
      controllers: [MailsController, MailsOverHttp],
    })
    class MailsModule {}
    // #region both
    const app = await NestFactory.create(MailsModule);
    app.connectMicroservice<MicroserviceOptions>({ transport: Transport.REDIS, options: { host, port } });
    await app.startAllMicroservices();
    await app.listen(0, host);
    // #endregion
    open.push(app);
    await waitFor('it is HEALTHY', () => only('both') !== undefined);
    expect(only('both')?.endpoints.map(({ protocol }) => protocol)).toEqual(['http']);
    expect((await watcher.fetch('both', '/mails')).status).toBe(200);
  });
});
