import { HEARTBEAT_METADATA, HEARTBEAT_METHOD } from '@rollcall/core';
import type { HeartbeatCall, Purpose } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ProbeOutcome } from './caller.js';
import { callerContract, heartbeatCall } from './contract.js';
import { GrpcCaller } from './grpc.js';
import { readFields, writeFields } from './hpack.js';
import type { Fields } from './hpack.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** The message of `SERVING`. */
const MESSAGE = '\0\0\0\0\x02\x08\x01';

/** A frame of the first stream; all its bytes are ASCII, so that it can be written in any encoding. */
function frame(type: number, flags: number, payload: string, stream = 1): string {
  const [high, low] = [payload.length >> 8, payload.length & 255];
  return String.fromCharCode(0, high, low, type, flags, 0, 0, 0, stream) + payload;
}

function head(flags: number, fields: Fields): string {
  return frame(1, flags, writeFields(fields));
}

const SETTINGS = frame(4, 0, '', 0);

function responseOf(call: HeartbeatCall, instance: string, message: string): string {
  const fields: Fields = [
    [':status', '200'],
    ['content-type', 'application/grpc'],
    [HEARTBEAT_METADATA.instance, instance],
    [HEARTBEAT_METADATA.nonce, call.nonce],
  ];
  return SETTINGS + head(4, fields) + message + head(5, [['grpc-status', '0']]);
}

/** The fields of the request, once its last frame is there. */
function requestFields(text: string): ReadonlyMap<string, string> | null {
  const bytes = Buffer.from(text, 'latin1');
  let fields: ReadonlyMap<string, string> | null = null;
  for (let at = PREFACE.length; bytes.length >= at + 9;) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (bytes.length < end) return null;
    const [type, flags = 0] = bytes.subarray(at + 3, at + 5);
    if (type === 1) fields = readFields(bytes.subarray(at + 9, end));
    if (type === 0 && (flags & 1) === 1) return fields;
    at = end;
  }
  return null;
}

callerContract('grpc', {
  protocol: 'grpc',
  make: (time) => new GrpcCaller({ time }),
  readRequest(text) {
    const fields = requestFields(text);
    if (fields === null) return null;
    expect(text.startsWith(PREFACE)).toBe(true);
    expect(fields.get(':path')).toBe(HEARTBEAT_METHOD);
    const word = (name: string): string => fields.get(name) ?? '';
    return {
      replica: word(HEARTBEAT_METADATA.replica),
      instance: word(HEARTBEAT_METADATA.instance),
      nonce: word(HEARTBEAT_METADATA.nonce),
      purpose: word(HEARTBEAT_METADATA.purpose) as Purpose,
      mac: word(HEARTBEAT_METADATA.mac),
    };
  },
  writeAnswer: (call, instance) => responseOf(call, instance, frame(0, 0, MESSAGE)),
  writeHugeAnswer: (call, bytes) =>
    responseOf(call, 'orders-1', frame(0, 0, 'x'.repeat(1_024)).repeat(Math.ceil(bytes / 1_024))),
});

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** Calls an HTTP/2 server of Node's, whose header compression is another than ours. */
async function callServer(handler: Handler, call = heartbeatCall): Promise<ProbeOutcome> {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {}); // of a reset that is part of the test
    handler(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const caller = new GrpcCaller({ time: new ManualTime() });
  try {
    return await caller.call({ protocol: 'grpc', host: '127.0.0.1', port, tls: false }, call, 2_000);
  } finally {
    caller.close();
    server.close();
  }
}

/** Answers as a gRPC server does: head, message, trailers. */
function answerWith(metadata: object, status = '0'): Handler {
  return (stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc+proto', ...metadata },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': 'Käse & Brot' }));
    stream.end(Buffer.from(MESSAGE, 'latin1'));
  };
}

const { nonce } = heartbeatCall;

describe('GrpcCaller', () => {
  it('interoperates with an HTTP/2 server of Node', async () => {
    let seen: IncomingHttpHeaders = {};
    const outcome = await callServer((stream, headers) => {
      seen = headers;
      answerWith({ 'rollcall-instance': 'orders-1', 'rollcall-nonce': headers['rollcall-nonce'] })(stream, headers);
    });
    expect(outcome).toMatchObject({ kind: 'answered', instance: 'orders-1', nonce });
    expect(seen).toMatchObject({ ':method': 'POST', ':path': HEARTBEAT_METHOD, te: 'trailers' });
    expect(seen['rollcall-mac']).toBe(heartbeatCall.mac);
  });

  it('sends the longest id allowed, and reads every character of ids', async () => {
    const instance = '0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ.~'.padEnd(128, 'Xz');
    const outcome = await callServer(
      (stream, headers) =>
        answerWith({ 'rollcall-instance': headers['rollcall-instance'], 'rollcall-nonce': nonce })(stream, headers),
      { ...heartbeatCall, instance },
    );
    expect(outcome).toMatchObject({ kind: 'answered', instance });
  });

  it('passes on an answer without a nonce', async () => {
    const outcome = await callServer(answerWith({ 'rollcall-instance': 'orders-1' }));
    expect(outcome).toMatchObject({ kind: 'answered', nonce: null });
  });

  it('rejects the answer of a health service without Rollcall', async () => {
    expect(await callServer(answerWith({}))).toMatchObject({
      kind: 'failed',
      text: expect.stringContaining('not as Heartbeat-1 is answered'),
    });
  });

  it('fails with the status of a server without a health service', async () => {
    const outcome = await callServer((stream) =>
      stream.respond({ ':status': 200, 'grpc-status': '12', 'grpc-message': 'secret' }, { endStream: true }),
    );
    expect(outcome).toMatchObject({ kind: 'failed', text: expect.stringContaining('with gRPC status 12') });
    expect(outcome).not.toMatchObject({ text: expect.stringContaining('secret') });
  });

  it.each([
    ['another HTTP status', (stream: ServerHttp2Stream) => stream.respond({ ':status': 503 }, { endStream: true })],
    ['a reset', (stream: ServerHttp2Stream) => stream.close(7)],
    ['no status at all', (stream: ServerHttp2Stream) => stream.respond({ ':status': 200 }, { endStream: true })],
  ])('does not accept %s as an answer', async (_what, handler) => {
    expect(await callServer(handler)).toMatchObject({ kind: 'failed' });
  });
});

describe('a header block', () => {
  it.each([
    ['a reference to a table that we do not keep', [0xbe]],
    ['an index that there cannot be', [0x80]],
    ['a string that is longer than the block', [0x00, 0x05, 0x61]],
    ['a number without end', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('is invalid with %s', (_what, bytes) => {
    expect(readFields(Buffer.from(bytes))).toBeNull();
  });
});
