import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { RegistryProbe } from './http-probe.js';
import { probeStream } from './probes.js';

/** Long enough for a connection and an answer on a busy machine; a test waits for two tries. */
const HOLD_MS = 500;

const servers: Server[] = [];
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanups.splice(0)) end();
  for (const server of servers.splice(0)) server.close();
});

async function portOf(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

type Responder = (response: ServerResponse, request: IncomingMessage) => void;

const holdOpen: Responder = (response) => response.writeHead(200).flushHeaders();
const staySilent: Responder = () => {};
const endAtOnce: Responder = (response) => response.writeHead(200).end();
const refuse: Responder = (response) => response.writeHead(403).end();
const destroy: Responder = (_, request) => request.socket.destroy();

/** Each try is met by the next of these, and those after them by the last. */
async function outcomeOf(...responders: readonly Responder[]) {
  let tries = 0;
  const server = createHttpServer((request, response) => {
    const responder = responders[Math.min(tries, responders.length - 1)];
    tries += 1;
    responder?.(response, request);
  });
  const { outcome, text } = await probeStream(createProbe(`http://127.0.0.1:${await portOf(server)}`), HOLD_MS);
  return { outcome, text, tries };
}

function createProbe(url: string): RegistryProbe {
  const tls = { caFile: undefined, certFile: undefined, keyFile: undefined };
  return new RegistryProbe({ url, otherUrls: [], namespace: 'default', token: undefined, tls });
}

describe('probeStream', () => {
  it.each<[string, readonly Responder[], string, number]>([
    ['lasts', [holdOpen], 'held', 1],
    ['is silent twice', [staySilent], 'silent', 2],
    ['is silent once', [staySilent, holdOpen], 'held', 2],
    ['ends twice', [endAtOnce], 'ended', 2],
    ['ends once', [endAtOnce, holdOpen], 'held', 2],
    ['is refused', [refuse], 'refused', 2],
    ['is cut once', [destroy, holdOpen], 'held', 2],
  ])('reports a feed that %s', async (_, responders, outcome, tries) => {
    expect(await outcomeOf(...responders)).toMatchObject({ outcome, tries });
  });

  it('does not report silence if no connection was opened', async () => {
    // accepts the connection, without a TLS handshake
    const port = await portOf(createTcpServer());
    expect(await probeStream(createProbe(`https://127.0.0.1:${port}`), HOLD_MS)).toMatchObject({
      outcome: 'refused',
      text: `no connection within ${HOLD_MS} ms`,
    });
  });
});
