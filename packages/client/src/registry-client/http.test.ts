import type { Server, ServerResponse } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { isRollcallError, systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { connectErrorIn } from './connect-error.js';
import { HttpRegistryClient } from './http.js';
import { createInstance, EPOCH, startHttpRegistry } from './registry-client.fixture.js';
import type { HttpRegistry } from './registry-client.fixture.js';

const proof = { id: 'orders-1', secret: 'a-secret-of-22-letters' };
const registration = { id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp' as const, port: 3001 }] };
const registered = {
  instance: createInstance(),
  epoch: EPOCH,
  revision: 1,
  heartbeat: { intervalMs: 5_000, timeoutMs: 2_000, freshEvery: 1 },
  registries: [],
};

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function startRegistry(handle: Parameters<typeof startHttpRegistry>[0]): Promise<HttpRegistry> {
  const registry = await startHttpRegistry(handle);
  cleanups.push(() => registry.close());
  return registry;
}

function linkTo(url: string, time: Time = systemTime): HttpRegistryClient {
  const link = new HttpRegistryClient({ url, time });
  cleanups.push(() => link.close());
  return link;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return isRollcallError(error) ? error.code : 'no RollcallError';
}

/** For each connection, the side that closed first. */
function endsOfConnections(server: Server): { next(): Promise<string> } {
  const ends: string[] = [];
  const waiting: ((end: string) => void)[] = [];
  server.on('connection', (socket: Socket) => {
    let end = 'registry';
    socket.prependListener('end', () => (end = socket.writableEnded ? 'registry' : 'peer'));
    socket.prependListener('error', () => (end = 'reset'));
    socket.on('close', () => {
      const resolve = waiting.shift();
      if (resolve === undefined) ends.push(end);
      else resolve(end);
    });
  });
  return {
    next: () => {
      const end = ends.shift();
      return end === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(end);
    },
  };
}

describe('HttpRegistryClient, requests', () => {
  it('sends a registration and reads the answer', async () => {
    const registry = await startRegistry((response) => json(response, 201, registered));
    await expect(linkTo(registry.url).register(registration)).resolves.toEqual({ ok: true, value: registered });
    expect(registry.requests[0]).toMatchObject({ method: 'POST', url: '/api/v1/register' });
    expect(JSON.parse(registry.requests[0]?.body ?? '')).toEqual(registration);
  });

  it('sends the secret in a header and in no other place', async () => {
    const registry = await startRegistry((response) => json(response, 200, { state: 'HEALTHY', revision: 7 }));
    const answer = await linkTo(registry.url).beat(proof, { nonce: null, seq: 1 });
    expect(answer).toEqual({ ok: true, value: { state: 'HEALTHY', revision: 7 } });
    const [seen] = registry.requests;
    expect(seen?.url).toBe('/api/v1/instances/orders-1/heartbeat');
    expect(seen?.headers.authorization).toBe(`Bearer ${proof.secret}`);
    expect(`${seen?.url} ${seen?.body}`).not.toContain(proof.secret);
  });

  it('opens a connection for each beat and is the first to close it, without a reset', async () => {
    const registry = await startRegistry((response) => json(response, 200, { state: 'HEALTHY', revision: 7 }));
    const ends = endsOfConnections(registry.server);
    const link = linkTo(registry.url);
    for (const seq of [1, 2, 3]) await link.beat(proof, { nonce: null, seq });
    await expect(Promise.all([ends.next(), ends.next(), ends.next()])).resolves.toEqual(['peer', 'peer', 'peer']);
    expect(registry.sockets).toHaveLength(3);
  });

  it('uses the other routes of an instance', async () => {
    const registry = await startRegistry((response, { url }) => {
      if (url.endsWith('/drain')) json(response, 202, { watchers: 3 });
      else response.writeHead(url.endsWith('/suspect') ? 202 : 204).end();
    });
    const link = linkTo(registry.url);
    await expect(link.drain(proof, { deadlineMs: 10 })).resolves.toEqual({ ok: true, value: { watchers: 3 } });
    await expect(link.suspect('users-1', { by: 'me', outcome: 'refused' })).resolves.toEqual({ ok: true, value: null });
    await expect(link.leave(proof)).resolves.toEqual({ ok: true, value: null });
    expect(registry.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /api/v1/instances/orders-1/drain',
      'POST /api/v1/instances/users-1/suspect',
      'DELETE /api/v1/instances/orders-1',
    ]);
  });

  it('keeps a path before that of the API', async () => {
    const registry = await startRegistry((response) => json(response, 201, registered));
    await linkTo(`${registry.url}/behind/proxy`).register(registration);
    expect(registry.requests[0]?.url).toBe('/behind/proxy/api/v1/register');
  });

  it('returns a refusal as the problem that the registry sent', async () => {
    const problem = { code: 'ADDRESS_TAKEN', detail: 'orders-2 answers there.', fix: 'Take another port.' };
    const registry = await startRegistry((response) => json(response, 409, { type: 'x', status: 409, ...problem }));
    await expect(linkTo(registry.url).beat(proof, { nonce: null, seq: 1 })).resolves.toEqual({ ok: false, problem });
  });

  it('rejects a web page as an answer', async () => {
    const registry = await startRegistry((response) => response.end('<html>hello</html>'));
    const error: unknown = await linkTo(registry.url)
      .register(registration)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('status 200, no content-type') });
    expect(connectErrorIn(error)?.message).toBe(
      'the server there is not a registry (status 200, no content-type, beginning with "<html>hello</html>"). ' +
        'Check the address and its port, and whether a proxy answers in its place.',
    );
  });

  it('shows the answer of a program that is not a registry', async () => {
    const page = `<!DOCTYPE html>\n<title>\u001b[31mNot here</title>${'x'.repeat(9_000)}`;
    const registry = await startRegistry((response) =>
      response.writeHead(404, { 'content-type': 'text/html' }).end(page),
    );
    const answer = await linkTo(registry.url).register(registration);
    expect(answer).toMatchObject({ ok: false, problem: { code: 'NOT_FOUND' } });
    const { detail } = answer.ok ? { detail: '' } : answer.problem;
    expect(detail).toContain('status 404, text/html, beginning with "<!DOCTYPE html> <title>?[31mNot here');
    expect(detail.length).toBeLessThan(300);
  });

  it('shows the received bytes of a server that does not speak HTTP', async () => {
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .end('SSH-2.0-OpenSSH_9.6\r\n')
        .resume(),
    );
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    const error: unknown = await linkTo(`http://127.0.0.1:${port}`)
      .register(registration)
      .catch((thrown: unknown) => thrown);
    expect(connectErrorIn(error)?.message).toContain('speaks no HTTP: it says "SSH-2.0-OpenSSH_9.6');
  });

  it('does not follow redirects', async () => {
    const registry = await startRegistry((response) => response.writeHead(302, { location: '/elsewhere' }).end());
    await expect(linkTo(registry.url).register(registration)).resolves.toMatchObject({ ok: false });
    expect(registry.requests).toHaveLength(1);
  });

  it('does not read an endless answer', async () => {
    const registry = await startRegistry((response) => {
      response.writeHead(200);
      const fill = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', fill);
      fill();
    });
    const link = linkTo(registry.url, new ManualTime());
    await expect(codeOf(link.register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('rejects when the answer is truncated', async () => {
    const registry = await startRegistry((response) => {
      response.writeHead(201, { 'content-length': 100 }).write('{"instance"');
      response.socket?.end();
    });
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('rejects if no process listens', async () => {
    const registry = await startRegistry(() => {});
    await new Promise((resolve) => registry.server.close(resolve));
    await expect(codeOf(linkTo(registry.url).register(registration))).resolves.toBe('REGISTRY_UNREACHABLE');
  });

  it('waits for an answer until the timeout, but no longer', async () => {
    const time = new ManualTime();
    const registry = await startRegistry(() => {});
    const requested = new Promise((resolve) => registry.server.on('request', resolve));
    const outcome = codeOf(linkTo(registry.url, time).register(registration));
    await requested;
    expect(time.nextAt()).toBe(3_000);
    const cut = new Promise((resolve) => registry.sockets[0]?.on('close', resolve));
    time.advance(3_000);
    await expect(outcome).resolves.toBe('REGISTRY_UNREACHABLE');
    await cut;
  });

  it('rejects pending requests when it is closed, and all later requests', async () => {
    const time = new ManualTime();
    const registry = await startRegistry(() => {});
    const link = linkTo(registry.url, time);
    const pending = codeOf(link.register(registration));
    await link.close();
    await link.close();
    await expect(pending).resolves.toBe('CLOSED');
    await expect(codeOf(link.register(registration))).resolves.toBe('CLOSED');
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('the test registry', () => {
  it('detects the side that closed first', async () => {
    const registry = await startRegistry((response) => json(response, 200, {}));
    const ends = endsOfConnections(registry.server);
    const socket = connect(Number(new URL(registry.url).port), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    socket.resume();
    await expect(ends.next()).resolves.toBe('registry');
  });
});
