import { TcpContext } from '@nestjs/microservices';
import type { Server } from '@nestjs/microservices';
import { ATTEMPT_KEY, DEADLINE_KEY, isRecord } from '@rollcall/core';
import { throwError } from 'rxjs';
import { remoteError } from '../calls/remote-error.js';
import type { ServerAdapter, ServerHost } from './server-adapter.js';

type Handler = NonNullable<ReturnType<Server['getHandlerByPattern']>>;

/**
 * Honours the metadata of a message over TCP. All of Nest's work on it (guards, interceptors, the handler, the
 * subscription to its result) runs in the deadline context. When its turn comes, which may be later (a hook before the
 * processing can delay it), it is not handled if its caller no longer waits.
 *
 * Nest 12 passes the metadata of a packet to the context, Nest 11 ignores it, so it is read here, before either sees
 * it.
 */
export function enforceDeadlines(server: Server, serverHost: ServerHost, name: ServerAdapter['name']): void {
  const handle: unknown = Reflect.get(server, 'handleMessage');
  if (typeof handle !== 'function') return;
  const { inheritance, requests } = serverHost;
  Reflect.set(server, 'handleMessage', (socket: unknown, message: unknown): unknown => {
    const metadata = metadataOf(message);
    return inheritance.run(metadata[DEADLINE_KEY], metadata[ATTEMPT_KEY], () => {
      if (requests === null) return Reflect.apply(handle, server, [socket, message]);
      return requests.receive(carrierOf(message), () => Reflect.apply(handle, server, [socket, message]));
    });
  });
  refuseLate(server, serverHost, name);
}

const NO_METADATA: Readonly<Record<string, unknown>> = {};

/** An event has no id, and no caller waits for it. */
function metadataOf(message: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(message) || message['id'] === undefined) return NO_METADATA;
  return carrierOf(message);
}

function carrierOf(message: unknown): Readonly<Record<string, unknown>> {
  return isRecord(message) && isRecord(message['metadata']) ? message['metadata'] : NO_METADATA;
}

function refuseLate(server: Server, serverHost: ServerHost, name: ServerAdapter['name']): void {
  const { requests } = serverHost;
  const find = server.getHandlerByPattern.bind(server);
  const guarded = new WeakMap<Handler, Handler>();
  server.getHandlerByPattern = (pattern) => {
    const handler = find(pattern);
    if (handler === null || handler === undefined) return handler;
    if (handler.isEventHandler === true && requests === null) return handler;
    const known = guarded.get(handler);
    if (known !== undefined) return known;
    const run: Handler = (data, context) => {
      // one handler may have several patterns
      const called = context instanceof TcpContext ? context.getPattern() : pattern;
      if (requests === null) return handler(data, context);
      return requests.handle(called, () => handler(data, context));
    };
    const guard: Handler = (data, context) => {
      if (handler.isEventHandler === true) return run(data, context);
      if (serverHost.inheritance.isLate) {
        serverHost.refusedLate(name);
        return Promise.resolve(throwError(() => LATE_ERROR));
      }
      if (isRecord(context)) serverHost.inheritance.begin(context);
      return run(data, context);
    };
    const made = Object.assign(guard, handler);
    guarded.set(handler, made);
    return made;
  };
}

const LATE_ERROR = remoteError({
  code: 'DEADLINE_EXCEEDED',
  message: 'The caller stopped waiting before the handler ran: it was not run.',
  retryable: false,
  cause: undefined,
});
