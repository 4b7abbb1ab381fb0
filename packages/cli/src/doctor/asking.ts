import { request as plainRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { RequestOptions } from 'node:https';
import { connect } from 'node:tls';
import { RegistryTls, troubleOf } from '@rollcall/client';
import { messageOf, systemTime } from '@rollcall/core';
import type { Way } from '../connection.js';
import { jsonOf } from '../json.js';
import type { Asked, Failure } from './facts.js';

/** Who has said nothing by then is silent. */
const TIMEOUT_MS = 3_000;
/** More of an answer is not read. */
const MOST_BYTES = 64 * 1_048_576;
/** So much of an answer is shown. */
const SHOWN = 120;

/** Asks one registry, and tells how it answered, whatever that is. */
export class Asker {
  readonly url: string;
  readonly #way: Way;
  readonly #options: RequestOptions;
  readonly #isShown: boolean;

  /** Throws OPTION_INVALID for files of TLS that cannot be used. */
  constructor(way: Way) {
    const tls = way.url.startsWith('https:') ? new RegistryTls(way.tls) : null;
    this.url = way.url.replace(/\/+$/, '');
    this.#way = way;
    this.#isShown = tls?.isShown === true;
    this.#options = tls === null ? {} : tls.options;
  }

  get hasToken(): boolean {
    return this.#way.token !== undefined || this.#isShown;
  }

  /** Never rejects. */
  async ask(path: string): Promise<Asked> {
    const { token } = this.#way;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const options = { ...this.#options, headers, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const askedAt = systemTime.now();
    try {
      const { response, text } = await answered(this.url + path, options);
      const { statusCode: status = 0, headers: said } = response;
      const date = Date.parse(said.date ?? '');
      return {
        kind: 'answer',
        status,
        contentType: said['content-type'] ?? '',
        server: String(said['server'] ?? said['x-powered-by'] ?? ''),
        date: Number.isNaN(date) ? null : date,
        body: jsonOf(text),
        text: text.slice(0, SHOWN),
        roundTripMs: systemTime.now() - askedAt,
      };
    } catch (error) {
      return this.#failure(error);
    }
  }

  /** The same for the first question, where a program that only speaks TLS may have just closed the connection: that is found out. */
  async firstAsk(path: string): Promise<Asked> {
    const asked = await this.ask(path);
    const isUnclear = asked.kind === 'failure' && !this.url.startsWith('https:') && CUT.test(asked.code);
    if (!isUnclear || !(await speaksTls(this.url))) return asked;
    return { ...asked, trouble: 'it speaks TLS. Write its URL as https://.' };
  }

  #failure(error: unknown): Failure {
    const facts = { isSecure: this.url.startsWith('https:'), wasReached: false, isShown: this.#isShown };
    if (error instanceof Error && error.name === 'AbortError')
      return { kind: 'failure', code: 'ETIMEDOUT', text: `no answer within ${TIMEOUT_MS} ms`, trouble: null };
    return {
      kind: 'failure',
      code: codeOf(error),
      text: messageOf(error) || codeOf(error),
      trouble: troubleOf(error, facts)?.message ?? null,
    };
  }
}

/** Somebody was there, and was not understood. */
const CUT = /^(ECONNRESET|EPIPE|HPE_)/;

/** Whose certificate it is does not matter here. */
function speaksTls(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(port || '80'), rejectUnauthorized: false });
    const done = (does: boolean): void => {
      socket.destroy();
      resolve(does);
    };
    socket.setTimeout(TIMEOUT_MS, () => done(false));
    socket.on('secureConnect', () => done(true));
    socket.on('error', () => done(false));
    socket.on('close', () => done(false));
  });
}

function answered(url: string, options: RequestOptions): Promise<{ response: IncomingMessage; text: string }> {
  const request = url.startsWith('https:') ? secureRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const asked = request(url, options, (response) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      response.on('data', (bytes: Uint8Array) => {
        size += bytes.length;
        if (size > MOST_BYTES) response.destroy(new Error(`its answer has more than ${MOST_BYTES} bytes`));
        else chunks.push(bytes);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ response, text: Buffer.concat(chunks).toString('utf8') }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Of an error, or of the first of several that one name had. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return '';
}
