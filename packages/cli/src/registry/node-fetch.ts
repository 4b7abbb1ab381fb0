import { Agent, request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';

/** The used part of a response. */
export interface FetchAnswer extends Pick<Response, 'ok' | 'status' | 'text'> {
  /** Its content-type; empty: it gave none. */
  readonly type: string;
}

/** The used part of `fetch`. */
export type Fetcher = (
  url: string,
  init: {
    readonly method?: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
  },
) => Promise<FetchAnswer>;

/** A connection was opened, and no answer arrived within the timeout. */
export class UnansweredError extends Error {}

/** The maximum number of connections to one registry: fast enough, without a burst. */
export const MAX_SOCKETS = 16;
/** A registry never sends a larger answer. */
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * The used part of `fetch`, by Node's own HTTP: loading the global one takes longer than a whole `rollcall ls`.
 * Connections are kept for the next request and do not keep the process alive. Redirects are not followed.
 */
export function plainFetch(): Fetcher {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  return (url, init) => sendRequest(request, url, { agent }, init);
}

/** `request` of node:http or node:https, as a Fetcher with these options. */
export function sendRequest(
  send: typeof request,
  url: string,
  options: RequestOptions,
  { method = 'GET', headers, body, signal }: Parameters<Fetcher>[1],
): Promise<FetchAnswer> {
  return new Promise((resolve, reject) => {
    let isConnected = false;
    const fail = (error: Error): void =>
      reject(isConnected && signal.aborted ? new UnansweredError('no answer in time', { cause: error }) : error);
    const sent = send(url, { ...options, method, headers, signal }, (response) => {
      collect(response).then(resolve, fail);
    });
    sent.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => (isConnected = true));
      else isConnected = true;
    });
    sent.on('error', fail);
    sent.end(body);
  });
}

function collect(response: IncomingMessage): Promise<FetchAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    response.on('data', (bytes: Uint8Array) => {
      chunks.push(bytes);
      size += bytes.length;
      if (size > MAX_BYTES) response.destroy(new Error(`The answer has more than ${MAX_BYTES} bytes.`));
    });
    response.on('error', reject);
    response.on('end', () => {
      const { statusCode: status = 0 } = response;
      const text = Buffer.concat(chunks).toString('utf8');
      const type = response.headers['content-type'] ?? '';
      resolve({ ok: status >= 200 && status < 300, status, type, text: () => Promise.resolve(text) });
    });
  });
}
