import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import type { HttpAdapterHost } from '@nestjs/core';
import { recordingLog } from '@rollcall/core/testing';
import { Subject } from 'rxjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openHttpAdapter } from './http.js';
import type { ServerAdapter, ServerHost } from './server-adapter.js';
import { Reach } from './worker-port.js';

const WITHIN_20_S = { timeout: 20_000 };

function fakeServerHost(drained: Promise<unknown> = Promise.resolve(), isWorker = true) {
  const log = recordingLog();
  let opened = 0;
  const serverHost: Partial<ServerHost> = {
    log,
    isWorker,
    opened: () => void (opened += 1),
    drain: () => drained as Promise<void>,
  };
  return { log, serverHost: serverHost as ServerHost, opened: () => opened };
}

/** It answers each connection with one word. */
async function listening(): Promise<Server> {
  const server = createServer((socket) => void socket.on('error', () => {}).write('served'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

const boundOf = (server: Server, host = '127.0.0.1') => {
  const { port } = server.address() as AddressInfo;
  return { server, endpoint: { protocol: 'tcp', host, port, tls: false } as const };
};

async function served(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1').unref();
  onTestFinished(() => void socket.destroy());
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString();
}

const refused = (port: number): Promise<boolean> =>
  once(connect(port, '127.0.0.1'), 'connect').then(
    () => false,
    () => true,
  );

describe('a server whose port other processes share', () => {
  it('is also reachable at a port of its own, and counts as listening only then', async () => {
    const { serverHost, opened, log } = fakeServerHost();
    const server = await listening();
    const reach = new Reach('tcp', serverHost);
    reach.open(boundOf(server), true);
    expect([reach.isOpen, reach.endpoint, opened()]).toEqual([false, null, 0]);
    await reach.opening;
    const { port } = server.address() as AddressInfo;
    const own = reach.endpoint?.port ?? 0;
    expect([reach.isOpen, opened(), own === port]).toEqual([true, 1, false]);
    expect(await Promise.all([served(own), served(port)])).toEqual(['served', 'served']);
    expect(log.texts('info').join()).toContain(`share port ${port} of the tcp server`);
  });

  it('serves there until it is drained, also if only the server itself is closed', async () => {
    const drain = new EventEmitter();
    const { serverHost } = fakeServerHost(once(drain, 'over'));
    const server = await listening();
    const reach = new Reach('tcp', serverHost);
    reach.open(boundOf(server), true);
    await reach.opening;
    const own = reach.endpoint?.port ?? 0;
    const socket = connect(own, '127.0.0.1');
    await once(socket, 'data');
    server.close();
    expect(await served(own)).toBe('served');
    drain.emit('over');
    await once(socket, 'end');
    socket.destroy();
    await expect.poll(() => refused(own), WITHIN_20_S).toBe(true);
  });

  it('is not registered if no port of its own can be opened, and logs that', async () => {
    const { serverHost, opened, log } = fakeServerHost();
    const server = await listening();
    const reach = new Reach('tcp', serverHost);
    reach.open(boundOf(server, '192.0.2.1'), true); // of documentation: no machine has it
    await reach.opening;
    expect([reach.isOpen, opened()]).toEqual([false, 0]);
    expect(log.texts('error').at(-1)).toMatch(/^Not registered: other processes share port \d+.*EADDRNOTAVAIL.*own\.$/);
  });
});

async function openHttp(options: object, isWorker: boolean): Promise<{ adapter: ServerAdapter; server: HttpServer }> {
  const server = createHttpServer();
  onTestFinished(() => void server.close());
  const listen$ = new Subject<void>();
  const host = { httpAdapter: { getHttpServer: () => server }, listen$, listening: true };
  const adapter = openHttpAdapter(host as unknown as HttpAdapterHost, fakeServerHost(undefined, isWorker).serverHost)!;
  server.listen({ port: 0, host: '127.0.0.1', ...options });
  await once(server, 'listening');
  listen$.next();
  await adapter.opening;
  return { adapter, server };
}

describe('an HTTP server', () => {
  it.each([
    ['in a worker, has a port of its own', {}, true, false],
    ['in a worker, that listens at a port which no other worker shares needs none', { exclusive: true }, true, true],
    ['of any process that lets others listen at its port has one', { reusePort: true }, false, false],
    ['of a process alone needs none', {}, false, true],
  ])('%s', async (_, options, isWorker, isSame) => {
    const { adapter, server } = await openHttp(options, isWorker);
    expect(adapter.bound()?.port === (server.address() as AddressInfo).port).toBe(isSame);
  });
});
