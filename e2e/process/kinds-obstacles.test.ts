import { Body, Catch, Controller, Injectable, Module, Post, ValidationPipe, VersioningType } from '@nestjs/common';
import type { ArgumentsHost, CallHandler, ExecutionContext, INestApplicationContext, Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { IsString } from 'class-validator';
import { delay, of, switchMap, throwError } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitFor } from './wait-for.js';

/** The delay that the interceptor adds to every request: eight intervals of the registry. */
const SLOW_MS = 2_000;
/** The number of heartbeats that arrive while a request waits there; half of those that are due. */
const BEATS = 4;

class Query {
  @IsString()
  id!: string;
}

@Controller({ version: '1', path: 'orders' })
class Orders {
  constructor(private readonly rollcall: Rollcall) {}

  @MessagePattern('find')
  overTcp(@Payload() { id }: Query): { id: string; instance: string } {
    return { id, instance: this.rollcall.id };
  }

  @Post('find')
  overHttp(@Body() { id }: Query): { id: string; instance: string } {
    return { id, instance: this.rollcall.id };
  }
}

@Injectable()
class DenyAllGuard {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Slow {
  intercept(_: ExecutionContext, next: CallHandler) {
    return of(null).pipe(
      delay(SLOW_MS),
      switchMap(() => next.handle()),
    );
  }
}

/** Callers get the same answer, whatever went wrong. */
@Catch()
class Teapot {
  catch(_: unknown, host: ArgumentsHost): unknown {
    if (host.getType() !== 'http') return throwError(() => ({ status: 'error', message: 'teapot' }));
    return host.switchToHttp().getResponse().status(418).send('teapot');
  }
}

const STRICT = new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true });
const OBSTACLES = [
  { provide: APP_PIPE, useValue: STRICT },
  { provide: APP_INTERCEPTOR, useClass: Slow },
  { provide: APP_FILTER, useClass: Teapot },
];
const GUARD = { provide: APP_GUARD, useClass: DenyAllGuard };

let registry: Awaited<ReturnType<typeof startTestRegistry>>;
let caller: Rollcall;
let app: INestApplicationContext | null = null;

beforeEach(async () => {
  registry = await startTestRegistry();
  caller = new Rollcall({ registry: registry.url });
});

afterEach(async () => {
  await app?.close();
  await caller.close();
  await registry.close();
});

async function overTcp(module: Type): Promise<INestApplicationContext> {
  const options = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 }, logger: false } as const;
  const tcp = await NestFactory.createMicroservice<MicroserviceOptions>(module, options);
  await tcp.listen();
  return tcp;
}

async function overHttp(module: Type, framework: 'express' | 'fastify'): Promise<INestApplicationContext> {
  const options = { logger: false } as const;
  const http =
    framework === 'express'
      ? await NestFactory.create(module, options)
      : await NestFactory.create(module, new FastifyAdapter(), options);
  http.setGlobalPrefix('api');
  http.enableVersioning({ type: VersioningType.URI });
  await http.listen(0, '127.0.0.1');
  return http;
}

/** Resolves with the result of the handler, or with `teapot`. */
type Ask = (query: object) => Promise<unknown>;

const byMessage: Ask = (query) => caller.call('orders', 'find', query).catch((error: Error) => error.message);
const byRequest: Ask = async (query) => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(query) };
  const response = await caller.fetch('orders', '/api/v1/orders/find', init);
  return response.status === 418 ? response.text() : response.json();
};

const KINDS: readonly [string, (module: Type) => Promise<INestApplicationContext>, Ask][] = [
  ['TCP', overTcp, byMessage],
  ['HTTP on Express', (module) => overHttp(module, 'express'), byRequest],
  ['HTTP on Fastify', (module) => overHttp(module, 'fastify'), byRequest],
];

describe.each(KINDS)('over %s, behind a strict pipe, a slow interceptor and a filter', (_, start, ask) => {
  async function started(guards: readonly object[]) {
    @Module({
      imports: [RollcallModule.forRoot({ service: 'orders', registry: registry.url })],
      controllers: [Orders],
      providers: [...OBSTACLES, ...guards] as never[],
    })
    class AppModule {}
    app = await start(AppModule);
    const { results } = vi.spyOn(app.get(Rollcall), 'answer').mock;
    caller.start();
    const instances = () => caller.service('orders').instances;
    await waitFor('it is HEALTHY', () => instances()[0]?.state === 'HEALTHY');
    /** A plain identity check carries no nonce. */
    const beats = () => results.filter(({ value }) => (value as { nonce: string | null }).nonce !== null).length;
    return { beats, id: app.get(Rollcall).id, instances };
  }

  it('pipes, interceptors and filters apply to calls, and heartbeats bypass them', async () => {
    const { beats, id, instances } = await started([]);
    const states = new Set<string>();
    const looks = setInterval(
      () => instances().forEach(({ state, reason }) => states.add(`${state} ${reason.code}`)),
      5,
    );
    const asked = performance.now();
    const answered = [ask({ id: '7' }), ask({ id: '7', admin: true }), ask({ id: 7 })];
    const beatsBefore = beats();
    await Promise.race(answered);
    clearInterval(looks);
    expect(beats() - beatsBefore).toBeGreaterThanOrEqual(BEATS);
    const [good, extra, wrong] = await Promise.all(answered);
    expect(performance.now() - asked).toBeGreaterThanOrEqual(SLOW_MS - 1);
    expect(good).toEqual({ id: '7', instance: id });
    for (const refused of [extra, wrong]) expect(refused).toContain('teapot');
    expect([...states]).toEqual(['HEALTHY BOTH_WAYS_OK']);
  });

  it('a guard that refuses every request refuses no heartbeat', async () => {
    const { beats, instances } = await started([GUARD]);
    expect(await ask({ id: '7' })).toContain('teapot');
    const beatsBefore = beats();
    await waitFor('it was called several times', () => beats() >= beatsBefore + BEATS);
    expect(instances()).toMatchObject([{ state: 'HEALTHY', reason: { code: 'BOTH_WAYS_OK' } }]);
  });
});
