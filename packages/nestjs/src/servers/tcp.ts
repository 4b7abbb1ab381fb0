import { Server as NetServer } from 'node:net';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { BaseRpcContext, JsonSocket, Server, TcpContext, TcpSocket, Transport } from '@nestjs/microservices';
import type { CustomTransportStrategy } from '@nestjs/microservices';
import { HEARTBEAT_PATTERN, isRecord } from '@rollcall/core';
import { grpcBoundOf, guardGrpcStreams } from './grpc.js';
import type { RequestKind } from './in-flight.js';
import type { ServerAdapter, ServerHost } from './server-adapter.js';
import { enforceDeadlines } from './tcp-deadline.js';
import { Reach } from './worker-port.js';
import type { Bound } from './worker-port.js';

/** Patterns come from callers: at most this many are remembered, … */
const MAX_ROUTES = 1_000;
/** … and none that is longer. */
const LONGEST_ROUTE = 256;

/** At most this many answers form one packet. */
const MAX_BATCH = 16;

/** Anything that Nest starts as a microservice: its own servers, and strategies of users. */
export type RpcServer = CustomTransportStrategy;

/**
 * Hooks into a microservice server before it listens: learns when it does, drains before it closes (Nest closes the
 * server of a standalone microservice before it runs any hook), counts its requests, and answers Heartbeat-1 over TCP
 * and gRPC.
 */
export function openRpcAdapter(server: RpcServer, serverHost: ServerHost): ServerAdapter {
  const name = nameOf(server);
  const reach = new Reach(name, serverHost);
  const [listen, close] = [server.listen.bind(server), server.close.bind(server)];
  server.listen = (callback) =>
    listen((...results: unknown[]) => {
      const isListening = results[0] === undefined || results[0] === null;
      if (isListening && isGrpc(server)) guardGrpcStreams(server, serverHost);
      callback(...results);
      if (isListening && isTcp(server)) warnOfOwnCodec(server, serverHost);
      if (isListening) reach.open(boundOf(server), serverHost.isWorker);
    });
  server.close = async () => {
    await serverHost.drain();
    reach.close();
    return close();
  };
  if (server instanceof Server) {
    countRequests(server, serverHost);
    rememberRoutes(server);
  }
  if (isTcp(server) && hasNestFrames(server)) {
    enforceDeadlines(server, serverHost, name);
    answerOverTcp(server, serverHost);
  }
  return {
    name,
    get isListening() {
      return reach.isOpen;
    },
    get opening() {
      return reach.opening;
    },
    bound: () => reach.endpoint,
  };
}

function nameOf(server: RpcServer): string {
  const id = server.transportId;
  return typeof id === 'number' ? Transport[id].toLowerCase() : (id?.description ?? 'custom transport');
}

function isTcp(server: RpcServer): server is Server {
  return server instanceof Server && server.transportId === Transport.TCP;
}

function isGrpc(server: RpcServer): server is Server {
  return server instanceof Server && server.transportId === Transport.GRPC;
}

function boundOf(server: RpcServer): Bound | null {
  if (isGrpc(server)) return grpcBoundOf(server);
  if (!isTcp(server) || !hasNestFrames(server)) return null;
  const socket = server.unwrap<unknown>();
  if (!(socket instanceof NetServer)) return null;
  const address = socket.address();
  if (address === null || typeof address === 'string') return null;
  const { address: host, port } = address;
  return { server: socket, endpoint: { protocol: 'tcp', host, port, tls: socket instanceof TlsServer } };
}

type StartHook = Parameters<Server['setOnProcessingStartHook']>[0];
type EndHook = Parameters<Server['setOnProcessingEndHook']>[0];

/**
 * Nest has one slot for each hook: ours takes it permanently, and calls the hook that the user sets at any time. gRPC
 * is excluded: it names a request by one object at its start and by another at its end, so its own adapter counts it.
 */
function countRequests(server: Server, serverHost: ServerHost): void {
  const before: unknown = Reflect.get(server, 'onProcessingStartHook');
  const after: unknown = Reflect.get(server, 'onProcessingEndHook');
  if (server.transportId === Transport.GRPC || !isHook<StartHook>(before)) return;
  const kind = kindOf(server);
  let start = before;
  let end = isHook<EndHook>(after) ? after : undefined;
  server.setOnProcessingStartHook((transportId, context, done) => {
    if (isRecord(context)) serverHost.inFlight.begin(context, undefined, kind);
    // a user's hook may delay it, and call it from anywhere
    return start(transportId, context, serverHost.inheritance.bound(done));
  });
  server.setOnProcessingEndHook((transportId, context) => {
    if (isRecord(context)) {
      serverHost.inFlight.end(context);
      serverHost.inheritance.end(context);
    }
    end?.(transportId, context);
  });
  server.setOnProcessingStartHook = (hook) => void (start = hook);
  server.setOnProcessingEndHook = (hook) => void (end = hook);
}

/** Callers over TCP learn of a drain; a broker keeps delivering what it has. */
function kindOf(server: Server): RequestKind {
  const name = nameOf(server);
  const nameOfRequest = (context: object): string =>
    context instanceof BaseRpcContext ? `${name} ${patternOf(context)}`.trimEnd() : `a request over ${name}`;
  return { nameOf: nameOfRequest, isPulled: server.transportId !== Transport.TCP };
}

/** Most contexts with a name have it as the first argument (Redis, NATS and MQTT: the channel). */
function patternOf(context: BaseRpcContext): string {
  if (context instanceof TcpContext) return context.getPattern();
  const pattern: unknown = context.getArgs()[0];
  return typeof pattern === 'string' ? pattern : '';
}

/**
 * Nest looks up the handler of every message by parsing its pattern as JSON: for a plain word that throws an error, a
 * fifth of the cost of a small call. The result depends on the pattern alone, so it is cached, with a bound, since
 * patterns are untrusted.
 */
function rememberRoutes(server: Server): void {
  const find: unknown = Reflect.get(server, 'getRouteFromPattern');
  if (typeof find !== 'function') return;
  const routes = new Map<unknown, unknown>();
  Reflect.set(server, 'getRouteFromPattern', (pattern: unknown): unknown => {
    const known = routes.get(pattern);
    if (known !== undefined) return known;
    const route: unknown = Reflect.apply(find, server, [pattern]);
    const isShort = typeof pattern === 'string' && pattern.length <= LONGEST_ROUTE;
    if (isShort && routes.size < MAX_ROUTES) routes.set(pattern, route);
    return route;
  });
}

/**
 * Answers Heartbeat-1 and identity checks as soon as the frame is read: before the deserializer, which may be the
 * user's and expect another format, and past guards, pipes and interceptors.
 */
function answerOverTcp(server: Server, serverHost: ServerHost): void {
  const handle: unknown = Reflect.get(server, 'handleMessage');
  if (typeof handle !== 'function') return;
  Reflect.set(server, 'handleMessage', (socket: unknown, message: unknown): unknown => {
    const isHeartbeat = isRecord(message) && message['pattern'] === HEARTBEAT_PATTERN && socket instanceof TcpSocket;
    return isHeartbeat
      ? answerHeartbeat(serverHost, socket, message)
      : Reflect.apply(handle, server, [socket, message]);
  });
  const socket = server.unwrap<unknown>();
  const opened = socket instanceof TlsServer ? 'secureConnection' : 'connection';
  if (socket instanceof NetServer) socket.on(opened, (connection: Socket) => sendPromptly(connection));
}

/** Nest catches a rejection of this, such as for a closed connection. */
async function answerHeartbeat(
  serverHost: ServerHost,
  socket: TcpSocket,
  { id, data }: Record<string, unknown>,
): Promise<void> {
  const { answer, closes } = serverHost.answer(data);
  socket.sendMessage({ id, response: answer, isDisposed: true });
  if (closes) closeAfterAnswer(socket.netSocket);
}

/** The methods that frame Nest's TCP transport. */
const FRAMING = ['sendMessage', 'handleSend', 'handleData', 'onData', 'emitMessage'] as const;

/**
 * True if its connections use Nest's own frames; a `socketClass` of the user's may use others, which neither the
 * registry nor callers read.
 */
function hasNestFrames(server: Server): boolean {
  if (typeof Reflect.get(server, 'handleMessage') !== 'function') return false;
  const socketClass: unknown = Reflect.get(server, 'socketClass');
  if (socketClass === undefined || socketClass === JsonSocket) return true;
  const prototype: unknown = typeof socketClass === 'function' ? socketClass.prototype : null;
  if (!(prototype instanceof JsonSocket)) return false;
  return FRAMING.every((name) => Reflect.get(prototype, name) === Reflect.get(JsonSocket.prototype, name));
}

/** Warnings about what callers by name must know, or cannot follow. */
function warnOfOwnCodec(server: Server, serverHost: ServerHost): void {
  if (!hasNestFrames(server)) return warnOfFrames(server, serverHost);
  const options: unknown = Reflect.get(server, 'options');
  const own = ['serializer', 'deserializer'].filter((name) => isRecord(options) && options[name] !== undefined);
  if (own.length === 0) return;
  serverHost.log.info(
    `The TCP server has a ${own.join(' and a ')} of its own: callers by name need the pair that matches, as ` +
      `RollcallModule.forFeature([{ service, serializer, deserializer }]).`,
  );
}

function warnOfFrames(server: Server, { log }: ServerHost): void {
  const socketClass: unknown = Reflect.get(server, 'socketClass');
  const name =
    typeof socketClass === 'function' && socketClass.name !== '' ? socketClass.name : 'a transport of its own';
  log.warn(
    `The TCP server uses ${name}, whose frames are not those of Nest's JsonSocket: neither the registry nor callers by name can speak to it, ` +
      'so its port is not announced. This process is registered, and watched at another port of its own (the option heartbeatPort), but ' +
      'calls by name fail with NO_ENDPOINT. To be called by name leave out socketClass (a serializer and a deserializer of your own are ' +
      "supported), or add a second TCP server with Nest's frames.",
  );
}

/**
 * Nagle's algorithm and delayed ACKs delay a burst of three answers by 40 ms, so it is switched off. Then each answer
 * would be a packet of its own, so those that Nest writes together are sent together. Nest writes on the next tick;
 * they are sent two ticks later, and a few at a time, so that the caller reads the first ones while the others are
 * created.
 */
function sendPromptly(connection: Socket): void {
  connection.setNoDelay(true);
  const write = connection.write.bind(connection);
  let corked = 0;
  const uncork = (): void => {
    corked = 0;
    connection.uncork();
  };
  const writeTogether = (...args: Parameters<Socket['write']>): boolean => {
    if (corked === 0) {
      connection.cork();
      process.nextTick(() => process.nextTick(uncork));
    } else if (corked % MAX_BATCH === 0) {
      connection.uncork();
      connection.cork();
    }
    corked += 1;
    return write(...args);
  };
  Object.assign(connection, { write: writeTogether });
}

/** Batched answers are sent before `setImmediate`. Everything written is sent, then FIN. */
function closeAfterAnswer(connection: Socket): void {
  setImmediate(() => connection.destroySoon());
}

function isHook<Hook extends StartHook | EndHook>(value: unknown): value is Hook {
  return typeof value === 'function';
}
