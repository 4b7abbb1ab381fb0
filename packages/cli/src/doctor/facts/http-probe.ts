import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { RegistryTls, troubleOf } from '@rollcall/client';
import { messageOf, sleep, systemTime } from '@rollcall/core';
import type { Connection } from '../../registry/connection.js';
import { jsonOf } from '../../registry/json.js';
import type { ProbeResult, ProbeFailure } from './facts.js';
import { sendRequest, UnansweredError } from './send-request.js';
import type { Progress, SendOptions } from './send-request.js';

/** The timeout of a request, ms. */
const TIMEOUT_MS = 3_000;
/** The maximum length of an answer that is shown. */
const MAX_SHOWN = 120;
/** The maximum number of tries of a request. */
const TRIES = 3;
const RETRY_AFTER_MS = 100;
/** Bounds the total time: requests that start later than this after the first one are not repeated. */
const RETRIES_END_MS = 10_000;

const NO_PROGRESS: Progress = { isConnected: false, isAnswered: false, received: 0, announced: null };

/** Sends requests to one registry, each on a connection of its own, and reports any kind of answer. */
export class RegistryProbe {
  readonly url: string;
  readonly #connection: Connection;
  readonly #options: SendOptions;
  readonly #hasCertificate: boolean;
  readonly #failures: ProbeFailure[] = [];
  readonly #startedAt = systemTime.now();
  #attempts = 0;
  #largestAnswer = 0;

  /** Throws OPTION_INVALID for files of TLS that cannot be used. */
  constructor(connection: Connection) {
    const tls = connection.url.startsWith('https:') ? new RegistryTls(connection.tls) : null;
    this.url = connection.url.replace(/\/+$/, '');
    this.#connection = connection;
    this.#hasCertificate = tls?.isShown === true;
    this.#options = tls === null ? {} : tls.options;
  }

  get hasToken(): boolean {
    return this.#connection.token !== undefined || this.#hasCertificate;
  }

  /** Every try until now, and those that failed. */
  get attempts(): { readonly count: number; readonly failures: readonly ProbeFailure[] } {
    return { count: this.#attempts, failures: [...this.#failures] };
  }

  /** Bytes of the largest answer that arrived as a whole. */
  get largestAnswer(): number {
    return this.#largestAnswer;
  }

  /** Headers and TLS options for requests that are sent elsewhere. */
  get options(): SendOptions {
    const { token } = this.#connection;
    return { ...this.#options, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
  }

  /** Sends the request again until there is an answer. Never rejects. */
  async get(path: string): Promise<ProbeResult> {
    let result = await this.getOnce(path);
    for (let attempts = 1; attempts < TRIES && result.kind === 'failure'; attempts += 1) {
      if (systemTime.now() - this.#startedAt > RETRIES_END_MS) break;
      await sleep(systemTime, RETRY_AFTER_MS);
      result = await this.getOnce(path);
    }
    return result;
  }

  /** One try; `address`: used instead of the resolved name of the URL. Never rejects. */
  async getOnce(path: string, address?: string): Promise<ProbeResult> {
    const result = await this.#request(this.url + path, address);
    if (address !== undefined) return result;
    this.#attempts += 1;
    if (result.kind === 'failure') this.#failures.push(result);
    else this.#largestAnswer = Math.max(this.#largestAnswer, result.size);
    return result;
  }

  /** The whole text at a path; null: it was not received. Never rejects. */
  async getText(path: string): Promise<string | null> {
    const options = { ...this.options, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const page = await sendRequest(this.url + path, options).catch(() => null);
    return page === null || page.response.statusCode !== 200 ? null : page.text;
  }

  /** The same request at another URL, with the same token. It does not count as a try. Never rejects. */
  getAt(url: string, path: string): Promise<ProbeResult> {
    return this.#request(url.replace(/\/+$/, '') + path);
  }

  async #request(url: string, address?: string): Promise<ProbeResult> {
    const requestedAt = systemTime.now();
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const { response, text, progress } = await sendRequest(url, { ...this.options, signal, address });
      const { statusCode: status = 0, headers } = response;
      const date = Date.parse(headers.date ?? '');
      return {
        kind: 'answer',
        status,
        contentType: headers['content-type'] ?? '',
        server: String(headers['server'] ?? headers['x-powered-by'] ?? ''),
        date: Number.isNaN(date) ? null : date,
        body: jsonOf(text),
        text: text.slice(0, MAX_SHOWN),
        size: progress.received,
        roundTripMs: systemTime.now() - requestedAt,
      };
    } catch (error) {
      return this.#failure(url, error);
    }
  }

  #failure(url: string, thrown: unknown): ProbeFailure {
    const error = thrown instanceof UnansweredError ? thrown.cause : thrown;
    const progress = thrown instanceof UnansweredError ? thrown.progress : NO_PROGRESS;
    const facts = { isSecure: url.startsWith('https:'), wasReached: false, isShown: this.#hasCertificate };
    if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError'))
      return { kind: 'failure', code: 'ETIMEDOUT', text: silenceText(progress), explanation: null, progress };
    const code = codeOf(error);
    // the explanation of the client is left to the caller, which has seen all tries
    const explanation = CONNECTION_LOST.test(code) ? null : (troubleOf(error, facts)?.message ?? null);
    return { kind: 'failure', code, text: messageOf(error) || code, explanation, progress };
  }
}

/** The connection ended before the answer. */
const CONNECTION_LOST = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/;

export const isConnectionLost = ({ code }: ProbeFailure): boolean => CONNECTION_LOST.test(code);

function silenceText({ isConnected, isAnswered, received, announced }: Progress): string {
  const within = `within ${TIMEOUT_MS} ms`;
  if (isAnswered)
    return `${received}${announced === null ? '' : ` of ${announced}`} bytes of an answer came, and no more ${within}`;
  return isConnected ? `it takes the connection, and no answer ${within}` : `no connection ${within}`;
}

/** True if TLS answers there. Its certificate is not verified. */
export function speaksTls(url: string): Promise<boolean> {
  const { port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: bareHost(url), port: Number(port || '80'), rejectUnauthorized: false });
    const settle = (speaks: boolean): void => {
      socket.destroy();
      resolve(speaks);
    };
    socket.setTimeout(TIMEOUT_MS, () => settle(false));
    socket.on('secureConnect', () => settle(true));
    // an alert is TLS too
    socket.on('error', (error) => settle(/alert/.test(messageOf(error))));
    socket.on('close', () => settle(false));
  });
}

/** The host of a URL in the form for connections and tools: IPv6 without brackets. */
export const bareHost = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');

/** Every address that the host of a URL resolves to; empty: it cannot be resolved. */
export async function addressesOf(url: string): Promise<readonly string[]> {
  const host = bareHost(url);
  if (isIP(host) !== 0) return [host];
  const found = await lookup(host, { all: true }).catch(() => []);
  return [...new Set(found.map(({ address }) => address))];
}

/** The code of an error, or of the first of several for one name. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return '';
}
