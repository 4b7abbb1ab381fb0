import { signal } from '@preact/signals';
import type { Clock } from './clock.js';

/** A refusal of the registry, with its own text. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly fix: string;

  constructor(status: number, code: string, { detail, fix }: { readonly detail: string; readonly fix: string }) {
    super(detail);
    this.status = status;
    this.code = code;
    this.fix = fix;
  }
}

const TOKEN_KEY = 'rollcall-token';
/** The maximum number of cached answers: enough for one screen and the previous one. */
const MAX_CACHED = 16;

/**
 * The registry's API, relative to this page: it works behind any path prefix. An access token stays in the
 * session storage of this tab and is sent only in the header.
 */
export class Api {
  /** True if a token is required that is missing or not valid any more. */
  readonly isLocked = signal(false);
  readonly #clock: Clock;
  #token: string | null = storedToken();
  /** Answers by request, the oldest first: the registry need not send unchanged ones again. */
  readonly #cache = new Map<string, { readonly tag: string; readonly answer: unknown }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get token(): string | null {
    return this.#token;
  }

  unlock(token: string): void {
    this.#token = token.trim();
    this.#cache.clear();
    storeToken(this.#token);
    this.isLocked.value = false;
  }

  /**
   * Rejects with a Refusal, or with a TypeError without an answer. An unchanged answer is the same object as before.
   */
  async get<Answer>(path: string, abortSignal?: AbortSignal): Promise<Answer> {
    const cached = this.#cache.get(path);
    const response = await this.open(path, {
      ...(abortSignal === undefined ? {} : { signal: abortSignal }),
      headers: cached === undefined ? {} : { 'if-none-match': cached.tag },
    });
    const isSame = response.status === 304 && cached !== undefined;
    const answer = (isSame ? cached.answer : await response.json()) as Answer;
    this.#remember(path, isSame ? cached.tag : response.headers.get('etag'), answer);
    return answer;
  }

  #remember(path: string, tag: string | null, answer: unknown): void {
    this.#cache.delete(path);
    if (tag !== null) this.#cache.set(path, { tag, answer });
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > MAX_CACHED && oldest !== undefined) this.#cache.delete(oldest);
  }

  /** An action of an operator. The header proves that it does not come from a foreign page: a form cannot send it. */
  async act(method: 'PATCH' | 'DELETE' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const headers: Record<string, string> = { 'x-rollcall-operator': '1' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await this.open(path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return text === '' ? null : JSON.parse(text);
  }

  /** The response, once it is known to be good. */
  async open(path: string, init: RequestInit = {}): Promise<Response> {
    const { token } = this;
    const headers = new Headers(init.headers);
    if (token !== null) headers.set('authorization', `Bearer ${token}`);
    const response = await fetch(path, { ...init, headers, cache: 'no-store' });
    this.#clock.adjust(response.headers.get('date'));
    if (response.ok || response.status === 304) return response;
    const refusal = await refusalOf(response);
    // after too many failures, here or in another window of this address, ask for a valid token, too
    const isRefused = response.status === 401 || (response.status === 429 && /wrong token/.test(refusal.message));
    if (isRefused && token === this.token) this.isLocked.value = true;
    throw refusal;
  }
}

/** A browser may refuse to store the token: then it is requested again after a reload. */
function storedToken(): string | null {
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

function storeToken(token: string): void {
  try {
    sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // see above
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const text = await response.text();
  try {
    const { code = '', detail = '', fix = '' } = JSON.parse(text) as Partial<Record<'code' | 'detail' | 'fix', string>>;
    return new Refusal(response.status, code, { detail, fix });
  } catch {
    return new Refusal(response.status, '', { detail: `${response.status} ${response.statusText}`, fix: '' });
  }
}

/** This registry's own address, as this browser reached it. */
export function registryUrl(): string {
  return new URL('.', window.location.href).href.replace(/[?#].*$/, '').replace(/\/$/, '');
}
