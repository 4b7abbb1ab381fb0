import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Asker } from './http-probe.js';
import { streamOf } from './probes.js';

/** Long enough for a connection and an answer on a busy machine; two tries of it are waited for. */
const HOLD_MS = 500;

const open: Server[] = [];
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
  for (const server of open.splice(0)) server.close();
});

async function portOf(server: Server): Promise<number> {
  open.push(server);
  server.on('connection', (socket) => {
    ends.push(() => socket.destroy());
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

type Answering = (response: ServerResponse, request: IncomingMessage) => void;

const holds: Answering = (response) => response.writeHead(200).flushHeaders();
const isSilent: Answering = () => {};
const ended: Answering = (response) => response.writeHead(200).end();
const refuses: Answering = (response) => response.writeHead(403).end();
const cuts: Answering = (_, request) => request.socket.destroy();

/** Each try is met by the next of these, and those after them by the last. */
async function outcomeOf(...answers: readonly Answering[]) {
  let tries = 0;
  const server = createHttpServer((request, response) => {
    const answering = answers[Math.min(tries, answers.length - 1)];
    tries += 1;
    answering?.(response, request);
  });
  const { outcome, text } = await streamOf(askerOf(`http://127.0.0.1:${await portOf(server)}`), HOLD_MS);
  return { outcome, text, tries };
}

function askerOf(url: string): Asker {
  const tls = { caFile: undefined, certFile: undefined, keyFile: undefined };
  return new Asker({ url, otherUrls: [], namespace: 'default', token: undefined, tls });
}

describe('a change feed that is held', () => {
  it.each<[string, readonly Answering[], string, number]>([
    ['that lasts', [holds], 'held', 1],
    ['that is silent twice', [isSilent], 'silent', 2],
    ['that is silent once', [isSilent, holds], 'held', 2],
    ['that ends twice', [ended], 'ended', 2],
    ['that ends once', [ended, holds], 'held', 2],
    ['that is refused', [refuses], 'refused', 2],
    ['that is cut once', [cuts, holds], 'held', 2],
  ])('%s', async (_, answers, outcome, tries) => {
    expect(await outcomeOf(...answers)).toMatchObject({ outcome, tries });
  });

  it('is not reported as silent if no connection was opened', async () => {
    // takes the connection, and never shakes hands
    const port = await portOf(createTcpServer());
    expect(await streamOf(askerOf(`https://127.0.0.1:${port}`), HOLD_MS)).toMatchObject({
      outcome: 'refused',
      text: `no connection within ${HOLD_MS} ms`,
    });
  });
});
