import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { Server as NetServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { Server } from '@nestjs/microservices';
import {
  ATTEMPT_KEY,
  DEADLINE_KEY,
  HEARTBEAT_METADATA,
  HEARTBEAT_METHOD,
  isRecord,
  MISDIRECTED_METADATA,
  REFUSAL_METADATA,
  TARGET_KEY,
} from '@rollcall/core';
import type { RequestKind } from './in-flight.js';
import type { ServerHost } from './server-adapter.js';
import type { Bound } from './worker-port.js';

const CONTENT_TYPE = 'application/grpc+proto';
const UNAVAILABLE = '14';
const DEADLINE_EXCEEDED = '4';
/** HealthCheckResponses after the five bytes with their length. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const NOT_SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 2]);

/**
 * Hooks into a listening gRPC server, before grpc-js, in its HTTP/2 servers: there is no other way to close a
 * connection after the answer, an interceptor does not see a request without a service, and it would cost each call
 * more than a look at two headers. Does nothing if this is not a known version of grpc-js; then the server is not
 * announced, either.
 */
export function guardGrpcStreams(server: Server, serverHost: ServerHost): void {
  for (const http2Server of http2ServersOf(server)) {
    const listeners = http2Server.listeners('stream');
    http2Server.removeAllListeners('stream');
    http2Server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
      if (isOurs(serverHost, stream, headers)) return;
      const remainingMs = headers[DEADLINE_KEY] ?? timeoutMsOf(headers['grpc-timeout']);
      serverHost.inheritance.run(remainingMs, headers[ATTEMPT_KEY], () => {
        if (serverHost.inheritance.isLate) return refuseLate(serverHost, stream);
        count(server, serverHost, stream, headers);
        if (serverHost.inheritance.current() !== null) bindToDeadline(serverHost, stream);
        for (const listener of listeners) Reflect.apply(listener, http2Server, [stream, headers, ...rest]);
      });
    });
  }
}

function count(server: Server, serverHost: ServerHost, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  serverHost.inFlight.begin(stream, () => isStreaming(server, stream, headers), kindOf(headers));
  stream.once('close', () => {
    serverHost.inFlight.end(stream);
    serverHost.inheritance.end(stream);
  });
}

/** A stream does not name its request: `grpc shop.Orders/Find`. */
function kindOf(headers: IncomingHttpHeaders): RequestKind {
  return { nameOf: () => `grpc ${headers[':path']?.slice(1) ?? ''}`.trimEnd(), isPulled: false };
}

/**
 * The handler runs when the message has arrived, an event of the stream; it is emitted in the deadline context of the
 * request.
 */
function bindToDeadline(serverHost: ServerHost, stream: ServerHttp2Stream): void {
  serverHost.inheritance.begin(stream);
  const home = new AsyncResource('rollcall.grpc');
  const emit = stream.emit.bind(stream);
  const emitInContext = (...args: Parameters<typeof emit>): boolean => home.runInAsyncScope(emit, stream, ...args);
  Object.assign(stream, { emit: emitInContext });
}

/** The length of one unit in ms. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * `100m` is the rest of the caller's deadline; grpc-js itself ends a call that takes longer. Undefined if it is
 * missing.
 */
function timeoutMsOf(value: string | string[] | undefined): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(typeof value === 'string' ? value : '') ?? [];
  return amount === undefined ? undefined : Number(amount) * (UNITS[unit] ?? 0);
}

/** Nest keeps only its configured URL, which may have port 0. `localhost` is bound twice; the IPv4 address is used. */
export function grpcBoundOf(server: Server): Bound | null {
  const bound = http2ServersOf(server).map((http2Server) => ({ http2Server, address: http2Server.address() }));
  const known = bound.filter((one): one is typeof one & { address: AddressInfo } => isAddress(one.address));
  const chosen = known.find(({ address }) => address.family === 'IPv4') ?? known[0];
  if (chosen === undefined) return null;
  const { address, http2Server } = chosen;
  const { address: host, port } = address;
  return { server: http2Server, endpoint: { protocol: 'grpc', host, port, tls: http2Server instanceof TlsServer } };
}

function isAddress(address: ReturnType<NetServer['address']>): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

/** The HTTP/2 servers of a listening server; they are in a private field of grpc-js. */
function http2ServersOf(server: Server): readonly NetServer[] {
  const grpc: unknown = Reflect.get(server, 'grpcClient');
  const servers: unknown = isRecord(grpc) ? Reflect.get(grpc, 'http2Servers') : null;
  if (!(servers instanceof Map)) return [];
  return [...servers.keys()].filter((key): key is NetServer => key instanceof NetServer);
}

/** True if the request lasts as long as its caller likes; evaluated during a drain. */
function isStreaming(server: Server, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const grpc: unknown = Reflect.get(server, 'grpcClient');
  const handlers: unknown = isRecord(grpc) ? Reflect.get(grpc, 'handlers') : null;
  const handler: unknown = handlers instanceof Map ? handlers.get(headers[':path']) : null;
  const type: unknown = isRecord(handler) ? Reflect.get(handler, 'type') : 'unary';
  // once all messages have arrived it is like any other request: the caller waits for the one answer
  if (type === 'clientStream') return stream.state.remoteClose !== 1;
  return type === 'serverStream' || type === 'bidi';
}

/** Answers requests that are not for the application. */
function isOurs(serverHost: ServerHost, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  if (headers[':path'] === HEARTBEAT_METHOD && headers[HEARTBEAT_METADATA.instance] !== undefined) {
    answerHeartbeat(serverHost, stream, headers);
    return true;
  }
  const target = headers[TARGET_KEY];
  if (target === undefined || target === serverHost.id) return false;
  refuseMisdirected(serverHost, stream, headers);
  return true;
}

/** All other health checks go to the user's own health service. */
function answerHeartbeat(serverHost: ServerHost, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const question = Object.fromEntries(
    Object.entries(HEARTBEAT_METADATA).map(([field, name]) => [field, headers[name]] as const),
  );
  const { answer, closes } = serverHost.answer(question);
  const nonce = answer.nonce === null ? {} : { [HEARTBEAT_METADATA.nonce]: answer.nonce };
  stream.on('error', () => {});
  stream.respond(
    { ':status': 200, 'content-type': CONTENT_TYPE, [HEARTBEAT_METADATA.instance]: answer.instance, ...nonce },
    { waitForTrailers: true },
  );
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const { session } = stream;
  if (closes) stream.once('close', () => session?.close());
  stream.resume();
  stream.end(serverHost.isDraining ? NOT_SERVING : SERVING);
}

/** Refuses a request before anything runs. */
function refuseMisdirected(serverHost: ServerHost, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on('error', () => {});
  stream.resume();
  if (headers[REFUSAL_METADATA] === 'stream') return stream.close(constants.NGHTTP2_REFUSED_STREAM);
  const text = `This is ${serverHost.id}; the request was for another instance.`;
  end(stream, UNAVAILABLE, text, { [MISDIRECTED_METADATA]: serverHost.id });
}

function refuseLate(serverHost: ServerHost, stream: ServerHttp2Stream): void {
  serverHost.refusedLate('grpc');
  stream.on('error', () => {});
  stream.resume();
  end(stream, DEADLINE_EXCEEDED, 'The caller stopped waiting before the request arrived.');
}

/** An answer with nothing but a status. */
function end(
  stream: ServerHttp2Stream,
  code: string,
  text: string,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const head = { ':status': 200, 'content-type': CONTENT_TYPE, 'grpc-status': code, 'grpc-message': text };
  stream.respond({ ...head, ...metadata }, { endStream: true });
}
