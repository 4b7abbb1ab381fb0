import { HEARTBEAT_PATH } from '@rollcall/core';
import type { HeartbeatCall } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ProbeOutcome } from './caller.js';
import { callerContract, heartbeatCall } from './contract.js';
import { HttpCaller } from './http.js';

function response(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

callerContract('http', {
  protocol: 'http',
  make: (time) => new HttpCaller({ time }),
  readRequest(text) {
    const [head = '', body = ''] = text.split('\r\n\r\n');
    const length = Number(/content-length: (\d+)/.exec(head)?.[1]);
    if (!(body.length >= length)) return null;
    expect(head).toContain(`POST ${HEARTBEAT_PATH} HTTP/1.1`);
    expect(head).toContain('connection: close');
    return JSON.parse(body) as HeartbeatCall;
  },
  writeAnswer: (call, instance) => response(JSON.stringify({ instance, nonce: call.nonce })),
  writeHugeAnswer: (call, bytes) =>
    response(JSON.stringify({ instance: 'orders-1', nonce: call.nonce, padding: 'x'.repeat(bytes) })),
});

async function callTo(server: Server): Promise<ProbeOutcome> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const caller = new HttpCaller({ time: new ManualTime() });
  try {
    return await caller.call({ protocol: 'http', host: '127.0.0.1', port, tls: false }, heartbeatCall, 2_000);
  } finally {
    caller.close();
    server.close();
  }
}

const callHttp = (listener: RequestListener): Promise<ProbeOutcome> => callTo(createHttpServer(listener));
/** Calls a server that answers with these very bytes. */
const callRaw = (answer: string): Promise<ProbeOutcome> =>
  callTo(createServer((socket) => void socket.once('data', () => socket.end(answer))));

const body = JSON.stringify({ instance: 'orders-1', nonce: heartbeatCall.nonce });
const answered = { kind: 'answered', instance: 'orders-1', nonce: heartbeatCall.nonce };

describe('HttpCaller', () => {
  it('interoperates with a server of Node', async () => {
    const outcome = await callHttp((request, reply) => {
      const isRight = request.method === 'POST' && request.url === HEARTBEAT_PATH;
      request.setEncoding('utf8');
      let text = '';
      request.on('data', (chunk: string) => (text += chunk));
      request.on('end', () => {
        const { nonce } = JSON.parse(text) as HeartbeatCall;
        reply.writeHead(isRight ? 201 : 404).end(JSON.stringify({ instance: 'orders-1', nonce }));
      });
    });
    expect(outcome).toMatchObject(answered);
  });

  it('reads chunks, as sent by a server that does not know the length beforehand', async () => {
    const outcome = await callHttp((_request, reply) => {
      reply.write(body.slice(0, 9));
      reply.end(body.slice(9));
    });
    expect(outcome).toMatchObject(answered);
  });

  it('reads a body that ends with the connection', async () => {
    expect(await callRaw(`HTTP/1.0 200 OK\r\n\r\n${body}`)).toMatchObject(answered);
  });

  it('skips an interim response', async () => {
    expect(await callRaw(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${response(body)}`)).toMatchObject(answered);
  });

  it('skips at most eight interim responses', async () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
    expect(await callRaw(interim.repeat(8) + response(body))).toMatchObject(answered);
    expect(await callRaw(interim.repeat(9) + response(body))).toMatchObject({
      kind: 'failed',
      text: expect.stringContaining('answers with more than 8 interim responses'),
    });
  });

  it('reads kilobytes of chunks in many pieces', async () => {
    const oneByOne = body.replaceAll(/./g, `1;x=${'x'.repeat(80)}\r\n$&\r\n`);
    const answer = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${oneByOne}0\r\n\r\n`;
    const outcome = await callTo(
      createServer((socket) => {
        socket.setNoDelay(true);
        const pieces = answer.match(/[^]{1,50}/g) ?? [];
        const goOn = (): void => {
          const piece = pieces.shift();
          if (piece === undefined) socket.end();
          else socket.write(piece, goOn);
        };
        socket.once('data', goOn);
      }),
    );
    expect(outcome).toMatchObject(answered);
  });

  it('accepts kilobytes of security headers', async () => {
    const headers = { 'content-security-policy': 'x'.repeat(3_000), 'permissions-policy': 'y'.repeat(3_000) };
    expect(await callHttp((_request, reply) => void reply.writeHead(200, headers).end(body))).toMatchObject(answered);
  });

  it('follows no redirect', async () => {
    let requests = 0;
    const outcome = await callHttp((request, reply) => {
      requests += 1;
      reply.writeHead(307, { location: `http://${String(request.headers.host)}/elsewhere` }).end(body);
    });
    expect(outcome).toMatchObject({ kind: 'failed', text: expect.stringContaining('with status 307') });
    expect(requests).toBe(1);
  });

  it.each([404, 401, 500, 503])('fails with status %d', async (status) => {
    const outcome = await callHttp((_request, reply) => void reply.writeHead(status).end(body));
    expect(outcome).toMatchObject({ kind: 'failed', text: expect.stringContaining(`with status ${status}`) });
  });

  it.each([
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(9_000)}`],
    ['an unknown encoding', `HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n${body}`],
    ['a length that is none', `HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n${body}`],
    ['a chunk size that is none', `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${body}`],
    [
      'a large body in chunks',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n${body.padEnd(2_000)}\r\n0\r\n\r\n`,
    ],
    ['a large body without end', `HTTP/1.1 200 OK\r\n\r\n${body.padEnd(2_000)}`],
    ['a body that is no JSON', response('{')],
    ['a body with other content', response('{"status":"ok"}')],
  ])('does not accept %s as an answer', async (_what, answer) => {
    expect(await callRaw(answer)).toMatchObject({ kind: 'failed' });
  });
});
