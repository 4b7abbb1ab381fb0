import { recordingLog, seededRandom } from '@rollcall/core/testing';
import type { RecordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import { changeTokens } from '../../access/token-file.js';
import { drawToken } from '../../access/tokens.js';
import type { TokenRequest } from '../../access/tokens.js';
import type { StartOptions } from '../start-options.js';
import { startRegistry } from '../start.js';
import type { RunningRegistry } from '../start.js';
import type { Pair } from './pki.fixture.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Null for a stream, which is ended as soon as it is open. */
  readonly body: any;
  readonly text: string;
}

export interface Question {
  readonly method?: string;
  readonly body?: object;
  readonly bearer?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** A client certificate, over TLS. */
  readonly certificate?: Pair | null;
  /** Default: an address that was not used before, so that no limit is shared. */
  readonly from?: string;
}

export type GuardedOptions = Omit<StartOptions, 'tokens'> & { readonly tokens?: string | null };

const random = seededRandom(11);

/** A registry that requires tokens, with functions to create and revoke them. */
export class GuardedRegistry {
  readonly folder: string;
  readonly path: string;
  readonly log: RecordingLog = recordingLog();
  /** All tokens and secrets that this registry has issued. */
  readonly secrets: string[] = [];
  /** The registry's CA; empty without TLS. */
  ca = '';
  /** The texts of all its answers. */
  readonly texts: string[] = [];
  readonly #options: StartOptions;
  #registry: RunningRegistry | null = null;
  #callers = 0;
  #instances = 0;

  private constructor(folder: string, options: StartOptions) {
    this.folder = folder;
    this.path = join(folder, 'tokens.json');
    this.#options = options;
  }

  static async make(options: StartOptions = {}): Promise<GuardedRegistry> {
    const made = new GuardedRegistry(await mkdtemp(join(tmpdir(), 'rollcall-access-')), options);
    await changeTokens(made.path, () => []);
    return made;
  }

  /** With `tokens: null` the registry requires none. */
  async start({ tokens = this.path, ...options }: GuardedOptions = {}): Promise<void> {
    const tokenOptions = tokens === null ? {} : { tokens };
    this.#registry = await startRegistry({ port: 0, ...tokenOptions, log: this.log, ...this.#options, ...options });
  }

  get url(): string {
    return this.#registry?.url ?? '';
  }

  async stop(): Promise<void> {
    await this.#registry?.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true });
  }

  /** A token that is kept in the file. A running registry knows it within a second: see `until`. */
  async token(
    tokenRequest: Partial<TokenRequest> = {},
    revokedAt: number | null = null,
  ): Promise<{ text: string; id: string }> {
    const { token, record } = drawToken(
      random,
      { role: 'reader', services: [], note: '', expiresAt: null, ...tokenRequest },
      0,
    );
    await changeTokens(this.path, (records) => [...records, { ...record, revokedAt }]);
    this.secrets.push(token, record.hash);
    return { text: token, id: record.id };
  }

  async revoke(id: string): Promise<void> {
    await changeTokens(this.path, (records) =>
      records.map((record) => (record.id === id ? { ...record, revokedAt: 1 } : record)),
    );
  }

  /** Resolves when a read with this token is answered with this status. */
  async until(bearer: string, status: number): Promise<void> {
    const look = async (): Promise<void> =>
      expect((await this.ask('/api/v1/topology', { bearer })).status).toBe(status);
    await vi.waitFor(look, { timeout: 8_000, interval: 50 });
  }

  async ask(path: string, question: Question = {}): Promise<Answer> {
    const { method = 'GET', body, bearer = null, headers = {}, certificate, from } = question;
    this.#callers += 1;
    const localAddress = from ?? `127.1.${Math.floor(this.#callers / 250)}.${(this.#callers % 250) + 1}`;
    const isSecure = this.url.startsWith('https:');
    const sent = (isSecure ? secureRequest : request)(this.url + path, {
      method,
      ...(isSecure ? { ca: this.ca, ...certificate } : {}),
      agent: false,
      localAddress,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(JSON.stringify(body))) }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...headers,
      },
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const status = response.statusCode ?? 0;
    if (String(response.headers['content-type']).startsWith('text/event-stream')) {
      response.destroy();
      return { status, headers: response.headers, body: null, text: '' };
    }
    let text = '';
    for await (const part of response.setEncoding('utf8')) text += String(part);
    this.texts.push(text + JSON.stringify(response.headers));
    const isJson = String(response.headers['content-type']).includes('json');
    return { status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : null, text };
  }

  /** Registers a new instance, at an address where no process listens, with this token or certificate. */
  async enrol(by: string | Pair, service = 'orders'): Promise<{ id: string; secret: string }> {
    this.#instances += 1;
    const id = `${service}-${this.#instances}`;
    const secret = `the-secret-of-${id}-which-is-long-enough`;
    this.secrets.push(secret);
    const { status } = await this.ask('/api/v1/register', {
      method: 'POST',
      ...(typeof by === 'string' ? { bearer: by } : { certificate: by }),
      body: { id, service, secret, endpoints: [ENDPOINT] },
    });
    expect(status).toBe(201);
    return { id, secret };
  }
}

/** Creates a guarded registry that is closed at the end of the test. */
export async function guarded(options: StartOptions = {}): Promise<GuardedRegistry> {
  const one = await GuardedRegistry.make(options);
  onTestFinished(() => one.close());
  return one;
}

export const ENDPOINT = { protocol: 'tcp', port: 9 } as const;
