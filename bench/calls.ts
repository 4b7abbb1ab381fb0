import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, Transport } from '@nestjs/microservices';
import type { ClientProxy } from '@nestjs/microservices';
import { getServiceToken, RollcallModule } from '@rollcall/nestjs';
import type { ServiceClient } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { firstValueFrom } from 'rxjs';
import { compareHttp } from './calls-http.js';
import { compare, compareAllocation, compareBursts } from './calls-loop.js';
import type { Call, Match } from './calls-loop.js';
import { start } from './child.js';
import type { Bench, Report } from './harness.js';

const PLAN = { concurrent: [1, 16, 64, 128], rounds: 7, roundMs: 1_000 };
const BURSTS = [3, 10, 30];

const MATCH: Match = {
  title: 'TCP, ',
  ours: 'rollcall',
  theirs: 'ClientProxy',
  targets: {
    'throughput, 64 concurrent': '>= 1.2 x',
    'throughput, 128 concurrent': '>= 1.2 x',
    'p50, 1 concurrent': '<= 1.05 x',
    'p99.9, 64 concurrent': '< 1 x',
    'p99.9, 128 concurrent': '< 1 x',
  },
};

async function compareTcp(candidates: Readonly<Record<string, Call>>, report: Report): Promise<void> {
  await compare(candidates, [MATCH], PLAN, report);
  await compareBursts(candidates, MATCH, BURSTS, report);
  await compareAllocation(candidates, [MATCH], report);
}

async function run(report: Report): Promise<void> {
  const registry = await startTestRegistry({ intervalMs: 5_000 });
  const service = await start('tcp-service', ['rollcall', registry.url, 'echo']);
  const bare = await start('tcp-service', ['bare']);
  const { port } = JSON.parse(bare.readyMessage) as { port: number };
  const proxy: ClientProxy = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port },
  });

  @Module({ imports: [RollcallModule.forRoot({ registry: registry.url }), RollcallModule.forFeature(['echo', 'web'])] })
  class CallerModule {}

  const app = await NestFactory.createApplicationContext(CallerModule, { logger: ['error'] });
  const echo = app.get<ServiceClient>(getServiceToken('echo'));
  await echo.connect();
  await proxy.connect();
  try {
    const candidates = {
      rollcall: (n: number) => firstValueFrom(echo.send('find', { n })),
      ClientProxy: (n: number) => firstValueFrom(proxy.send('find', { n })),
    };
    await compareTcp(candidates, report);
    await Promise.all([service.kill(), bare.kill()]);
    await compareHttp({ registry: registry.url, web: app.get<ServiceClient>(getServiceToken('web')) }, report);
  } finally {
    await app.close();
    proxy.close();
    await Promise.all([service.kill(), bare.kill()]);
    await registry.close();
  }
}

export const calls: Bench = {
  name: 'calls',
  question:
    'What does a call by name cost, over TCP against the bare ClientProxy, over HTTP against bare undici and HttpService?',
  run,
};
