import { Catch, Controller, Get, Inject, Module, Param, Res, UseFilters } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, INestApplication } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import type { ModuleRef } from '@nestjs/core';
import { MessagePattern } from '@nestjs/microservices';
import { ERROR_CODES, RollcallError } from '@rollcall/core';
import type { ErrorCode } from '@rollcall/core';
import { throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { application, sendRequest, microservice, portOf, createFixture } from '../nest.fixture.js';
import type { RollcallModuleOptions } from '../rollcall.module-definition.js';
import { placeLast } from './exception-filter.js';

const SECRET = 'connect ECONNREFUSED 10.0.0.5:3001';
const errorOf = (code: ErrorCode): RollcallError => new RollcallError(code, SECRET, { retryable: true });

@Catch(RollcallError)
class OwnFilter implements ExceptionFilter {
  constructor(@Inject(HttpAdapterHost) private readonly http: HttpAdapterHost) {}

  catch(_error: RollcallError, host: ArgumentsHost): void {
    this.http.httpAdapter.reply(host.switchToHttp().getResponse(), 'mine', 418);
  }
}

@Controller('fail')
class Failing {
  @Get('mine')
  @UseFilters(OwnFilter)
  mine(): never {
    throw errorOf('TRANSPORT');
  }

  @Get('copy')
  copy(): never {
    const brand = Symbol.for('rollcall.error');
    throw Object.assign(new Error('of another copy'), { [brand]: true, code: 'ALL_EJECTED', retryable: true });
  }

  @Get('bug')
  bug(): never {
    throw new TypeError('a bug');
  }

  @Get('late')
  late(@Res() response: any): never {
    const raw = response.raw ?? response;
    raw.writeHead(200, { 'content-type': 'text/plain' });
    raw.write('half of');
    throw errorOf('TRANSPORT');
  }

  @Get(':code')
  async fail(@Param('code') code: ErrorCode): Promise<never> {
    throw errorOf(code);
  }

  @MessagePattern('fail')
  async overTcp(code: ErrorCode): Promise<never> {
    throw errorOf(code);
  }
}

describe.each(['express', 'fastify'] as const)('an uncaught RollcallError, over HTTP on %s,', (framework) => {
  async function server(options: RollcallModuleOptions = { service: 'orders' }) {
    const fixture = await createFixture(options, { controllers: [Failing] });
    const app = application(fixture, framework);
    await app.listen(0);
    return { ...fixture, get: (path: string) => fetch(`http://127.0.0.1:${portOf(app)}/fail/${path}`) };
  }

  it('is a problem document with the status of its code, and is never a bare 500', async () => {
    const { get } = await server();
    const statuses: Record<string, number> = {};
    for (const code of ERROR_CODES) {
      const response = await get(code);
      expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(await response.json()).toMatchObject({
        type: `urn:rollcall:problem:${code}`,
        status: response.status,
        code,
      });
      statuses[code] = response.status;
    }
    expect(statuses).toMatchObject({
      NO_INSTANCE: 503,
      UNKNOWN_SERVICE: 503,
      NO_CATALOG: 503,
      ALL_EJECTED: 503,
      OVERLOADED: 503,
      BULKHEAD_FULL: 503,
      CLOSED: 503,
      DEADLINE_EXCEEDED: 504,
      TRANSPORT: 502,
      REMOTE: 502,
      NO_ENDPOINT: 502,
      CANCELLED: 499,
      OPTION_INVALID: 500,
    });
  });

  it('sends Retry-After if waiting helps, and whether a called service failed', async () => {
    const { get } = await server();
    const headersOf = async (code: ErrorCode) => {
      const { headers } = await get(code);
      return [headers.get('retry-after'), headers.get('rollcall-error')];
    };
    expect(await headersOf('ALL_EJECTED')).toEqual(['1', 'ALL_EJECTED']);
    expect(await headersOf('TRANSPORT')).toEqual([null, 'TRANSPORT']);
    expect(await headersOf('CLOSED')).toEqual(['1', null]);
    expect(await headersOf('BULKHEAD_FULL')).toEqual(['1', null]);
  });

  it('hides addresses from callers, and logs the full message', async () => {
    const { get, log } = await server();
    expect(await (await get('TRANSPORT')).text()).not.toContain('10.0.0.5');
    expect(log.texts('warn')).toContain(`TRANSPORT: ${SECRET}`);
  });

  it('is recognised from another copy of the package; other errors are passed through', async () => {
    const { get } = await server();
    expect((await get('copy')).status).toBe(503);
    expect(await (await get('bug')).json()).toEqual({ statusCode: 500, message: 'Internal server error' });
  });

  it('cuts off an answer that has begun, so that no caller takes it for complete', async () => {
    const { get } = await server();
    const response = await get('late');
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
  });

  it('goes to the user’s own filter if there is one', async () => {
    const { get } = await server();
    expect((await get('mine')).status).toBe(418);
  });

  it('is a 500 like any other error if the filter is disabled', async () => {
    const { get } = await server({ service: 'orders', exceptionFilter: false });
    expect((await get('ALL_EJECTED')).status).toBe(500);
  });
});

describe('an uncaught RollcallError in a microservice', () => {
  it('is an object with its code', async () => {
    const fixture = await createFixture({ service: 'orders' }, { controllers: [Failing] });
    await microservice(fixture).listen();
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'fail', 'ALL_EJECTED');
    expect((await answer).err).toEqual({ status: 'error', code: 'ALL_EJECTED', message: SECRET, retryable: true });
    socket.destroy();
  });

  it('is handled by Nest if the filter is disabled', async () => {
    const fixture = await createFixture({ service: 'orders', exceptionFilter: false }, { controllers: [Failing] });
    await microservice(fixture).listen();
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'fail', 'ALL_EJECTED');
    expect((await answer).err).toEqual({ status: 'error', message: 'Internal server error' });
    socket.destroy();
  });
});

/** A filter for everything: over HTTP 418, in a message handler an object of its own. */
@Catch()
class CatchAll implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): unknown {
    if (host.getType() === 'rpc') return throwError(() => ({ caughtBy: 'all' }));
    const response = host.switchToHttp().getResponse();
    response.status(418).send('all');
    return undefined;
  }
}

@Module({ providers: [{ provide: APP_FILTER, useClass: CatchAll }] })
class FilterModule {}

/** The application with our module before or after the one with the user's filter. */
async function appWith(order: 'ours first' | 'ours last', options: RollcallModuleOptions = { service: 'orders' }) {
  const extras = { controllers: [Failing] };
  if (order === 'ours first') return createFixture(options, { ...extras, imports: [FilterModule] });
  return createFixture(options, { ...extras, importsBefore: [FilterModule] });
}

describe.each(['express', 'fastify'] as const)('a filter for everything on %s', (framework) => {
  async function statusOf(
    fixture: Awaited<ReturnType<typeof createFixture>>,
    prepare: (app: INestApplication) => void = () => {},
  ) {
    const app = application(fixture, framework);
    prepare(app);
    await app.listen(0);
    return (await fetch(`http://127.0.0.1:${portOf(app)}/fail/ALL_EJECTED`)).status;
  }

  it.each(['ours first', 'ours last'] as const)(
    'under APP_FILTER comes before ours: imports with %s',
    async (order) => {
      expect(await statusOf(await appWith(order))).toBe(418);
    },
  );

  it('under APP_FILTER of the root module, or of app.useGlobalFilters, comes before ours', async () => {
    const providers = [{ provide: APP_FILTER, useClass: CatchAll }];
    expect(await statusOf(await createFixture({ service: 'orders' }, { controllers: [Failing], providers }))).toBe(418);
    const bare = await createFixture({ service: 'orders' }, { controllers: [Failing] });
    expect(await statusOf(bare, (app) => app.useGlobalFilters(new CatchAll()))).toBe(418);
  });

  it('leaves a RollcallError to ours if it is for other errors', async () => {
    @Catch(TypeError)
    class TypeErrorFilter extends CatchAll {}
    const providers = [{ provide: APP_FILTER, useClass: TypeErrorFilter }];
    expect(await statusOf(await createFixture({ service: 'orders' }, { controllers: [Failing], providers }))).toBe(503);
  });
});

describe('a filter for everything in a microservice', () => {
  it.each(['ours first', 'ours last'] as const)(
    'under APP_FILTER comes before ours: imports with %s',
    async (order) => {
      const fixture = await appWith(order);
      await microservice(fixture).listen();
      const { answer, socket } = await sendRequest(fixture.rollcall.port, 'fail', 'ALL_EJECTED');
      expect((await answer).err).toEqual({ caughtBy: 'all' });
      socket.destroy();
    },
  );

  it('comes before ours if app.useGlobalFilters sets it', async () => {
    const fixture = await createFixture({ service: 'orders' }, { controllers: [Failing] });
    const app = microservice(fixture);
    app.useGlobalFilters(new CatchAll());
    await app.listen();
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'fail', 'ALL_EJECTED');
    expect((await answer).err).toEqual({ caughtBy: 'all' });
    socket.destroy();
  });
});

it('our filter stays under APP_FILTER in a version of Nest that keeps its filters elsewhere', () => {
  const filter = new CatchAll();
  expect(placeLast(filter, {} as ModuleRef)).toBe(false);
  expect(placeLast(filter, { container: { applicationConfig: {} } } as unknown as ModuleRef)).toBe(false);
});

describe.each(['express', 'fastify'] as const)('an error of a downstream service, on %s,', (framework) => {
  let cause: unknown;

  @Controller('remote')
  class Remote {
    @Get()
    fail(): never {
      throw new RollcallError('REMOTE', 'orders answered with an error: …', { cause });
    }
  }

  async function answered(thrown: unknown) {
    cause = thrown;
    const fixture = await createFixture({ service: 'gateway' }, { controllers: [Remote] });
    const app = application(fixture, framework);
    await app.listen(0);
    const response = await fetch(`http://127.0.0.1:${portOf(app)}/remote`);
    return { status: response.status, body: (await response.json()) as { detail?: string }, log: fixture.log };
  }

  it('keeps its 4xx status and its text', async () => {
    const { status, body } = await answered({ statusCode: 404, message: 'No order 7.', error: 'Not Found' });
    expect(status).toBe(404);
    expect(body).toEqual({
      type: 'urn:rollcall:problem:REMOTE',
      title: 'REMOTE',
      status: 404,
      code: 'REMOTE',
      detail: 'No order 7.',
    });
  });

  it('is logged at debug if it is the caller’s fault, else at warn', async () => {
    const { log } = await answered({ statusCode: 404, message: 'No order 7.' });
    expect([log.texts('warn'), log.texts('debug').join()]).toEqual([[], expect.stringContaining('REMOTE: ')]);
    const other = await answered('Internal server error');
    expect(other.log.texts('warn').join()).toContain('REMOTE: ');
  });

  it('keeps its text if it has no status: 502', async () => {
    const { status, body } = await answered('The warehouse is\u001b[31m closed.');
    expect(status).toBe(502);
    expect(body.detail).toBe('A service that is needed for the answer refused: The warehouse is?[31m closed.');
  });
});
