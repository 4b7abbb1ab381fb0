import { Readable } from 'node:stream';
import { isRollcallError } from '@rollcall/core';
import * as undici from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { hangUp, HttpWorld, httpWorld, ok } from '../../call/http-world.fixture.js';
import type { Script } from '../../call/http-world.fixture.js';
import { serviceDispatcher } from './dispatcher.js';
import type { Dispatcher, DispatcherOptions } from './dispatcher.js';

const BUFFERED_BYTES = 65_536;
const echo: Script = (_request, response, body) => response.end(body);

/** Answers with the path of each request, and records it. */
class RecordingDispatcher {
  readonly paths: string[] = [];

  dispatch({ origin, path }: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.paths.push(`${String(origin)}${path}`);
    handler.onConnect?.(() => {});
    handler.onHeaders?.(200, [], () => {}, 'OK');
    handler.onData?.(Buffer.from('elsewhere'));
    handler.onComplete?.([]);
    return true;
  }
}

function dispatcherOf(world: HttpWorld, options?: DispatcherOptions): Promise<Dispatcher> {
  return serviceDispatcher({ calls: world.calls, bufferedBytes: BUFFERED_BYTES, wake: () => {} }, options);
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** The `fetch` of Node and that of undici 7: two versions of undici with one dispatcher. */
const FETCHES: readonly (readonly [string, (dispatcher: Dispatcher) => Fetch])[] = [
  ['the fetch of Node', (dispatcher) => (url, init) => fetch(url, { ...init, dispatcher } as unknown as RequestInit)],
  [
    'the fetch of undici',
    (dispatcher) => (url, init) =>
      undici.fetch(url, { ...init, dispatcher } as undici.RequestInit) as unknown as Promise<Response>,
  ],
];

describe.each(FETCHES)('through the dispatcher, %s', (_name, fetchOf) => {
  it('reaches a service by its name', async () => {
    const world = await httpWorld(2, [(_request, response) => response.setHeader('x-a', ['1', '2']).end('found')]);
    const answer = await fetchOf(await dispatcherOf(world))('http://orders/7?full=1', { headers: { 'x-trace': 't' } });
    expect(answer).toMatchObject({ status: 200, statusText: 'OK' });
    expect(answer.headers.get('x-a')).toBe('1, 2');
    expect(await answer.text()).toBe('found');
    expect(world.requests).toMatchObject([{ method: 'GET', url: '/7?full=1', headers: { 'x-trace': 't' } }]);
    expect(world.requests[0]?.headers['rollcall-target']).toBe(world.instances[0]);
  });

  it('is repeated elsewhere when the first instance closes the connection, also with a body, if that does no harm', async () => {
    const world = await httpWorld(2, [hangUp, echo]);
    const put = await fetchOf(await dispatcherOf(world))('http://orders/7', { method: 'PUT', body: 'twice' });
    expect(await put.text()).toBe('twice');
    expect(new Set(world.instances).size).toBe(2);
  });

  it('fails with the reason as its cause when it may not be repeated', async () => {
    const world = await httpWorld(2, [hangUp, ok]);
    const posted = fetchOf(await dispatcherOf(world))('http://orders/7', { method: 'POST', body: 'once' });
    const error: unknown = await posted.catch((thrown: Error) => thrown.cause);
    expect(isRollcallError(error) && error.code).toBe('TRANSPORT');
    expect(world.requests.length).toBe(1);
  });

  it('returns the last answer when every instance refuses', async () => {
    const world = await httpWorld(2, [(_request, response) => response.writeHead(503).end('not now')]);
    const answer = await fetchOf(await dispatcherOf(world))('http://orders/');
    expect([answer.status, await answer.text()]).toEqual([503, 'not now']);
    expect(world.requests.length).toBeGreaterThan(1);
  });

  it('follows a redirect within the service by name', async () => {
    const world = await httpWorld(2, [
      (_request, response) => response.writeHead(302, { location: '/there' }).end(),
      ok,
    ]);
    const answer = await fetchOf(await dispatcherOf(world))('http://orders/here');
    expect([await answer.text(), answer.redirected]).toEqual(['ok', true]);
    expect(world.requests.map(({ url }) => url)).toEqual(['/here', '/there']);
  });

  it('sends a stream, in one attempt, and receives one', async () => {
    const world = await httpWorld(1, [echo]);
    const long = 'x'.repeat(300_000);
    const init = { method: 'POST', body: new Blob([long]).stream(), duplex: 'half' } as RequestInit;
    const answer = await fetchOf(await dispatcherOf(world))('http://orders/', init);
    expect((await answer.text()).length).toBe(long.length);
  });

  it('ends with the signal, before the answer and in the middle of it', async () => {
    let open = 0;
    const dribble: Script = (request, response) => {
      open += 1;
      request.socket.once('close', () => (open -= 1));
      if (world.requests.length > 1) response.write('begun');
    };
    const world = await httpWorld(1, [dribble]);
    const dispatcher = await dispatcherOf(world);
    const early = new AbortController();
    const waiting = fetchOf(dispatcher)('http://orders/', { signal: early.signal });
    await expect.poll(() => open).toBe(1);
    early.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => open).toBe(0);

    const late = new AbortController();
    const answer = await fetchOf(dispatcher)('http://orders/', { signal: late.signal });
    late.abort();
    await expect(answer.text()).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => open).toBe(0);
  });

  it('also fails the read of the body when the response breaks off', async () => {
    const world = await httpWorld(1, [
      (request, response) => {
        response.write('first');
        setImmediate(() => request.socket.destroy());
      },
    ]);
    const answer = await fetchOf(await dispatcherOf(world))('http://orders/');
    await expect(answer.text()).rejects.toThrow();
  });

  it('goes to the fallback with every other host', async () => {
    const world = await httpWorld(1);
    const fallback = new RecordingDispatcher();
    const fetchBy = fetchOf(await dispatcherOf(world, { fallback }));
    for (const url of ['http://localhost/a', 'http://orders:3000/b', 'https://orders/c', 'http://shop.example/d']) {
      expect(await (await fetchBy(url)).text()).toBe('elsewhere');
    }
    expect(fallback.paths.length).toBe(4);
    expect(world.requests).toEqual([]);
  });
});

describe('the dispatcher', () => {
  it('serves undici.request with the options of the request', async () => {
    const world = await httpWorld(2, [hangUp, echo, (_request, response) => void response.writeHead(200)]);
    const dispatcher = await dispatcherOf(world);
    const posted = await undici.request('http://orders/x', {
      dispatcher,
      method: 'POST',
      body: 'again',
      idempotent: true,
      query: { a: '1 2', b: ['3', '4'] },
    });
    expect([posted.statusCode, await posted.body.text()]).toEqual([200, 'again']);
    expect(world.requests[1]?.url).toBe('/x?a=1%202&b=3&b=4');
    const silent = undici.request('http://orders/', { dispatcher, headersTimeout: 50 });
    await expect(silent).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it('brings trailers', async () => {
    const world = await httpWorld(1, [
      (_request, response) => {
        response.writeHead(200, { trailer: 'x-sum' }).write('body');
        response.addTrailers({ 'x-sum': '42' });
        response.end();
      },
    ]);
    const answer = await undici.request('http://orders/', { dispatcher: await dispatcherOf(world) });
    expect(await answer.body.text()).toBe('body');
    expect(answer.trailers).toEqual({ 'x-sum': '42' });
  });

  it('is a Dispatcher of undici: it can be composed, and accepts handlers of the newer interface', async () => {
    const world = await httpWorld(1, [ok]);
    const seen: string[] = [];
    const composed = (await dispatcherOf(world)).compose((dispatch) => (options, handler) => {
      seen.push(options.path);
      return dispatch(options, handler);
    });
    const { body } = await composed.request({ origin: 'http://orders', path: '/composed', method: 'GET' });
    expect([await body.text(), seen]).toEqual(['ok', ['/composed']]);
  });

  it('lets a handler of the newer interface pause and resume', async () => {
    const world = await httpWorld(1, [(_request, response) => response.end('whole')]);
    const dispatcher = await dispatcherOf(world);
    const events: string[] = [];
    await new Promise<void>((resolve, reject) => {
      dispatcher.dispatch(
        { origin: 'http://orders', path: '/', method: 'GET' },
        {
          onRequestStart: () => void events.push('start'),
          onResponseStart: (controller, status, headers) => {
            events.push(`${status} ${String(headers['content-length'])}`);
            controller.pause();
            setImmediate(() => {
              events.push('resume');
              controller.resume();
            });
          },
          onResponseData: (_controller, chunk) => void events.push(chunk.toString()),
          onResponseEnd: () => resolve(),
          onResponseError: (_controller, error) => reject(error),
        },
      );
    });
    expect(events).toEqual(['start', '200 5', 'resume', 'whole']);
  });

  it('delivers a long response completely at the pace of a slow reader', async () => {
    const world = await httpWorld(1, [(_request, response) => response.end('x'.repeat(2_000_000))]);
    const { body } = await undici.request('http://orders/', { dispatcher: await dispatcherOf(world) });
    let size = 0;
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(size).toBe(2_000_000);
  });

  it('fails with the error of a request body, and does not count it against the instance', async () => {
    const world = await httpWorld(1, [ok]);
    const broken = Readable.from(
      (async function* () {
        yield 'first';
        throw new Error('disk full');
      })(),
    );
    const sent = undici.request('http://orders/', {
      dispatcher: await dispatcherOf(world),
      method: 'POST',
      body: broken,
    });
    await expect(sent).rejects.toThrow('disk full');
    expect(world.suspects).toEqual([]);
  });

  it('survives a handler that throws, and passes it the error', async () => {
    const world = await httpWorld(1, [ok]);
    const dispatcher = await dispatcherOf(world);
    const error = await new Promise((resolve) => {
      dispatcher.dispatch(
        { origin: 'http://orders', path: '/', method: 'GET' },
        {
          onRequestStart: () => {},
          onResponseStart: () => {
            throw new Error('unexpected response');
          },
          onResponseError: (_controller, thrown) => resolve(thrown.message),
        },
      );
    });
    expect(error).toBe('unexpected response');
    const { body } = await undici.request('http://orders/', { dispatcher });
    expect(await body.text()).toBe('ok');
  });

  it('refuses an upgrade, and suggests an alternative', async () => {
    const dispatcher = await dispatcherOf(await httpWorld(1));
    const upgraded = dispatcher.upgrade({ origin: 'http://orders', path: '/', protocol: 'websocket' } as never);
    await expect(upgraded).rejects.toThrow('rollcall.instances');
  });

  it('can be the global dispatcher: its fallback is the previous global dispatcher', async () => {
    const before = undici.getGlobalDispatcher();
    const world = await httpWorld(1, [ok]);
    const dispatcher = await dispatcherOf(world);
    undici.setGlobalDispatcher(dispatcher);
    onTestFinished(() => undici.setGlobalDispatcher(before));
    expect(await (await fetch('http://orders/')).text()).toBe('ok');
    const { endpoints } = world.view.instances[0] ?? { endpoints: [] };
    expect(await (await fetch(`http://127.0.0.1:${endpoints[0]?.port}/`)).text()).toBe('ok');
    expect(world.requests.map(({ headers }) => headers['rollcall-target'])).toEqual(['a', undefined]);
  });

  it('accepts further hosts from the option hosts', async () => {
    const world = await httpWorld(1, [ok]);
    const fallback = new RecordingDispatcher();
    const dispatcher = await dispatcherOf(world, { hosts: ['*.mesh'], fallback });
    const texts = ['http://orders.mesh/', 'http://orders/'].map(async (url) =>
      (await undici.request(url, { dispatcher })).body.text(),
    );
    expect(await Promise.all(texts)).toEqual(['ok', 'elsewhere']);
    await expect(dispatcherOf(world, { hosts: ['http://orders'] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(dispatcherOf(world, { host: ['orders'] } as DispatcherOptions)).rejects.toThrow('hosts');
  });

  it('refuses calls by name after close, and closes only itself', async () => {
    const world = await httpWorld(1, [ok]);
    const dispatcher = await dispatcherOf(world);
    await dispatcher.close();
    await dispatcher.destroy();
    await expect(undici.request('http://orders/', { dispatcher })).rejects.toMatchObject({ code: 'UND_ERR_CLOSED' });
    expect((await world.calls.fetch('orders', '/')).status).toBe(200);
  });
});
