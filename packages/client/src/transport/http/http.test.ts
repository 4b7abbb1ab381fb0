import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemTime } from '@rollcall/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { transportContract } from '../contract.js';
import { httpToy, RecordingSink, targetOf, TERMS } from '../transport.fixture.js';
import type { Settled } from '../transport.fixture.js';
import type { Channel } from '../transport.js';
import { HttpTransport } from './http.js';
import type { HttpOptions } from './http.js';
import type { HttpRequest } from './message.js';
import { HttpAnswer } from './response.js';
import { Upload } from './upload.js';

const OPTIONS: HttpOptions = { connections: 1, connectTimeoutMs: 500, bufferedBytes: 1_000 };

transportContract<HttpRequest>('http', {
  toy: httpToy,
  transport: (time) => new HttpTransport(time, OPTIONS),
  request: (data) => ({ method: 'POST', path: '/echo', headers: [], body: JSON.stringify(data) }),
  valueOf: (value) => (value instanceof HttpAnswer ? value.response(1_000).json() : value),
});

type Script = (request: IncomingMessage, response: ServerResponse) => void;

/** A channel to a server that follows the script. */
async function scripted(script: Script, isNative = false): Promise<Channel<HttpRequest>> {
  const server = createServer(script);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new HttpTransport(systemTime, OPTIONS);
  await transport.prepare();
  onTestFinished(async () => {
    await transport.close();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return transport.channel(targetOf({ port, protocol: 'http' }, isNative ? 'native' : 'api'));
}

function ask(channel: Channel<HttpRequest>, request: Partial<HttpRequest> = {}): Promise<Settled> {
  const sink = new RecordingSink();
  channel.send({ method: 'GET', path: '/', headers: [], body: null, ...request }, TERMS, sink);
  return sink.settled;
}

function responseOf({ values }: Settled): Response {
  const [value] = values;
  if (value instanceof HttpAnswer) return value.response(OPTIONS.bufferedBytes);
  throw new Error('no answer');
}

/** Identifies itself, and then answers that the request is for another instance. */
const answer421: Script = (request, response) => {
  if (request.method === 'POST') response.end(JSON.stringify({ instance: 'orders-1', nonce: null }));
  else response.writeHead(421).end();
};

describe('an HTTP answer', () => {
  it('is a Response with its status and headers, whatever the status', async () => {
    const channel = await scripted((_request, response) => {
      response.writeHead(404, 'Not here', { 'x-a': '1', 'set-cookie': ['a=1', 'b=2'] }).end('gone');
    });
    const response = responseOf(await ask(channel));
    expect(response).toMatchObject({ status: 404, statusText: 'Not here', ok: false });
    expect(response.headers.get('x-a')).toBe('1');
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.text()).toBe('gone');
  });

  it('without a body has a Response without a body', async () => {
    const channel = await scripted((request, response) => response.writeHead(request.url === '/204' ? 204 : 200).end());
    expect(responseOf(await ask(channel, { path: '/204' })).body).toBeNull();
    expect(await responseOf(await ask(channel, { method: 'HEAD' })).text()).toBe('');
  });

  it('does not count if it is truncated: the call can be retried', async () => {
    const channel = await scripted((request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setImmediate(() => request.socket.destroy());
    });
    expect((await ask(channel)).failure?.kind).toBe('closed');
  });

  it('is delivered at once and flows as it arrives if its length is unknown', async () => {
    const answers: ServerResponse[] = [];
    const channel = await scripted((_request, response) => {
      response.write('first ');
      answers.push(response);
    });
    const response = responseOf(await ask(channel));
    answers[0]?.end('second');
    expect(await response.text()).toBe('first second');
  });

  it('flows at the pace of its reader, and completely, if it is long', async () => {
    const long = 'x'.repeat(3_000_000);
    const channel = await scripted((_request, response) => response.end(long));
    const response = responseOf(await ask(channel));
    await new Promise((resolve) => setImmediate(resolve));
    expect((await response.text()).length).toBe(long.length);
  });

  it('fails the reading, not the call, if its body breaks off', async () => {
    const channel = await scripted((request, response) => {
      response.write('first');
      setImmediate(() => request.socket.destroy());
    });
    await expect(responseOf(await ask(channel)).text()).rejects.toThrow();
  });

  it('frees the connection if its body is not needed', async () => {
    let connections = 0;
    const channel = await scripted((request, response) => {
      request.socket.once('close', () => (connections += 1));
      response.write('x'.repeat(100_000));
    });
    await responseOf(await ask(channel)).body?.cancel();
    await expect.poll(() => connections).toBe(1);
  });

  it.each([
    [429, {}, 'overloaded', undefined],
    [503, { 'retry-after': '2' }, 'overloaded', 2_000],
    [503, {}, 'unavailable', undefined],
    [502, {}, 'unavailable', undefined],
    [504, {}, 'unavailable', undefined],
  ])(
    'with status %i %j means that it is %s, and is the answer if no other attempt succeeds',
    async (status, headers, kind, after) => {
      const channel = await scripted((_request, response) => response.writeHead(status, headers).end('sorry'));
      const { failure } = await ask(channel);
      expect(failure).toMatchObject({ kind });
      expect(failure?.retryAfterMs).toBe(after);
      expect(await responseOf({ values: [failure?.fallback?.value], failure: null }).text()).toBe('sorry');
    },
  );

  it('421 means misdirected, if the request named its target', async () => {
    expect((await ask(await scripted(answer421, true))).failure?.kind).toBe('misdirected');
    expect(responseOf(await ask(await scripted(answer421, false))).status).toBe(421);
  });
});

describe('an HTTP request', () => {
  it('carries the remaining deadline and the target', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const channel = await scripted((request, response) => {
      seen.push(request.headers);
      response.end(JSON.stringify({ instance: 'orders-1', nonce: null }));
    }, true);
    await ask(channel, { headers: ['x-trace', 'abc'] });
    expect(seen[1]).toMatchObject({ 'rollcall-deadline-ms': '5000', 'rollcall-target': 'orders-1', 'x-trace': 'abc' });
  });

  it('may have a body that is a stream', async () => {
    const channel = await scripted((request, response) => void request.pipe(response));
    const body = new Upload(new Blob(['streamed']).stream());
    expect(await responseOf(await ask(channel, { method: 'POST', body })).text()).toBe('streamed');
  });

  it('is not sent to a server that closes the connection at the identity check', async () => {
    const paths: (string | undefined)[] = [];
    const channel = await scripted((request, response) => {
      paths.push(request.url);
      response.setHeader('connection', 'close').end(JSON.stringify({ instance: 'orders-1', nonce: null }));
    }, true);
    expect((await ask(channel)).failure?.kind).toBe('unsent');
    expect(paths).toEqual(['/.well-known/rollcall/heartbeat-1']);
  });

  it('is not sent to a server that does not know the identity check', async () => {
    const paths: (string | undefined)[] = [];
    const channel = await scripted((request, response) => {
      paths.push(request.url);
      response.writeHead(404).end('<html>');
    }, true);
    expect((await ask(channel)).failure?.kind).toBe('misdirected');
    expect(paths).toEqual(['/.well-known/rollcall/heartbeat-1']);
  });
});
