import { systemTime } from '@rollcall/core';
import type { Frame } from '@rollcall/core';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpRegistryClient } from './http.js';
import { startHttpRegistry } from './registry-client.fixture.js';
import type { WatchSink } from './registry-client.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const TOKEN = 'rct_0123456789_token';
const proof = { id: 'orders-1', secret: 'a-secret-of-22-letters' };

/** A client, and the credentials of each request, by method and path. */
async function linked(token?: string) {
  const registry = await startHttpRegistry((response) => void response.writeHead(503).end());
  const link = new HttpRegistryClient({
    url: registry.url,
    time: systemTime,
    ...(token === undefined ? {} : { token }),
  });
  cleanups.push(
    () => link.close(),
    () => registry.close(),
  );
  const shown = (): string[] =>
    registry.requests.map(({ method, url, headers }) => {
      const [path = '', query = ''] = url.replace('/api/v1/', '').split('?');
      const line = query.includes('instance=') ? '?line' : '';
      return `${method} ${path}${line}: ${headers.authorization ?? 'nothing'}`;
    });
  return { link, shown };
}

/** Every request that a client can send. */
async function askAll(link: HttpRegistryClient): Promise<void> {
  await link.register({
    id: 'orders-1',
    service: 'orders',
    endpoints: [{ protocol: 'tcp', port: 1 }],
    secret: proof.secret,
  });
  await link.beat(proof, { nonce: null, seq: 1 });
  await link.beat(proof, { nonce: null, seq: 2 }, { fresh: false });
  await link.suspect('users-1', { by: 'orders-1', outcome: 'refused' });
  await link.drain(proof, {});
  await link.leave(proof);
  await link.poll({
    namespace: 'default',
    service: 'users',
    revision: null,
    waitMs: 0,
    signal: new AbortController().signal,
  });
  const watchRequest = { namespace: 'default', services: ['users'], resume: [], cursor: null };
  for (const line of [null, proof]) {
    await new Promise<void>((resolve) => {
      const sink: WatchSink = {
        opened() {},
        frame(_frame: Frame) {},
        mark() {},
        batch: (deliver) => deliver(),
        closed: () => resolve(),
      };
      link.watch({ ...watchRequest, line }, sink);
    });
  }
}

describe('the access token', () => {
  it('is sent with every request that an instance does not prove with its secret', async () => {
    const { link, shown } = await linked(TOKEN);
    await askAll(link);
    expect(shown()).toEqual([
      `POST register: Bearer ${TOKEN}`,
      `POST instances/orders-1/heartbeat: Bearer ${proof.secret}`,
      `POST instances/orders-1/heartbeat: Bearer ${proof.secret}`,
      `POST instances/users-1/suspect: Bearer ${TOKEN}`,
      `POST instances/orders-1/drain: Bearer ${proof.secret}`,
      `DELETE instances/orders-1: Bearer ${proof.secret}`,
      `GET services/users: Bearer ${TOKEN}`,
      `GET watch: Bearer ${TOKEN}`,
      `GET watch?line: Bearer ${proof.secret}`,
    ]);
  });

  it('is not sent if it is not set', async () => {
    const { link, shown } = await linked();
    await askAll(link);
    expect(shown().filter((line) => line.endsWith(': nothing'))).toHaveLength(4);
  });

  it('is in no message of a client that fails', async () => {
    const link = new HttpRegistryClient({ url: 'http://127.0.0.1:1', time: systemTime, token: TOKEN });
    cleanups.push(() => link.close());
    const failure: unknown = await link.suspect('a', { by: 'b', outcome: 'refused' }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(JSON.stringify(failure) + String(failure)).not.toContain(TOKEN);
  });
});
