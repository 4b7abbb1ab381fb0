import { encodeFrame, FrameDecoder, HEARTBEAT_PATTERN } from '@rollcall/core';
import type { HeartbeatCall } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { callerContract, heartbeatCall } from './contract.js';
import { TcpCaller } from './tcp.js';

interface NestRequest {
  readonly pattern: string;
  readonly data: HeartbeatCall;
  readonly id: string;
}

function answerTo(call: HeartbeatCall, response: unknown): string {
  return encodeFrame({ response, isDisposed: true, id: call.nonce });
}

callerContract('tcp', {
  protocol: 'tcp',
  make: (time) => new TcpCaller({ time }),
  readRequest(text) {
    const [request] = new FrameDecoder().push(text).frames as NestRequest[];
    if (request === undefined) return null;
    expect(request.pattern).toBe(HEARTBEAT_PATTERN);
    expect(request.id).toBe(request.data.nonce);
    return request.data;
  },
  writeAnswer: (call, instance) => answerTo(call, { instance, nonce: call.nonce }),
  writeHugeAnswer: (call, bytes) =>
    answerTo(call, { instance: 'orders-1', nonce: call.nonce, padding: 'x'.repeat(bytes) }),
});

/** Calls a server that answers every connection with these frames. */
async function callAnsweredWith(...frames: readonly unknown[]): Promise<unknown> {
  const server = createServer((socket) => socket.once('data', () => socket.end(frames.map(encodeFrame).join(''))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const caller = new TcpCaller({ time: new ManualTime() });
  try {
    return await caller.call({ protocol: 'tcp', host: '127.0.0.1', port, tls: false }, heartbeatCall, 2_000);
  } finally {
    server.close();
    caller.close();
  }
}

describe('TcpCaller', () => {
  const id = heartbeatCall.nonce;

  it('fails for an application without Rollcall, and reports that', async () => {
    const err = 'There is no matching message handler defined in the remote service.';
    expect(await callAnsweredWith({ id, status: 'error', err })).toMatchObject({
      kind: 'failed',
      text: expect.stringContaining('answers rollcall.heartbeat-1 with an error'),
    });
  });

  it('rejects a frame that answers another request', async () => {
    const response = { instance: 'orders-1', nonce: id };
    expect(await callAnsweredWith({ id: 'other', response })).toMatchObject({ kind: 'failed' });
  });

  it.each([
    ['nothing', undefined],
    ['no object', 'orders-1'],
    ['no instance', { nonce: id }],
    ['an instance that is no id', { instance: '<b>', nonce: id }],
    ['a nonce that is none', { instance: 'orders-1', nonce: 7 }],
  ])('does not accept %s as an answer', async (_what, response) => {
    expect(await callAnsweredWith({ id, response, isDisposed: true })).toMatchObject({ kind: 'failed' });
  });

  it('passes on an answer without a nonce: an old handler sends only its id', async () => {
    expect(await callAnsweredWith({ id, response: { instance: 'orders-1', nonce: null } })).toMatchObject({
      kind: 'answered',
      nonce: null,
    });
  });

  it('fails, and does not throw, for an impossible address', async () => {
    const caller = new TcpCaller({ time: new ManualTime() });
    const outcome = await caller.call(
      { protocol: 'tcp', host: '127.0.0.1', port: 70_000, tls: false },
      heartbeatCall,
      2_000,
    );
    expect(outcome).toMatchObject({ kind: 'failed' });
  });
});
