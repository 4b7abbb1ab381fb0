import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { encodeFrame } from '@rollcall/core';
import { afterEach, describe, expect, it } from 'vitest';
import { probePort } from './port-probe.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function portOf(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const answeringServer = (answer: string): Server =>
  createServer((socket) => void socket.once('data', () => void socket.end(answer)));
const chunkingServer = (answer: string): Server =>
  createHttpServer((_, response) => {
    response.write(answer);
    response.end();
  });
const frame = (instance: unknown): string =>
  encodeFrame({ id: 'doctor', response: { instance, nonce: null }, isDisposed: true });

describe('reach', () => {
  it.each<[string, 'tcp' | 'http' | 'grpc', Server, string, RegExp]>([
    ['itself, over TCP', 'tcp', answeringServer(frame('orders-1')), 'itself', /says that it is orders-1/],
    ['another process, over TCP', 'tcp', answeringServer(frame('users-1')), 'another', /says that it is users-1/],
    [
      'a process without our frames',
      'tcp',
      answeringServer('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'another',
      /does not report an instance id/,
    ],
    [
      'a process that closes',
      'tcp',
      createServer((socket) => void socket.once('data', () => void socket.end())),
      'failed',
      /closed/,
    ],
    [
      'itself, over HTTP',
      'http',
      createHttpServer((_, response) => void response.end('{"instance":"orders-1"}')),
      'itself',
      /orders-1/,
    ],
    ['itself, in a chunk', 'http', chunkingServer('{"instance":"orders-1","nonce":null}'), 'itself', /orders-1/],
    [
      'a page',
      'http',
      createHttpServer((_, response) => void response.end('<h1>shop</h1>')),
      'another',
      /does not report an instance id/,
    ],
    [
      'an error',
      'http',
      createHttpServer((_, response) => void response.writeHead(404).end()),
      'another',
      /does not report an instance id/,
    ],
    ['an open port, over gRPC', 'grpc', answeringServer(''), 'open', /takes connections/],
  ])('finds %s', async (...[, protocol, server, outcome, text]) => {
    const endpoint = { protocol, host: '127.0.0.1', port: await portOf(server), tls: false };
    expect(await probePort('orders-1', endpoint)).toEqual({ endpoint, outcome, text: expect.stringMatching(text) });
  });

  it('finds a closed port', async () => {
    const server = answeringServer('');
    const endpoint = { protocol: 'tcp', host: '127.0.0.1', port: await portOf(server), tls: false } as const;
    await new Promise((resolve) => server.close(resolve));
    expect(await probePort('orders-1', endpoint)).toMatchObject({
      outcome: 'refused',
      text: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
