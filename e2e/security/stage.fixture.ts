import { Rollcall } from '@rollcall/client';
import { recordingLog } from '@rollcall/core/testing';
import type { RecordingLog } from '@rollcall/core/testing';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry, StartOptions } from '@rollcall/registry';
import { changeTokens } from '@rollcall/registry/tokens';
import type { TokenRequest } from '@rollcall/registry/tokens';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openService } from '../fuzz/service.js';
import { addToken } from '../process/token-file.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Null where it is not JSON. */
  readonly body: any;
  readonly text: string;
}

export interface Question {
  readonly method?: string;
  readonly bearer?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; bytes and texts unchanged. */
  readonly body?: object | string;
  /** Default: an address of this machine that was not used before, so that allowances are separate. */
  readonly from?: string;
}

export const POLL = { timeout: 8_000, interval: 30 };

/** A registry as users start it, with tokens, and a client that talks to it over real sockets. */
export class Stage {
  readonly folder: string;
  readonly path: string;
  readonly log: RecordingLog = recordingLog();
  /** Every token and secret that was made here. */
  readonly secrets: string[] = [];
  /** Every answer: heads, bodies, streams. */
  readonly answers: string[] = [];
  readonly #cleanups: (() => unknown)[] = [];
  #registry: RunningRegistry | null = null;
  #callers = 0;

  private constructor(folder: string) {
    this.folder = folder;
    this.path = join(folder, 'tokens.json');
    this.#cleanups.push(() => rm(folder, { recursive: true }));
  }

  static async make(): Promise<Stage> {
    const stage = new Stage(await mkdtemp(join(tmpdir(), 'rollcall-security-')));
    await changeTokens(stage.path, () => []);
    return stage;
  }

  /** Tokens that exist before are known at once, later ones within a second. */
  async start(options: StartOptions = {}): Promise<void> {
    const { log, path } = this;
    const registry = await startRegistry({ port: 0, tokens: path, log, intervalMs: 300, ...options });
    this.#registry = registry;
    this.#cleanups.push(() => registry.close());
  }

  get url(): string {
    return this.#registry?.url ?? '';
  }

  get port(): number {
    return this.#registry?.port ?? 0;
  }

  onClose(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).toReversed()) await cleanup();
  }

  async token(wish: Partial<TokenRequest> = {}, revokedAt: number | null = null): Promise<string> {
    const { token, record } = await addToken(this.path, wish, revokedAt);
    this.secrets.push(token, record.hash);
    return token;
  }

  async ask(path: string, question: Question = {}): Promise<Answer> {
    const { method = 'GET', bearer = null, headers = {}, body, from = this.#nextAddress() } = question;
    const text = typeof body === 'object' ? JSON.stringify(body) : body;
    const sent = request(this.url + path, {
      method,
      agent: false,
      localAddress: from,
      headers: {
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...headers,
      },
    });
    sent.on('error', () => {});
    sent.end(text);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return await this.#read(response);
  }

  /**
   * Sends raw bytes over a connection of its own; resolves with all received until the registry closes it, or
   * `isEnough`.
   */
  async sendRaw(bytes: string | Buffer, isEnough: (text: string) => boolean = () => false): Promise<string> {
    const { socket, text } = await this.open(bytes);
    const closed = once(socket, 'close');
    const enough = expect
      .poll(() => socket.destroyed || isEnough(text()), { timeout: 20_000, interval: 10 })
      .toBe(true);
    await Promise.race([closed, enough]);
    socket.destroy();
    this.answers.push(text());
    return text();
  }

  async open(bytes: string | Buffer): Promise<{ readonly socket: Socket; readonly text: () => string }> {
    const socket = connect({ host: '127.0.0.1', port: this.port, localAddress: this.#nextAddress() });
    this.onClose(() => socket.destroy());
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => (text += part));
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(bytes, 'latin1');
    return { socket, text: () => text };
  }

  /** Registers an instance that does not answer Heartbeat-1, unless endpoints are given. */
  async register(
    bearer: string,
    id: string,
    overrides: object = {},
  ): Promise<{ readonly answer: Answer; readonly secret: string }> {
    const secret = `the-secret-of-${id}-which-is-long`;
    if (!this.secrets.includes(secret)) this.secrets.push(secret);
    const body = { id, service: 'orders', secret, endpoints: [{ protocol: 'tcp', port: 9 }], ...overrides };
    // from one address, as all run on one machine
    return { answer: await this.ask('/api/v1/register', { method: 'POST', bearer, body, from: '127.0.0.1' }), secret };
  }

  /** Stands for a process: a service that is registered, answers Heartbeat-1 over HTTP and beats. */
  async startService(
    token: string,
    service = 'orders',
  ): Promise<{ readonly rollcall: Rollcall; readonly port: number }> {
    const rollcall = new Rollcall({ registry: this.url, service, token }, { log: this.log });
    const { port, close } = await openService(rollcall);
    this.onClose(close);
    await expect.poll(() => rollcall.state, POLL).toBe('HEALTHY');
    return { rollcall, port };
  }

  #nextAddress(): string {
    this.#callers += 1;
    return `127.2.${Math.floor(this.#callers / 250)}.${(this.#callers % 250) + 1}`;
  }

  async #read(response: IncomingMessage): Promise<Answer> {
    const { statusCode: status = 0, headers } = response;
    let text = '';
    if (String(headers['content-type']).startsWith('text/event-stream')) {
      response.destroy();
    } else {
      for await (const part of response.setEncoding('utf8')) text += String(part);
    }
    this.answers.push(`${JSON.stringify(headers)} ${text}`);
    return { status, headers, body: text.startsWith('{') ? JSON.parse(text) : null, text };
  }
}
