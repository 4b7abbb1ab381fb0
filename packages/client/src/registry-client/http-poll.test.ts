import { systemTime } from '@rollcall/core';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Rollcall } from '../rollcall.js';
import { HttpRegistryClient } from './http.js';
import { createInstance, resetFrame, createView, EPOCH, startHttpRegistry } from './registry-client.fixture.js';
import type { HttpRegistry, SeenRequest } from './registry-client.fixture.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A registry in which a test changes `orders`. */
class Registry {
  #revision = 1;
  #waiting: (() => void)[] = [];
  readonly requests: SeenRequest[] = [];

  change(): void {
    this.#revision += 1;
    for (const answer of this.#waiting.splice(0)) answer();
  }

  async start(): Promise<HttpRegistry> {
    const registry = await startHttpRegistry((response, seen) => {
      this.requests.push(seen);
      const url = new URL(seen.url, 'http://registry');
      const instances = [createInstance({ revision: this.#revision, version: `v${this.#revision}` })];
      if (url.pathname === '/api/v1/watch') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const { event, data } = resetFrame(instances, this.#revision);
        response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\nid: ${EPOCH}.${this.#revision}\n\n`);
        return;
      }
      const answer = (): void => {
        const view = createView([createInstance({ revision: this.#revision, version: `v${this.#revision}` })]);
        response.end(JSON.stringify({ ...view, revision: this.#revision }));
      };
      if (Number(url.searchParams.get('revision') ?? -1) < this.#revision) answer();
      else this.#waiting.push(answer);
    });
    cleanups.push(() => registry.close());
    return registry;
  }
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

/** A proxy that forwards everything except the body of an event stream, or the whole stream. */
async function startBufferingProxy(to: string, keeps: 'the body' | 'everything'): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((inside) => {
    const outside = connect(Number(new URL(to).port), '127.0.0.1');
    for (const [one, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => other.destroy());
    }
    inside.pipe(outside);
    let isStream = false;
    outside.on('data', (bytes: Buffer) => {
      if (isStream) return;
      isStream = bytes.includes('text/event-stream');
      if (!isStream) inside.write(bytes);
      else if (keeps === 'the body') inside.write(bytes.subarray(0, bytes.indexOf('\r\n\r\n') + 4));
    });
  });
  const port = await listening(server);
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${port}`;
}

/** Resolves once the client's copy of orders has this version. */
function waitForVersion(rollcall: Rollcall, version: string): Promise<void> {
  const view = rollcall.service('orders');
  return new Promise((resolve) => {
    const check = (): void => {
      if (view.instances[0]?.version !== version) return;
      stop();
      resolve();
    };
    const stop = view.onChange(check);
    check();
  });
}

describe('behind a proxy that buffers', () => {
  it.each([['the body'], ['everything']] as const)(
    'that withholds %s of an event stream, a client still works, and receives each change',
    async (keeps) => {
      const registry = new Registry();
      const url = await startBufferingProxy((await registry.start()).url, keeps);
      const link = new HttpRegistryClient({
        url,
        time: systemTime,
        silenceMs: 50,
        timeoutMs: keeps === 'the body' ? 3_000 : 500,
      });
      const rollcall = new Rollcall({ registry: url }, { link });
      cleanups.push(() => rollcall.close());
      rollcall.start();
      await waitForVersion(rollcall, 'v1');
      const streams = registry.requests.filter(({ url: path }) => path.includes('/watch'));
      expect(streams).toHaveLength(2);
      for (const version of ['v2', 'v3']) {
        registry.change();
        await waitForVersion(rollcall, version);
      }
      expect(rollcall.service('orders').stale).toBe(false);
      expect(registry.requests.filter(({ url: path }) => path.includes('/watch'))).toHaveLength(2);
    },
  );

  it('does not poll without a proxy', async () => {
    const registry = new Registry();
    const { url } = await registry.start();
    const rollcall = new Rollcall({ registry: url });
    cleanups.push(() => rollcall.close());
    rollcall.start();
    await waitForVersion(rollcall, 'v1');
    expect(registry.requests.map(({ url: path }) => path.split('?')[0])).toEqual(['/api/v1/watch']);
  });
});

describe('HttpRegistryClient, polling', () => {
  it('requests the whole view at once, or waits for a newer one, and ends when its signal aborts', async () => {
    const registry = new Registry();
    const { url } = await registry.start();
    const link = new HttpRegistryClient({ url, time: systemTime });
    cleanups.push(() => link.close());
    const over = new AbortController();
    const request = { namespace: 'shop', service: 'orders', waitMs: 30_000, signal: over.signal };
    const first = await link.poll({ ...request, revision: null });
    expect(first).toEqual({ ok: true, value: createView([createInstance({ version: 'v1' })]) });
    const second = link.poll({ ...request, revision: 1 });
    over.abort();
    await expect(second).rejects.toThrow('closed');
    expect(registry.requests.map((each) => each.url)[0]).toBe('/api/v1/services/orders?namespace=shop');
  });

  it('sends nothing if the signal is already aborted', async () => {
    const registry = new Registry();
    const { url } = await registry.start();
    const link = new HttpRegistryClient({ url, time: systemTime });
    cleanups.push(() => link.close());
    const request = { namespace: 'shop', service: 'orders', waitMs: 30_000 };
    await expect(link.poll({ ...request, revision: 1, signal: AbortSignal.abort() })).rejects.toThrow('closed');
    const { signal } = new AbortController();
    expect(await link.poll({ ...request, revision: null, signal })).toMatchObject({ ok: true });
    expect(registry.requests.map((each) => each.url)).toEqual(['/api/v1/services/orders?namespace=shop']);
  });

  it('rejects an answer that is not a view', async () => {
    const registry = await startHttpRegistry((response) => response.end('{"service":"orders"}'));
    cleanups.push(() => registry.close());
    const link = new HttpRegistryClient({ url: registry.url, time: systemTime });
    cleanups.push(() => link.close());
    const { signal } = new AbortController();
    const polled = link.poll({ namespace: 'default', service: 'orders', revision: null, waitMs: 0, signal });
    await expect(polled).rejects.toMatchObject({ code: 'PROTOCOL' });
  });
});
