// The proxies of docs/guide/dashboard.md are in regions here, or in deploy/proxy, and run.
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { startTestRegistry } from '@rollcall/registry/testing';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage, RequestOptions, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endAll, launch } from './launch.js';
import { waitFor } from './wait-for.js';

const NGINX = '/usr/sbin/nginx';
if (!existsSync(NGINX)) console.warn(`There is no ${NGINX}: the guide's configuration for it is not tested.`);

// the parser that knip depends on, so that no package is needed for this alone
const yaml = createRequire(import.meta.resolve('knip'))('yaml') as { parse(text: string): unknown };
const configuration = (name: string): string =>
  readFileSync(new URL(`../../deploy/proxy/${name}`, import.meta.url), 'utf8');

type Named<One> = Readonly<Record<string, One | undefined>>;
/** The part of the format that our file uses. */
interface Traefik {
  readonly http: {
    readonly routers: Named<{ rule: string; middlewares: string[]; service: string }>;
    readonly middlewares: Named<{ stripPrefix: { prefixes: string[] } }>;
    readonly services: Named<{ loadBalancer: { servers: { url: string }[] } }>;
  };
}

@Module({})
class AppModule {}

type ProxyAddress = Pick<RequestOptions, 'host' | 'port' | 'socketPath'>;

/** Sends a request as a browser whose page came from `shop.example`. */
async function ask(address: ProxyAddress, path: string, method = 'GET'): Promise<IncomingMessage> {
  const headers = { host: 'shop.example', origin: 'http://shop.example', 'sec-fetch-site': 'same-origin' };
  const question = request({ ...address, path, method, headers }).end();
  const [answer] = (await once(question, 'response')) as [IncomingMessage];
  return answer;
}

/** Requests the page, its files, its data, its stream, and its actions. */
async function requestAll(address: ProxyAddress): Promise<void> {
  const page = await ask(address, '/rollcall/');
  expect(page.headers['content-type']).toContain('text/html');
  const [, script = ''] = /src="([^"]+\.js)"/.exec(await text(page)) ?? [];
  const loaded = await ask(address, new URL(script, 'http://shop.example/rollcall/').pathname);
  expect([loaded.statusCode, loaded.headers['content-type']]).toEqual([200, expect.stringContaining('javascript')]);
  loaded.resume();
  const state = await ask(address, '/rollcall/api/v1/registry');
  expect(JSON.parse(await text(state))).toMatchObject({ access: 'open' });
  const stream = await ask(address, '/rollcall/api/v1/watch?service=*');
  const [first] = (await once(stream, 'data')) as [Buffer];
  expect(String(first)).toContain('event:');
  stream.destroy();
  const removed = await ask(address, '/rollcall/api/v1/instances/nobody', 'DELETE');
  expect(removed.headers['content-type']).toContain('problem+json'); // the registry's own answer
  removed.resume();
}

describe('the dashboard behind a proxy', () => {
  let registry: Awaited<ReturnType<typeof startTestRegistry>>;
  const cleanups: (() => unknown)[] = [];

  beforeEach(async () => {
    registry = await startTestRegistry({ names: ['shop.example'] });
  });

  afterEach(async () => {
    for (const end of cleanups.splice(0).toReversed()) await end();
    await registry.close();
  });

  afterAll(endAll);

  it('works behind the proxy of Nest', async () => {
    const app = await NestFactory.create(AppModule, { logger: false });
    const registryUrl = registry.url;
    // #region nest
    app.use('/rollcall', (question: IncomingMessage, answer: ServerResponse) => {
      const { url: path, method, headers } = question; // Express has taken the prefix away
      const onward = request(registryUrl, { path, method, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers).flushHeaders();
        reply.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      answer.on('close', () => onward.destroy());
      question.pipe(onward);
    });
    // #endregion
    await app.listen(0, '127.0.0.1');
    cleanups.push(() => app.close());
    const { port } = app.getHttpServer().address() as AddressInfo;
    await requestAll({ host: '127.0.0.1', port });
  });

  it.skipIf(!existsSync(NGINX))('works behind the proxy of nginx', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-nginx-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const location = configuration('nginx.conf').replace('http://127.0.0.1:1337', registry.url);
    expect(location).toContain(registry.url);
    const socketPath = join(folder, 'socket');
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${kind};`);
    const server = `server { listen unix:${socketPath}; ${location} }`;
    const main = ['daemon off;', 'pid pid;', 'error_log stderr;', 'events {}'].join('\n');
    await writeFile(
      join(folder, 'nginx.conf'),
      `${main}\nhttp { access_log off;\n${temporary.join('\n')}\n${server}\n}\n`,
    );
    const child = launch(NGINX, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr']);
    cleanups.push(async () => {
      child.kill('SIGTERM');
      await child.exited;
    });
    await waitFor(`nginx listens: ${child.err.join(' ')}`, () => existsSync(socketPath));
    await requestAll({ socketPath });
  });

  it('is configured for Traefik: it strips the prefix of its rule, and defines every name it uses', () => {
    const { routers, middlewares, services } = (yaml.parse(configuration('traefik.yaml')) as Traefik).http;
    const router = routers['rollcall'];
    const prefixes = middlewares[router?.middlewares[0] ?? '']?.stripPrefix.prefixes ?? [];
    expect(router?.rule).toBe(`PathPrefix(\`${prefixes[0]}/\`)`);
    const url = services[router?.service ?? '']?.loadBalancer.servers[0]?.url;
    expect(url).toBe('http://127.0.0.1:1337'); // the default of a registry; Traefik forwards Host, and buffers no stream
  });
});
