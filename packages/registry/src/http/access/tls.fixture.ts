import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { GuardedRegistry } from './authorization.fixture.js';
import type { GuardedOptions } from './authorization.fixture.js';
import { Pki } from './pki.fixture.js';
import type { Pair } from './pki.fixture.js';
import type { RegistryTls } from './tls.js';

export const POLL = { timeout: 8_000, interval: 50 };
export const DAY_MS = 86_400_000;

export interface Files {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** A CA, the certificates that it has signed, and registries that trust it and require only certificates. */
export class TestPki {
  readonly pki: Pki;
  readonly server: Pair;
  readonly orders: Pair;
  readonly reader: Pair;
  readonly operator: Pair;
  readonly #open: { close(): Promise<unknown> }[] = [];
  #count = 0;

  private constructor(pki: Pki, pairs: readonly Pair[]) {
    const [server, orders, reader, operator] = pairs;
    this.pki = pki;
    this.server = server!;
    this.orders = orders!;
    this.reader = reader!;
    this.operator = operator!;
  }

  static async make(): Promise<TestPki> {
    const pki = await Pki.make();
    const names = ['URI:rollcall:service:orders', 'URI:rollcall:reader', 'URI:rollcall:operator'];
    const pairs = [await pki.sign({ sans: ['IP:127.0.0.1', 'DNS:localhost'] })];
    for (const name of names) pairs.push(await pki.sign({ sans: [name] }));
    return new TestPki(pki, pairs);
  }

  /** Registers a resource that `clear` closes. */
  add<One extends { close(): Promise<unknown> }>(one: One): One {
    this.#open.push(one);
    return one;
  }

  /** Closes all resources; call it after each test. */
  async clear(): Promise<void> {
    for (const one of this.#open.splice(0).toReversed()) await one.close();
  }

  close(): Promise<void> {
    return this.pki.close();
  }

  /** Writes the registry's files for one test, which may change them. */
  async writeFiles({ cert, key }: Pair = this.server): Promise<Files> {
    this.#count += 1;
    return {
      certFile: await this.pki.write(`server-${this.#count}.pem`, cert),
      keyFile: await this.pki.write(`server-${this.#count}.key`, key),
      caFile: await this.pki.write(`clients-${this.#count}.pem`, this.pki.ca),
    };
  }

  async registry(
    tls: Partial<RegistryTls> = {},
    options: GuardedOptions = {},
  ): Promise<GuardedRegistry & { files: Files }> {
    const registry = this.add(await GuardedRegistry.make());
    registry.ca = this.pki.ca;
    const files = await this.writeFiles();
    await registry.start({ tokens: null, tls: { ...files, ...tls }, ...options });
    return Object.assign(registry, { files });
  }

  /** Sends requests over one kept connection. */
  keepConnection(registry: GuardedRegistry, { cert, key }: Pair): SendRequest {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: this.pki.ca, cert, key });
    this.add({ close: async () => agent.destroy() });
    return async (path, headers = {}) => {
      const sent = request(registry.url + path, { agent, headers });
      sent.end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      const socket = response.socket as TLSSocket;
      let text = '';
      if (path.includes('/watch')) response.resume();
      else for await (const part of response.setEncoding('utf8')) text += String(part);
      return { response, socket, text };
    };
  }

  /** Makes a TLS handshake and returns the certificate that the registry showed. */
  async shown(registry: GuardedRegistry): Promise<string> {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(registry.url).port), ca: this.pki.ca });
    await once(socket, 'secureConnect');
    const fingerprint = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
    socket.destroy();
    return fingerprint;
  }
}

type SendRequest = (
  path: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<{ response: IncomingMessage; socket: TLSSocket; text: string }>;

/** A clock whose wall time can be advanced without an effect on timers. */
export function createSkewedTime(): Time & { laterMs: number } {
  return {
    laterMs: 0,
    now: () => systemTime.now(),
    wall() {
      return systemTime.wall() + this.laterMs;
    },
    setTimer: (...order) => systemTime.setTimer(...order),
  };
}
