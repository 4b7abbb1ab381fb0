import { ATTEMPT_KEY, DEADLINE_KEY, routeNameOf, TARGET_KEY } from '@rollcall/core';
import type { Carrier } from '../tracing.js';
import type { Target, Terms } from '../transport.js';
import { Upload } from './upload.js';

/** One HTTP request, prepared for any number of attempts. */
export interface HttpRequest {
  readonly method: string;
  /** The path and the query. */
  readonly path: string;
  /** Names and values, alternating. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array | Upload | Blob | FormData | null;
}

/** The idempotent methods (RFC 9110, 9.2.2), except TRACE. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

export function isIdempotent(request: HttpRequest): boolean {
  return IDEMPOTENT.has(request.method);
}

/** A stream can be read only once: until its first byte was requested, it can still be sent. */
export function isRepeatable(request: HttpRequest): boolean {
  return !(request.body instanceof Upload && request.body.isStarted);
}

/** True if the body can be read only once. Then an attempt that has begun to send it is never replaced by another. */
export function isOnce(request: HttpRequest): boolean {
  return request.body instanceof Upload;
}

/** Headers of the connection or of this client: those of a caller are left out. */
export const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  ATTEMPT_KEY,
  DEADLINE_KEY,
  TARGET_KEY,
  'transfer-encoding',
  'upgrade',
]);

/**
 * Converts the arguments of `fetch` to a request. Bodies that `fetch` would convert to bytes are converted, so that they can be sent again.
 * Throws or rejects like `fetch`: with a TypeError and its cause.
 */
export function httpRequest(path: string, init: RequestInit = {}): HttpRequest | Promise<HttpRequest> {
  const method = methodOf(init.method);
  const place = pathOf(path);
  const headers = headersOf(init.headers);
  const { body } = init;
  if (body === undefined || body === null) return { method, path: place, headers, body: null };
  if (method === 'GET' || method === 'HEAD') throw new TypeError(`A ${method} request has no body.`);
  if (typeof body === 'string') return withBody({ method, path: place, headers, body }, 'text/plain;charset=UTF-8');
  if (body instanceof Uint8Array) return { method, path: place, headers, body };
  if (body instanceof ReadableStream) return { method, path: place, headers, body: new Upload(body) };
  return encoded({ method, path: place, headers, body: null }, body);
}

/** The headers of the request and of the attempt; `isDirected`: the instance knows its id and refuses requests for others. */
export function headersWith(request: HttpRequest, terms: Terms, target: Target, isDirected: boolean): string[] {
  const carrier = terms.carrier ?? null;
  const headers = carrier === null ? [...request.headers] : headersWithout(request.headers, carrier);
  if (terms.remainingMs < Infinity) headers.push(DEADLINE_KEY, String(Math.ceil(terms.remainingMs)));
  if (terms.attempt > 1) headers.push(ATTEMPT_KEY, String(terms.attempt));
  if (isDirected) headers.push(TARGET_KEY, target.instance.id);
  return headers;
}

/** The headers, with those of the trace carrier in place of headers with the same name, since duplicates would be invalid. */
function headersWithout(headers: readonly string[], carrier: Carrier): string[] {
  const others = headers.filter((_word, index) => !Object.hasOwn(carrier, (headers[index & ~1] ?? '').toLowerCase()));
  return [...others, ...Object.entries(carrier).flat()];
}

/** The name for the statistics of a request, under which its instances publish its policy. */
export function routeOf({ method, path }: HttpRequest): string {
  return routeNameOf(method, path);
}

async function encoded(request: HttpRequest, body: NonNullable<RequestInit['body']>): Promise<HttpRequest> {
  const whole = new Response(body);
  const type = whole.headers.get('content-type');
  const bytes = new Uint8Array(await whole.arrayBuffer());
  return withBody({ ...request, body: bytes }, type);
}

function withBody(request: HttpRequest, type: string | null): HttpRequest {
  const isTyped = request.headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type');
  return type === null || isTyped ? request : { ...request, headers: [...request.headers, 'content-type', type] };
}

function methodOf(method = 'GET'): string {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(method))
    throw new TypeError(`${JSON.stringify(method)} is not an HTTP method.`);
  const upper = method.toUpperCase();
  return IDEMPOTENT.has(upper) || upper === 'POST' ? upper : method;
}

/** Normalised as in a browser, without a fragment. */
function pathOf(path: string): string {
  if (!path.startsWith('/') || path.startsWith('//')) {
    throw new TypeError(`A path has to begin with one slash; received ${JSON.stringify(path.slice(0, 60))}.`);
  }
  if (/^[\w\-./~?=&%]*$/.test(path) && !path.includes('/.')) return path;
  const url = new URL(path, 'http://service');
  return url.pathname + url.search;
}

function headersOf(init: RequestInit['headers']): readonly string[] {
  if (init === undefined) return [];
  const flat: string[] = [];
  // Headers checks names and values, and joins repeated names
  for (const [name, value] of new Headers(init)) if (!OWN_HEADERS.has(name)) flat.push(name, value);
  return flat;
}
