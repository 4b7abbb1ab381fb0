import { Catch, Controller, Get, Inject, Param, Res, UseFilters } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, INestApplication, Provider } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { MessagePattern } from '@nestjs/microservices';
import { ERROR_CODES, RollcallError } from '@rollcall/core';
import type { ErrorCode } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { application, ask, microservice, portOf, world } from './nest.fixture.js';
import type { RollcallModuleOptions } from './rollcall.module-definition.js';

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

describe.each(['express', 'fastify'] as const)('a RollcallError that nobody catches, over HTTP on %s,', (framework) => {
  async function server(options: RollcallModuleOptions = { service: 'orders' }) {
    const here = await world(options, { controllers: [Failing] });
    const app = application(here, framework);
    await app.listen(0);
    return { ...here, get: (path: string) => fetch(`http://127.0.0.1:${portOf(app)}/fail/${path}`) };
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

  it('says when to come back where waiting helps, and whether it was what this process called that failed', async () => {
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

  it('tells outsiders no addresses, and the log everything', async () => {
    const { get, log } = await server();
    expect(await (await get('TRANSPORT')).text()).not.toContain('10.0.0.5');
    expect(log.texts('warn')).toContain(`TRANSPORT: ${SECRET}`);
  });

  it('is recognised from another copy of the package; other errors are left alone', async () => {
    const { get } = await server();
    expect((await get('copy')).status).toBe(503);
    expect(await (await get('bug')).json()).toEqual({ statusCode: 500, message: 'Internal server error' });
  });

  it('cuts off an answer that has begun, so that nobody takes it for whole', async () => {
    const { get } = await server();
    const response = await get('late');
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
  });

  it('goes to a filter of the user’s own where there is one', async () => {
    const { get } = await server();
    expect((await get('mine')).status).toBe(418);
  });

  it('is a 500 as any other error where the filter is not wanted', async () => {
    const { get } = await server({ service: 'orders', exceptionFilter: false });
    expect((await get('ALL_EJECTED')).status).toBe(500);
  });
});

describe('a RollcallError that nobody catches, in a microservice,', () => {
  it('is an object with its code', async () => {
    const here = await world({ service: 'orders' }, { controllers: [Failing] });
    await microservice(here).listen();
    const { answer, socket } = await ask(here.rollcall.port, 'fail', 'ALL_EJECTED');
    expect((await answer).err).toEqual({ status: 'error', code: 'ALL_EJECTED', message: SECRET, retryable: true });
    socket.destroy();
  });

  it('is whatever Nest makes of it where the filter is not wanted', async () => {
    const here = await world({ service: 'orders', exceptionFilter: false }, { controllers: [Failing] });
    await microservice(here).listen();
    const { answer, socket } = await ask(here.rollcall.port, 'fail', 'ALL_EJECTED');
    expect((await answer).err).toEqual({ status: 'error', message: 'Internal server error' });
    socket.destroy();
  });
});

async function statusWith(prepare: (app: INestApplication) => void, providers: readonly Provider[]): Promise<number> {
  const here = await world({ service: 'orders' }, { controllers: [Failing], providers });
  const app = application(here);
  prepare(app);
  await app.listen(0);
  return (await fetch(`http://127.0.0.1:${portOf(app)}/fail/ALL_EJECTED`)).status;
}

describe('a filter for everything', () => {
  @Catch()
  class CatchAll implements ExceptionFilter {
    catch(_error: unknown, host: ArgumentsHost): void {
      host.switchToHttp().getResponse().status(418).send('all');
    }
  }

  it('of app.useGlobalFilters comes before ours, one under APP_FILTER after it', async () => {
    expect(await statusWith((app) => app.useGlobalFilters(new CatchAll()), [])).toBe(418);
    expect(await statusWith(() => {}, [{ provide: APP_FILTER, useClass: CatchAll }])).toBe(503);
  });
});
