import { request as plainRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import type { LookupFunction } from 'node:net';

/** The maximum size of an answer. */
const MAX_BYTES = 64 * 1_048_576;

/** The progress of a request over HTTP. */
export interface Progress {
  /** True if the connection was opened, including the handshake over TLS. */
  isConnected: boolean;
  /** True once the head of an answer has arrived. */
  isAnswered: boolean;
  /** Bytes of the body that arrived. */
  received: number;
  /** The content length in the head; null: none. */
  announced: number | null;
}

export interface HttpExchange {
  readonly response: IncomingMessage;
  readonly text: string;
  readonly progress: Progress;
}

/** A request without an answer, with its progress. */
export class UnansweredError extends Error {
  readonly progress: Progress;

  constructor(cause: unknown, progress: Progress) {
    super('unanswered', { cause });
    this.progress = progress;
  }
}

export interface SendOptions extends RequestOptions {
  /** Connect to this address, whatever the name in the URL leads to. */
  readonly address?: string | undefined;
}

/** GETs a URL on a connection of its own. Rejects with Unanswered. */
export function sendRequest(url: string, { address, ...options }: SendOptions): Promise<HttpExchange> {
  const request = url.startsWith('https:') ? secureRequest : plainRequest;
  const progress: Progress = { isConnected: false, isAnswered: false, received: 0, announced: null };
  const lookupOptions = address === undefined ? {} : { lookup: lookupOf(address) };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(new UnansweredError(error, progress));
    const sent = request(url, { ...options, ...lookupOptions, agent: false }, (response) => {
      const chunks: Uint8Array[] = [];
      progress.isAnswered = true;
      progress.announced = lengthOf(response.headers['content-length']);
      response.on('data', (bytes: Uint8Array) => {
        progress.received += bytes.length;
        if (progress.received > MAX_BYTES) response.destroy(new Error(`its answer has more than ${MAX_BYTES} bytes`));
        else chunks.push(bytes);
      });
      response.on('error', fail);
      response.on('end', () => resolve({ response, text: Buffer.concat(chunks).toString('utf8'), progress }));
    });
    sent.on('socket', (socket) => {
      socket.once(url.startsWith('https:') ? 'secureConnect' : 'connect', () => {
        progress.isConnected = true;
      });
    });
    sent.on('error', fail);
    sent.end();
  });
}

function lookupOf(address: string): LookupFunction {
  const family = isIPv6(address) ? 6 : 4;
  return (_hostname, { all }, done) => {
    if (all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };
}

const lengthOf = (header: string | undefined): number | null =>
  header !== undefined && /^\d+$/.test(header) ? Number(header) : null;
