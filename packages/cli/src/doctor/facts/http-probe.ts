import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { RegistryTls, troubleOf } from '@rollcall/client';
import { messageOf, sleep, systemTime } from '@rollcall/core';
import type { Way } from '../../registry/connection.js';
import { jsonOf } from '../../registry/json.js';
import type { Asked, Failure } from './facts.js';
import { sendRequest, Unanswered } from './send-request.js';
import type { Progress, SendOptions } from './send-request.js';

/** The timeout of a request, ms. */
const TIMEOUT_MS = 3_000;
/** The maximum length of an answer that is shown. */
const SHOWN = 120;
/** Tries of a request until it is answered. */
const TRIES = 3;
const RETRY_AFTER_MS = 100;
/** Since the first request; later ones are not repeated, so that the total time is bounded. */
const RETRIES_END_MS = 10_000;

const NOWHERE: Progress = { isConnected: false, isAnswered: false, received: 0, announced: null };

/** Sends requests to one registry, each on a connection of its own, and reports any kind of answer. */
export class Asker {
  readonly url: string;
  readonly #way: Way;
  readonly #options: SendOptions;
  readonly #isShown: boolean;
  readonly #failures: Failure[] = [];
  readonly #beganAt = systemTime.now();
  #tries = 0;
  #largest = 0;

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

  /** Every try until now, and those that failed. */
  get tries(): { readonly asked: number; readonly failures: readonly Failure[] } {
    return { asked: this.#tries, failures: [...this.#failures] };
  }

  /** Bytes of the largest answer that arrived as a whole. */
  get largestAnswer(): number {
    return this.#largest;
  }

  /** Headers and TLS options for requests that are sent elsewhere. */
  get options(): SendOptions {
    const { token } = this.#way;
    return { ...this.#options, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
  }

  /** Tries several times until there is an answer. Never rejects. */
  async ask(path: string): Promise<Asked> {
    let asked = await this.once(path);
    for (let tries = 1; tries < TRIES && asked.kind === 'failure'; tries += 1) {
      if (systemTime.now() - this.#beganAt > RETRIES_END_MS) break;
      await sleep(systemTime, RETRY_AFTER_MS);
      asked = await this.once(path);
    }
    return asked;
  }

  /** One try; `address`: used instead of the resolved name of the URL. Never rejects. */
  async once(path: string, address?: string): Promise<Asked> {
    const asked = await this.#request(this.url + path, address);
    if (address !== undefined) return asked;
    this.#tries += 1;
    if (asked.kind === 'failure') this.#failures.push(asked);
    else this.#largest = Math.max(this.#largest, asked.size);
    return asked;
  }

  /** The whole text at a path; null: it was not received. Never rejects. */
  async pageText(path: string): Promise<string | null> {
    const options = { ...this.options, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const page = await sendRequest(this.url + path, options).catch(() => null);
    return page === null || page.response.statusCode !== 200 ? null : page.text;
  }

  /** The same request at another URL, with the same token. It does not count as a try. Never rejects. */
  elsewhere(url: string, path: string): Promise<Asked> {
    return this.#request(url.replace(/\/+$/, '') + path);
  }

  async #request(url: string, address?: string): Promise<Asked> {
    const askedAt = systemTime.now();
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
        text: text.slice(0, SHOWN),
        size: progress.received,
        roundTripMs: systemTime.now() - askedAt,
      };
    } catch (error) {
      return this.#failure(url, error);
    }
  }

  #failure(url: string, thrown: unknown): Failure {
    const error = thrown instanceof Unanswered ? thrown.cause : thrown;
    const progress = thrown instanceof Unanswered ? thrown.progress : NOWHERE;
    const facts = { isSecure: url.startsWith('https:'), wasReached: false, isShown: this.#isShown };
    if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError'))
      return { kind: 'failure', code: 'ETIMEDOUT', text: silenceText(progress), explanation: null, progress };
    const code = codeOf(error);
    // the explanation of the client is left to the caller, which has seen all tries
    const trouble = CUT.test(code) ? null : (troubleOf(error, facts)?.message ?? null);
    return { kind: 'failure', code, text: messageOf(error) || code, explanation: trouble, progress };
  }
}

/** The connection ended before the answer. */
const CUT = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/;

export const isCut = ({ code }: Failure): boolean => CUT.test(code);

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
    const done = (does: boolean): void => {
      socket.destroy();
      resolve(does);
    };
    socket.setTimeout(TIMEOUT_MS, () => done(false));
    socket.on('secureConnect', () => done(true));
    // an alert is TLS too
    socket.on('error', (error) => done(/alert/.test(messageOf(error))));
    socket.on('close', () => done(false));
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
