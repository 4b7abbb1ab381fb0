import { addressOf, isRollcallError } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { OneCall } from '../../call/policy/call-options.js';

/** The part of a client that `fetch` by name needs. */
export interface FetchParts {
  /** One call, which returns redirects as responses. */
  call(service: string, path: string, init: RequestInit, options: OneCall): Promise<Response>;
  /** The instances of the service. */
  instances(service: string): readonly Instance[];
  /** The default deadline of a call to the service, ms. */
  deadlineMs(service: string): number;
  now(): number;
}

/** Redirect statuses (Fetch, 2.2.3). */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** The limit of redirects in `fetch`. */
const MAX_REDIRECTS = 20;
const MODES: ReadonlySet<unknown> = new Set(['follow', 'manual', 'error', undefined]);
/** Headers that describe a body, removed with the body. */
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];

/**
 * `fetch` on a service by its name, with the rules of `fetch` (Fetch, 4.4) for redirects and signals. A redirect within the service is
 * followed, through the balancer; a redirect out of the service is returned as the response, since following it would bypass the balancer
 * and call an unknown server. All requests share the deadline of the call. A signal in `init` rejects with its reason, as in `fetch`; one
 * in `options` with CANCELLED.
 */
export async function fetchByName(
  parts: FetchParts,
  service: string,
  path: string,
  { init, options }: { readonly init: RequestInit; readonly options: OneCall },
): Promise<Response> {
  const mode = init.redirect;
  if (!MODES.has(mode)) throw new TypeError(`redirect is "follow", "manual" or "error"; received ${String(mode)}.`);
  try {
    const callOptions = withSignal(options, init.signal ?? null);
    const startedAt = parts.now();
    const response = await parts.call(service, path, init, callOptions);
    if (!REDIRECTS.has(response.status) || mode === 'manual') return response;
    if (mode === 'error') return await refuse(response, `${service} redirects ${path}, and redirect is "error".`);
    const leftMs = (): number => leftOf(options, parts.deadlineMs(service), parts.now() - startedAt);
    return await new RedirectFollower(parts, service, callOptions, leftMs).follow(response, path, init);
  } catch (error) {
    if (init.signal?.aborted === true && isRollcallError(error) && error.code === 'CANCELLED') throw init.signal.reason;
    throw error;
  }
}

/** Follows the redirects of one call. */
class RedirectFollower {
  readonly #parts: FetchParts;
  readonly #service: string;
  readonly #options: OneCall;
  readonly #leftMs: () => number;

  // eslint-disable-next-line max-params -- made once, above
  constructor(parts: FetchParts, service: string, options: OneCall, leftMs: () => number) {
    this.#parts = parts;
    this.#service = service;
    this.#options = options;
    this.#leftMs = leftMs;
  }

  async follow(first: Response, path: string, firstInit: RequestInit): Promise<Response> {
    let [response, init, url] = [first, firstInit, new URL(path, `http://${this.#service}`)];
    // `count` is the number of requests made so far.
    for (let count = 1; ; count += 1) {
      if (!REDIRECTS.has(response.status)) return markRedirected(response, url, count);
      const location = response.headers.get('location');
      if (location === null) return markRedirected(response, url, count);
      const next = URL.canParse(location, url.href) ? new URL(location, url) : null;
      if (next === null) return await refuse(response, `${this.#service} redirects to an invalid URL.`);
      if (!this.#isWithin(next)) return markRedirected(response, url, count);
      if (count > MAX_REDIRECTS)
        return await refuse(response, `${this.#service} redirects more than ${MAX_REDIRECTS} times.`);
      if (response.status !== 303 && init.body instanceof ReadableStream)
        return await refuse(
          response,
          `${this.#service} redirects a request whose body is a stream, which cannot be sent again.`,
        );
      init = initAfter(response.status, init);
      url = new URL(`http://${this.#service}${next.pathname}${next.search}`);
      await drop(response);
      response = await this.#call(url, init);
    }
  }

  #call({ pathname, search }: URL, init: RequestInit): Promise<Response> {
    const options = { ...this.#options, inheritedMs: this.#leftMs() };
    return this.#parts.call(this.#service, pathname + search, init, options);
  }

  /**
   * True for the name of the service, and for the address of one of its instances, which a server uses in redirects if it knows no other
   * name.
   */
  #isWithin(url: URL): boolean {
    const isTls = url.protocol === 'https:';
    if (!isTls && url.protocol !== 'http:') return false;
    const endpoints = this.#parts
      .instances(this.#service)
      .flatMap((instance) => instance.endpoints)
      .filter(({ protocol, tls }) => protocol === 'http' && tls === isTls);
    const isNamed = url.host === this.#service || url.host === `${this.#service}.rollcall`;
    if (isNamed) return !isTls || endpoints.length > 0;
    return endpoints.some((endpoint) => hostOf(`${url.protocol}//${addressOf(endpoint)}`) === url.host);
  }
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : '');

/** Derives the next request from the last one, as `fetch` does. */
function initAfter(status: number, init: RequestInit): RequestInit {
  const method = (init.method ?? 'GET').toUpperCase();
  const isPost = (status === 301 || status === 302) && method === 'POST';
  const isOther = status === 303 && method !== 'GET' && method !== 'HEAD';
  if (!isPost && !isOther) return init;
  const headers = new Headers(init.headers);
  for (const name of BODY_HEADERS) headers.delete(name);
  return { ...init, method: 'GET', body: null, headers };
}

/** `count` is the number of requests made so far. */
function markRedirected(response: Response, url: URL, count: number): Response {
  if (count < 2) return response;
  // a constructed Response has neither
  Object.defineProperty(response, 'redirected', { value: true, configurable: true });
  Object.defineProperty(response, 'url', { value: url.href, configurable: true });
  return response;
}

async function refuse(response: Response, text: string): Promise<never> {
  await drop(response);
  throw new TypeError(text);
}

/** Releases its connection for other requests. */
async function drop(response: Response): Promise<void> {
  await response.body?.cancel();
}

/** The remaining time of the deadline of the first call, ms. */
function leftOf(options: OneCall, usualMs: number, spentMs: number): number {
  return Math.max(0, Math.min(options.inheritedMs ?? Infinity, options.deadlineMs ?? usualMs) - spentMs);
}

/** Adds the signal of `init` to that of the options: each ends the call. */
function withSignal(options: OneCall, signal: AbortSignal | null): OneCall {
  if (signal === null || options.signal === undefined) return options;
  return { ...options, signal: AbortSignal.any([options.signal, signal]) };
}
