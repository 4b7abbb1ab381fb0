import { Agent, request as requestHttp } from 'node:http';
import type { ClientRequest, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import {
  answerText,
  beatAnswerMessage,
  drainAnswerMessage,
  formatCursor,
  messageOf,
  problemFrom,
  registeredMessage,
  RollcallError,
  serviceViewMessage,
} from '@rollcall/core';
import type {
  Beat,
  BeatAnswer,
  Drain,
  DrainAnswer,
  Message,
  Registered,
  Registration,
  Result,
  ServiceViewAnswer,
  ReceivedAnswer,
  Suspicion,
  Time,
} from '@rollcall/core';
import { notRegistryText, RegistryConnectError, troubleOf } from './connect-error.js';
import { HttpWatch } from './http-watch.js';
import { KeptConnection } from './keep-alive.js';
import type {
  Answer,
  BeatOptions,
  RegistryClient,
  PollRequest,
  Proof,
  Watch,
  WatchRequest,
  WatchSink,
} from './registry-client.js';
import { collect, jsonOf, MAX_ANSWER_BYTES } from './response.js';
import { RegistryTls } from './tls.js';
import type { SecureRequestOptions } from './tls.js';

export interface HttpRegistryClientOptions {
  /** `http://host:port` or `https://…`; a path is kept as a prefix. */
  readonly url: string;
  readonly time: Time;
  /** The longest time for a request, and for opening a watch; default 3,000 ms. */
  readonly timeoutMs?: number;
  /** A watch that is silent for longer counts as dead; default 25,000 ms (the registry sends a beat every 10 s). */
  readonly silenceMs?: number;
  /** An access token, if the registry requires one. It is not sent with requests that the secret of an instance authenticates. */
  readonly token?: string | undefined;
  /** For an `https://` URL: the CAs to trust and the certificate to present. Default: the CAs that Node trusts, and no certificate. */
  readonly tls?: RegistryTls | undefined;
}

const TIMEOUT_MS = 3_000;
const SILENCE_MS = 25_000;
/** Each connection uses the current certificates. */
const NO_SESSIONS = { maxCachedSessions: 0 };
/** The largest view of one service, in bytes. */
const MAX_VIEW_BYTES = 32 * 1024 * 1024;

interface ApiRequest<Value> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly proof?: Proof;
  /** True for a request that must not keep the process alive. */
  readonly isBackground?: boolean;
  /** True to use the kept connection: only for a request that may be sent twice. */
  readonly isKept?: boolean;
  /** How long the registry may delay its answer, for a long poll, in ms. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
  readonly maxBytes?: number;
  readonly read: (body: unknown) => Result<Value, unknown>;
}

/**
 * The HTTP client of one registry. Every request opens a connection of its own, except for beats that may share one, so that a heartbeat
 * proves that a new connection can be made. It asks the registry to keep the connection open and closes it itself after the answer, so that
 * the TIME_WAIT state is kept by this process and not by the registry. It does not follow redirects.
 */
export class HttpRegistryClient implements RegistryClient {
  readonly name: string;
  readonly #base: URL;
  readonly #time: Time;
  readonly #timeoutMs: number;
  readonly #silenceMs: number;
  readonly #kept: KeptConnection<Agent>;
  /** Null without TLS. */
  readonly #tls: RegistryTls | null;
  #secured: SecureRequestOptions | null = null;
  #wasReached = false;
  readonly #token: string | null;
  /** Functions that end the open requests. */
  readonly #open = new Set<() => void>();
  #isClosed = false;

  constructor({ url, time, timeoutMs = TIMEOUT_MS, silenceMs = SILENCE_MS, token, tls }: HttpRegistryClientOptions) {
    this.name = url;
    this.#base = new URL(url.endsWith('/') ? url : `${url}/`);
    this.#time = time;
    this.#token = token ?? null;
    this.#timeoutMs = timeoutMs;
    this.#silenceMs = silenceMs;
    this.#tls = this.#base.protocol === 'https:' ? (tls ?? new RegistryTls()) : null;
    this.#kept = new KeptConnection((options) =>
      this.#tls === null ? new Agent(options) : new HttpsAgent({ ...options, ...NO_SESSIONS }),
    );
  }

  register(registration: Registration): Answer<Registered> {
    return this.#send({ method: 'POST', path: 'register', body: registration, read: parserOf(registeredMessage) });
  }

  beat(proof: Proof, beat: Beat, { fresh }: BeatOptions = { fresh: true }): Answer<BeatAnswer> {
    const apiRequest = { method: 'POST', path: `${instancePath(proof.id)}/heartbeat`, body: beat, proof } as const;
    return this.#send({ ...apiRequest, isBackground: true, isKept: !fresh, read: parserOf(beatAnswerMessage) });
  }

  releaseConnection(): void {
    this.#kept.releaseConnection();
  }

  suspect(id: string, suspicion: Suspicion): Answer<null> {
    const path = `${instancePath(id)}/suspect`;
    return this.#send({ method: 'POST', path, body: suspicion, isBackground: true, read: parseNoBody });
  }

  drain(proof: Proof, drain: Drain): Answer<DrainAnswer> {
    const path = `${instancePath(proof.id)}/drain`;
    return this.#send({ method: 'POST', path, body: drain, proof, read: parserOf(drainAnswerMessage) });
  }

  leave(proof: Proof): Answer<null> {
    return this.#send({ method: 'DELETE', path: instancePath(proof.id), proof, read: parseNoBody });
  }

  poll({ namespace, service, revision, waitMs, signal }: PollRequest): Answer<ServiceViewAnswer> {
    const wait = revision === null ? {} : { revision: String(revision), waitMs: String(waitMs) };
    const path = `services/${service}?${new URLSearchParams({ namespace, ...wait }).toString()}`;
    const limits = { waitMs: revision === null ? 0 : waitMs, maxBytes: MAX_VIEW_BYTES, signal };
    return this.#send({ method: 'GET', path, isBackground: true, ...limits, read: parserOf(serviceViewMessage) });
  }

  watch(watchRequest: WatchRequest, sink: WatchSink): Watch {
    const { cursor, line } = watchRequest;
    const resume = cursor === null ? {} : { 'last-event-id': formatCursor(cursor) };
    const headers = { accept: 'text/event-stream', ...resume, ...this.#bearer(line) };
    const request = this.#request('GET', watchPath(watchRequest), headers);
    request.on('socket', (socket) => socket.unref());
    const watch = new HttpWatch(request, {
      time: this.#time,
      timeoutMs: this.#timeoutMs,
      silenceMs: this.#silenceMs,
      sink,
      answered: () => this.#reached(),
      troubleOf: (error) => this.#troubleOf(error),
      ended: () => this.#open.delete(close),
    });
    const close = (): void => watch.close();
    this.#open.add(close);
    if (this.#isClosed) request.destroy();
    return watch;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const end of this.#open) end();
    this.#kept.releaseConnection();
    return Promise.resolve();
  }

  async #send<Value>(apiRequest: ApiRequest<Value>): Answer<Value> {
    const answer = await this.#exchange(apiRequest);
    const { status, text } = answer;
    const body = jsonOf(text);
    if (status < 200 || status > 299) return { ok: false, problem: problemFrom(status, body, answer) };
    const read = apiRequest.read(body);
    if (read.ok) return { ok: true, value: read.value };
    throw new RollcallError(
      'PROTOCOL',
      `${this.name} answered ${apiRequest.path} with something else than a registry does: ${answerText(answer)}. Is it one?`,
      { cause: new RegistryConnectError(notRegistryText(answer)) },
    );
  }

  #exchange(
    apiRequest: ApiRequest<unknown>,
    leftMs = this.#timeoutMs + (apiRequest.waitMs ?? 0),
  ): Promise<ReceivedAnswer> {
    if (this.#isClosed || apiRequest.signal?.aborted === true) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      const request = this.#request(
        apiRequest.method,
        apiRequest.path,
        this.#bearer(apiRequest.proof ?? null),
        apiRequest.isKept,
      );
      const until = this.#time.now() + leftMs;
      let isOver = false;
      const end = (): void => {
        isOver = true;
        timer.cancel();
        this.#open.delete(abort);
        apiRequest.signal?.removeEventListener('abort', abort);
      };
      const fail = (error: RollcallError): void => {
        end();
        request.destroy();
        reject(error);
      };
      const abort = (): void => fail(this.#closedError());
      const broke = (error: Error): void => {
        if (isOver || !request.reusedSocket) return fail(this.#broken(error));
        end();
        request.destroy();
        resolve(this.#exchange({ ...apiRequest, isKept: false }, Math.max(0, until - this.#time.now())));
      };
      const late = (): void => fail(this.#unreachable(`no answer within ${Math.round(leftMs)} ms`));
      const timer = this.#time.setTimer(leftMs, late, { background: true });
      this.#open.add(abort);
      apiRequest.signal?.addEventListener('abort', abort);
      if (apiRequest.isBackground === true) request.on('socket', (socket) => socket.unref());
      request.on('error', broke);
      request.on('response', (response) => {
        this.#reached();
        collect(response, apiRequest.maxBytes ?? MAX_ANSWER_BYTES, (text) => {
          if (text === null) return broke(new Error('the answer was truncated or too long'));
          end();
          resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text });
        });
      });
      request.end(apiRequest.body === undefined ? undefined : JSON.stringify(apiRequest.body));
    });
  }

  /** Sends `connection: keep-alive` also without an agent, so that the registry lets us close the connection. */
  #request(method: string, path: string, headers: Readonly<Record<string, string>>, isKept = false): ClientRequest {
    const url = new URL(`api/v1/${path}`, this.#base);
    const body = method === 'POST' ? { 'content-type': 'application/json' } : {};
    const secured = this.#secure();
    const options: RequestOptions = {
      method,
      agent: isKept ? this.#kept.agent : false,
      headers: { connection: 'keep-alive', ...body, ...headers },
    };
    return secured === null ? requestHttp(url, options) : requestHttps(url, { ...options, ...secured });
  }

  /** Drops the kept connection if the certificates have changed. */
  #secure(): SecureRequestOptions | null {
    const secured = this.#tls?.options ?? null;
    if (this.#secured !== null && this.#secured !== secured) this.#kept.releaseConnection();
    this.#secured = secured;
    return secured;
  }

  #reached(): void {
    this.#wasReached = true;
  }

  #troubleOf(error: unknown): RegistryConnectError | null {
    const [tls, wasReached] = [this.#tls, this.#wasReached];
    return troubleOf(error, { isSecure: tls !== null, wasReached, isShown: tls?.isShown === true });
  }

  #broken(error: Error): RollcallError {
    const connectError = this.#troubleOf(error);
    return this.#unreachable(messageOf(connectError ?? error), connectError ?? error);
  }

  /**
   * An instance authenticates with its secret, which is as strong as the token of its registration; other requests send
   * the token.
   */
  #bearer(proof: Proof | null): Readonly<Record<string, string>> {
    const shown = proof === null ? this.#token : proof.secret;
    return shown === null ? {} : { authorization: `Bearer ${shown}` };
  }

  #unreachable(why: string, cause?: unknown): RollcallError {
    const text = `No answer from the registry at ${this.name}: ${why.replace(/\.$/, '')}.`;
    return new RollcallError('REGISTRY_UNREACHABLE', text, { retryable: true, cause });
  }

  #closedError(): RollcallError {
    return new RollcallError('CLOSED', `The client of the registry at ${this.name} is closed.`);
  }
}

function parserOf<Value>(message: Message<Value>): (body: unknown) => Result<Value, unknown> {
  return (body) => message.parse(body);
}

/** The parser for answers without a body. */
function parseNoBody(): Result<null, unknown> {
  return { ok: true, value: null };
}

function instancePath(id: string): string {
  return `instances/${encodeURIComponent(id)}`;
}

function watchPath({ namespace, services, resume, line, beatMs }: WatchRequest): string {
  const query = new URLSearchParams({ namespace });
  for (const service of services) query.append('service', service);
  for (const service of resume) query.append('resume', service);
  if (line !== null) query.append('instance', line.id);
  if (beatMs !== undefined) query.append('beatMs', String(beatMs));
  return `watch?${query.toString()}`;
}
