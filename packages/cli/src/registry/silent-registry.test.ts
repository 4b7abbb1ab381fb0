import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainFetch, UnansweredError } from './node-fetch.js';
import { RegistryApi } from './registry-api.js';

const server = createServer();
const sockets: Socket[] = [];
let url = '';
beforeAll(async () => {
  server.on('connection', (socket) => void sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

describe('a registry that accepts connections and does not answer', () => {
  it('differs from one that is not running', async () => {
    const pending = plainFetch()(url, { headers: {}, signal: AbortSignal.timeout(300) });
    await expect(pending).rejects.toBeInstanceOf(UnansweredError);
    const refused = plainFetch()('http://127.0.0.1:1', { headers: {}, signal: AbortSignal.timeout(5_000) });
    await expect(refused).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('leads to an error about a stopped process, without the advice to start one', async () => {
    const plain = plainFetch();
    const fetcher: typeof plain = (to, init) => plain(to, { ...init, signal: AbortSignal.timeout(300) });
    const pending = new RegistryApi(url, { fetcher }).everywhere();
    await expect(pending).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: `The registry at ${url} takes connections and does not answer (within 5 s): is its process stopped, or busy? Try \`rollcall doctor\`.`,
    });
  });
});
