import { stringify } from 'node:querystring';
import type { Dispatcher } from 'undici';
import { OWN_HEADERS } from '../../transport/http/message.js';
import type { HttpRequest } from '../../transport/http/message.js';
import { Upload } from '../../transport/http/upload.js';
import type { SingleUseBody } from '../../transport/http/upload.js';

type Options = Dispatcher.DispatchOptions;

/** Methods whose request has no body. */
const METHODS_WITHOUT_BODY = new Set(['GET', 'HEAD']);

/**
 * Converts the request of a dispatcher to a request of this client. A body that can be read only once and declares a short length is read
 * first, so that the request can be repeated: `fetch` passes every body as a generator. A longer body is streamed, in a single attempt.
 */
export function dispatched(options: Options, bufferedBytes: number): HttpRequest | Promise<HttpRequest> {
  const { method, body } = options;
  const path = pathOf(options);
  const given = flatHeaders(options.headers);
  const headers = withoutOwnHeaders(given);
  if (body === null || body === undefined) return { method, path, headers, body: null };
  if (typeof body === 'string' || body instanceof Uint8Array) return { method, path, headers, body };
  const plain: unknown = body;
  if (plain instanceof ArrayBuffer) return { method, path, headers, body: new Uint8Array(plain) };
  if (ArrayBuffer.isView(plain)) {
    return { method, path, headers, body: new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength) };
  }
  if (!isSingleUse(plain)) return { method, path, headers, body: plain as Blob | FormData };
  const upload = new Upload(plain);
  const length = lengthOf(given);
  if (length !== null && length <= bufferedBytes)
    return readBody({ method, path, headers, body: null }, upload, length);
  if (length !== null && !METHODS_WITHOUT_BODY.has(method)) headers.push('content-length', String(length));
  return { method, path, headers, body: upload };
}

/** The headers without those that this client sets itself. */
function withoutOwnHeaders(headers: readonly string[]): string[] {
  const left: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!OWN_HEADERS.has(name)) left.push(name, headers[i + 1] ?? '');
  }
  return left;
}

/** Reads a body of this length; a longer body is not read to its end, which may never come. */
async function readBody(request: HttpRequest, upload: Upload, length: number): Promise<HttpRequest> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of upload) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.byteLength;
    if (size > length) break;
    chunks.push(bytes);
  }
  if (size !== length)
    throw new TypeError(`The body of the request is not ${length} bytes long, as its content-length says.`);
  return { ...request, body: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks) };
}

function pathOf({ path, query }: Options): string {
  if (query === undefined || query === null) return path;
  if (path.includes('?') || path.includes('#'))
    throw new TypeError('Set the query in the path or in `query`, not in both.');
  const text = stringify(query);
  return text === '' ? path : `${path}?${text}`;
}

/** Lower-case names and values, alternating. */
function flatHeaders(headers: Options['headers']): string[] {
  const flat: string[] = [];
  if (headers === null || headers === undefined) return flat;
  if (Array.isArray(headers)) {
    for (let i = 0; i < headers.length; i += 2) add(flat, headers[i] ?? '', headers[i + 1]);
  } else if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<[string, HeaderValue]>) add(flat, name, value);
  } else {
    for (const [name, value] of Object.entries(headers)) add(flat, name, value);
  }
  return flat;
}

/** Includes numbers, which undici converts to text although its types forbid them. */
type HeaderValue = string | readonly string[] | null | undefined;

/** Null is an empty value, as in undici. */
function add(flat: string[], name: string, value: HeaderValue): void {
  if (value === undefined) return;
  if (value === null) flat.push(name.toLowerCase(), '');
  else if (typeof value !== 'object') flat.push(name.toLowerCase(), value);
  else for (const one of value) flat.push(name.toLowerCase(), one);
}

function lengthOf(headers: readonly string[]): number | null {
  const at = headers.findIndex((header, index) => index % 2 === 0 && header === 'content-length');
  const length = at < 0 ? NaN : Number(headers[at + 1]);
  return Number.isSafeInteger(length) && length >= 0 ? length : null;
}

/** True for streams and generators; false for a Blob or a FormData, which undici can send repeatedly. */
function isSingleUse(body: unknown): body is SingleUseBody {
  if (typeof body !== 'object' || body === null) return false;
  if (body instanceof ReadableStream || Symbol.asyncIterator in body) return true;
  return Symbol.iterator in body && !('getAll' in body);
}
