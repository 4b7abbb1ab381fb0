import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, Transport } from '@nestjs/microservices';
import type { ClientProxy } from '@nestjs/microservices';
import { getServiceToken, RollcallModule } from '@rollcall/nestjs';
import type { ServiceClient } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { firstValueFrom } from 'rxjs';
import { start } from './child.js';
import { paired, quantile } from './harness.js';
import type { Bench, Report } from './harness.js';

const CONCURRENT = [1, 16, 64, 128];
const BURSTS = [3, 10, 30];
const ROUNDS = 7;
const ROUND_MS = 1_000;

type Call = (n: number) => Promise<unknown>;

interface Sample {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Closed loop: so many callers, each sends its next call when it has the answer of the last. */
async function closedLoop(call: Call, concurrent: number, ms: number): Promise<Sample> {
  const took: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + ms;
  const caller = async (): Promise<void> => {
    for (let at = performance.now(); at < until;) {
      await call(took.length);
      const now = performance.now();
      took.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: concurrent }, caller));
  const seconds = (performance.now() - startedAt) / 1_000;
  return { perSecond: took.length / seconds, p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

/** A handler that asks one service several things at once, on a warm connection. */
async function burst(call: Call, size: number): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < 30; i += 1) {
    const at = performance.now();
    await Promise.all(Array.from({ length: size }, (_, n) => call(n)));
    took.push(performance.now() - at);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return quantile(took, 0.5);
}

async function compare(ours: Call, theirs: Call, report: Report): Promise<void> {
  for (const concurrent of CONCURRENT) {
    await closedLoop(theirs, concurrent, 300);
    await closedLoop(ours, concurrent, 300);
    const pairs: { ours: Sample; theirs: Sample }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      // who goes first alternates too: the second of a pair finds a warmer machine
      const first = round % 2 === 0 ? ours : theirs;
      const one = await closedLoop(first, concurrent, ROUND_MS);
      const other = await closedLoop(first === ours ? theirs : ours, concurrent, ROUND_MS);
      pairs.push(first === ours ? { ours: one, theirs: other } : { ours: other, theirs: one });
    }
    const of = (key: keyof Sample): { ours: number; theirs: number }[] =>
      pairs.map((pair) => ({ ours: pair.ours[key], theirs: pair.theirs[key] }));
    const target = concurrent >= 64 ? '>= 1.0 x' : undefined;
    report(paired(`throughput, ${concurrent} concurrent`, 'calls/s', of('perSecond'), target));
    report(paired(`p50, ${concurrent} concurrent`, 'ms', of('p50'), concurrent === 1 ? '<= 1.05 x' : undefined));
    report(paired(`p99, ${concurrent} concurrent`, 'ms', of('p99')));
  }
  for (const size of BURSTS) {
    const pairs = [];
    for (let round = 0; round < 3; round += 1) {
      pairs.push({ theirs: await burst(theirs, size), ours: await burst(ours, size) });
    }
    report(paired(`burst of ${size} calls, whole burst p50`, 'ms', pairs, '<= 1 ms'));
  }
}

async function run(report: Report): Promise<void> {
  const registry = await startTestRegistry({ intervalMs: 5_000 });
  const service = await start('tcp-service', ['rollcall', registry.url, 'echo']);
  const bare = await start('tcp-service', ['bare']);
  const { port } = JSON.parse(bare.said) as { port: number };
  const proxy: ClientProxy = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port },
  });

  @Module({ imports: [RollcallModule.forRoot({ registry: registry.url }), RollcallModule.forFeature(['echo'])] })
  class CallerModule {}

  const app = await NestFactory.createApplicationContext(CallerModule, { logger: ['error'] });
  const echo = app.get<ServiceClient>(getServiceToken('echo'));
  await echo.connect();
  await proxy.connect();
  try {
    await compare(
      (n) => firstValueFrom(echo.send('find', { n })),
      (n) => firstValueFrom(proxy.send('find', { n })),
      report,
    );
  } finally {
    await app.close();
    proxy.close();
    await Promise.all([service.kill(), bare.kill()]);
    await registry.close();
  }
}

export const calls: Bench = {
  name: 'calls',
  question: 'What does a Nest TCP call through Rollcall cost, against the bare ClientProxy?',
  run,
};
