import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rollcall } from '@rollcall/client';
import { encodeFrame, FrameDecoder, HEARTBEAT_PATTERN } from '@rollcall/core';
import { afterEach, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';

const INTERVAL_MS = 250;
const SLOW = { timeout: 15_000 };

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
  await endAll();
});

async function killed(registry: Child): Promise<void> {
  registry.kill('SIGKILL');
  await registry.exited;
}

/** Two registries that do not know each other. */
async function twoRegistries() {
  const [first, second] = [startRegistry(INTERVAL_MS, []), startRegistry(INTERVAL_MS, [])];
  const urls = await Promise.all([urlOf(first), urlOf(second)]);
  return { first, second, urls };
}

/** A minimal service: it answers Heartbeat-1 and calls. */
async function startService(registry: readonly string[]): Promise<Rollcall> {
  const rollcall = new Rollcall({ registry, service: 'orders' });
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const decoder = new FrameDecoder();
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      for (const frame of decoder.push(bytes).frames) {
        const { pattern, data, id } = frame as { pattern: unknown; data: unknown; id: string };
        const response = pattern === HEARTBEAT_PATTERN ? rollcall.answer(data) : data;
        socket.write(encodeFrame({ id, response, isDisposed: true }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    await rollcall.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  rollcall.register([{ protocol: 'tcp', port: (server.address() as AddressInfo).port }]);
  await expect.poll(() => rollcall.state, SLOW).toBe('HEALTHY');
  return rollcall;
}

function startCaller(options: ConstructorParameters<typeof Rollcall>[0]): Rollcall {
  const caller = new Rollcall(options);
  closing.push(() => caller.close());
  return caller;
}

/** Calls in sequence until stopped; then returns the failures, and the number of answers. */
function keepCalling(caller: Rollcall): () => Promise<{ failed: unknown[]; answered: number }> {
  const over = new AbortController();
  const failed: unknown[] = [];
  let answered = 0;
  const calling = (async () => {
    while (!over.signal.aborted) {
      const call = caller.call('orders', 'echo', answered, { idempotent: true });
      await call.then(
        () => (answered += 1),
        (error: unknown) => failed.push(error),
      );
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  return async () => {
    over.abort();
    await calling;
    return { failed, answered };
  };
}

const viewAt = async (url: string | undefined): Promise<unknown> =>
  (await fetch(`${url ?? ''}/api/v1/services/orders`)).json();

describe('when the first of two registries is killed', () => {
  it('instances register at the second, callers watch there, and no call fails', async () => {
    const { first, urls } = await twoRegistries();
    const service = await startService(urls);
    const caller = startCaller({ registry: urls });
    await caller.ready('orders');
    const stop = keepCalling(caller);
    await killed(first);
    await expect.poll(() => viewAt(urls[1]), SLOW).toMatchObject({ instances: [{ id: service.id, state: 'HEALTHY' }] });
    await expect.poll(() => caller.service('orders').stale, SLOW).toBe(false);
    await expect(startCaller({ registry: urls }).call('orders', 'echo', 1)).resolves.toBe(1);
    const { failed, answered } = await stop();
    expect(failed).toEqual([]);
    expect(answered).toBeGreaterThan(10);
  });

  it('and the second too, a process with a cache starts anyway, and calls the instances it knew', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-registries-'));
    closing.push(() => rm(folder, { recursive: true }));
    const { first, second, urls } = await twoRegistries();
    await startService(urls);
    const before = new Rollcall({ registry: urls, cache: folder });
    await before.ready('orders');
    await before.close();
    await Promise.all([killed(first), killed(second)]);
    const after = startCaller({ registry: urls, cache: folder });
    await expect(after.call('orders', 'echo', 7)).resolves.toBe(7);
    expect(after.service('orders').stale).toBe(true);
    const uncached = startCaller({ registry: urls, calls: { catalogWaitMs: 100 } });
    await expect(uncached.call('orders', 'echo', 7)).rejects.toMatchObject({ code: 'NO_CATALOG' });
  });
});
