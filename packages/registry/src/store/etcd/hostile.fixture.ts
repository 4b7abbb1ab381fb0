import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { MessageWriter } from './codec.js';
import { frameOf } from './frames.js';
import { METHODS } from './messages.js';

/** The reaction of a scripted member to one stream. `n` counts the streams of this path from 0. */
export type Script = (stream: ServerHttp2Stream, call: ScriptedCall) => void;

export interface ScriptedCall {
  readonly n: number;
  readonly token: string | undefined;
}

/** An HTTP/2 server that follows a script for each method; paths without one get UNIMPLEMENTED. */
export interface ScriptedMember {
  readonly port: number;
  /** The paths that were called, in their order. */
  readonly calls: readonly string[];
  close(): Promise<void>;
}

/** Starts a member on a free port of loopback. */
export async function startMember(scripts: Readonly<Record<string, Script>>): Promise<ScriptedMember> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  const calls: string[] = [];
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    const path = headers[':path'] ?? '';
    const n = calls.filter((one) => one === path).length;
    calls.push(path);
    stream.on('error', () => {});
    const token = headers['token'];
    const script = scripts[path] ?? ((one) => refuse(one, 12, 'not scripted'));
    script(stream, { n, token: typeof token === 'string' ? token : undefined });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    close: async () => {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Answers with messages and a gRPC status of 0. */
export function answer(stream: ServerHttp2Stream, ...messages: readonly Uint8Array[]): void {
  respond(stream);
  for (const message of messages) stream.write(frameOf(message));
  stream.end();
}

/** Sends the head of an answer whose trailers have status 0. */
export function respond(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
}

/** Answers with a gRPC status alone. */
export function refuse(stream: ServerHttp2Stream, status: number, text: string): void {
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  stream.respond(
    { ...head, 'grpc-status': String(status), 'grpc-message': encodeURIComponent(text) },
    { endStream: true },
  );
}

const message = (): MessageWriter => new MessageWriter();
const header = (revision: number): Buffer => message().integer(3, revision).finish();

/** A key as etcd describes it. */
export interface ScriptedItem {
  readonly key: string;
  readonly value?: string;
  readonly revision: number;
}

function keyValue({ key, value = '', revision }: ScriptedItem): Buffer {
  return message().text(1, `/rollcall/${key}`).integer(2, revision).integer(3, revision).text(5, value).finish();
}

/** The answer to a range. */
export function rangeAnswer(revision: number, items: readonly ScriptedItem[]): Buffer {
  const writer = message().bytes(1, header(revision));
  for (const item of items) writer.bytes(2, keyValue(item));
  return writer.integer(4, items.length).finish();
}

/** One message of a watch with these puts. */
export function watchAnswer(revision: number, items: readonly ScriptedItem[], isFragment = false): Buffer {
  const writer = message().bytes(1, header(revision)).boolean(7, isFragment);
  for (const item of items) writer.bytes(11, message().integer(1, 0).bytes(2, keyValue(item)).finish());
  return writer.finish();
}

/** A watch that the store ends; `compactedAt` 0: for another reason. */
export function cancelAnswer(compactedAt: number, reason = ''): Buffer {
  return message().bytes(1, header(9)).boolean(4, true).integer(5, compactedAt).text(6, reason).finish();
}

/** The answer to a login. */
export const tokenAnswer = (token: string): Buffer => message().bytes(1, header(1)).text(2, token).finish();

/** A member that has one item at revision 7. */
export const HONEST = {
  [METHODS.range]: (stream: ServerHttp2Stream) =>
    answer(stream, rangeAnswer(7, [{ key: 'a', value: '1', revision: 7 }])),
} as const;
