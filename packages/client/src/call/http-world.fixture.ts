import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HEARTBEAT_PATH, noMeter, parseOptions, silentLog, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { onTestFinished } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { FakeView } from './calls.fixture.js';
import { Calls } from './calls.js';
import { callFields } from './policy/service-options.js';

/** The answer to a request, which was read completely. */
export type Script = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export interface SeenHttpRequest {
  readonly instance: string;
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export const ok: Script = (_request, response) => response.end('ok');
/** Breaks the connection without a word. */
export const hangUp: Script = (request) => request.socket.destroy();

/** A service `orders` of several real HTTP servers, and the calls to it. */
export class HttpWorld {
  readonly requests: SeenHttpRequest[] = [];
  readonly suspects: string[] = [];
  /** The first request, at any instance, is answered by the first of them, and so on; the last one answers all others. */
  scripts: readonly Script[] = [ok];
  readonly view: FakeView;
  readonly calls: Calls;

  constructor(instances: readonly Instance[], options: object) {
    this.view = new FakeView(instances);
    this.calls = new Calls({
      time: systemTime,
      random: seededRandom(1),
      meter: noMeter,
      log: silentLog,
      services: { service: () => this.view, settle: () => Promise.resolve(), names: () => [] },
      options: parseOptions(callFields, options),
      suspect: (id, outcome) => this.suspects.push(`${id} ${outcome}`),
    });
  }

  /** The called instances, in order. */
  get instances(): readonly string[] {
    return this.requests.map(({ instance }) => instance);
  }

  answer(instance: string, request: IncomingMessage, response: ServerResponse): void {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      if (request.url === HEARTBEAT_PATH) return response.end(JSON.stringify({ instance, nonce: null }));
      const { method, url, headers } = request;
      const script = this.scripts[Math.min(this.requests.length, this.scripts.length - 1)] ?? ok;
      this.requests.push({ instance, method, url, headers, body });
      return script(request, response, body);
    });
  }
}

/** `count` instances `a`, `b`, …; they end with the test. */
export async function httpWorld(count: number, scripts: readonly Script[] = [ok], options = {}): Promise<HttpWorld> {
  const servers = await Promise.all(Array.from({ length: count }, listening));
  const ids = servers.map((_, index) => 'abcdefgh'.charAt(index));
  const instances = servers.map((server, index) =>
    instanceAt(ids[index] ?? '', (server.address() as AddressInfo).port),
  );
  const world = new HttpWorld(instances, options);
  world.scripts = scripts;
  servers.forEach((server, index) => {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      world.answer(ids[index] ?? '', request, response);
    });
  });
  onTestFinished(async () => {
    await world.calls.close();
    for (const server of servers) server.close().closeAllConnections();
  });
  return world;
}

export function instanceAt(id: string, port: number): Instance {
  return createInstance({ id, endpoints: [{ protocol: 'http', host: '127.0.0.1', port, tls: false }] });
}

async function listening(): Promise<Server> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
