import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { HEARTBEAT_METADATA, HEARTBEAT_METHOD } from '@rollcall/core';
import type { Protocol } from '@rollcall/core';
import { ToyService } from '../transport.fixture.js';
import type { Toy } from '../transport.fixture.js';
import { grpcRequest } from './message.js';
import type { GrpcMethod, GrpcRequest } from './message.js';

/** A method whose messages are JSON, so that no schema is needed. */
export const ECHO: GrpcMethod = {
  path: '/toys.Toy/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: (value) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes) => JSON.parse(bytes.toString()),
};

export function echo(data: unknown): GrpcRequest {
  return grpcRequest(ECHO, data);
}

/** Returns a message with its prefix. */
export function frameOf(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const HEAD = { ':status': 200, 'content-type': 'application/grpc' };

/** The head, the messages, and a status in the trailers. */
export function answer(
  stream: ServerHttp2Stream,
  frames: Uint8Array,
  headers: object = {},
  trailers: object = {},
): void {
  stream.respond({ ...HEAD, ...headers }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...trailers }));
  stream.end(frames);
}

class GrpcToy extends ToyService {
  readonly protocol: Protocol = 'grpc';

  constructor(server: Http2Server) {
    super(server);
    server.on('stream', (stream, headers) => void this.#take(stream, headers));
  }

  async #take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (headers[':path'] === HEARTBEAT_METHOD) {
      this.identityCalls += 1;
      if (this.id !== null) answer(stream, frameOf(new Uint8Array()), { [HEARTBEAT_METADATA.instance]: this.id });
    } else {
      this.received.push(JSON.parse(body.subarray(5).toString()));
      if (this.habit === 'answer') answer(stream, body);
      if (this.habit === 'fail') {
        stream.respond({ ...HEAD, 'grpc-status': '5', 'grpc-message': 'no order found' }, { endStream: true });
      }
      if (this.habit === 'hang-up') stream.session?.destroy();
    }
    this.receive();
  }
}

/** A service that answers each message with itself. */
export async function grpcToy(): Promise<Toy> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new GrpcToy(server);
}
