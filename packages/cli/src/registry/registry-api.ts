import {
  answerText,
  AWAY_STATES,
  DEFAULT_NAMESPACE,
  instanceMessage,
  isRecord,
  isRegistryUrl,
  messageOf,
  problemFrom,
  redacted,
  registryEventMessage,
  RollcallError,
} from '@rollcall/core';
import type { Instance, InstanceId, InstancePatch, RegistryEvent, State, ReceivedAnswer } from '@rollcall/core';
import type { Direction, Heartbeats } from './heartbeats.js';
import { jsonOf, numberAt, recordsAt, textAt } from './json.js';
import type { Json } from './json.js';
import { plainFetch, UnansweredError } from './node-fetch.js';
import type { Fetcher } from './node-fetch.js';

/** The timeout of a request, ms. */
const TIMEOUT_MS = 5_000;
/** Requests at the same time. */
const CONCURRENCY = 16;

export const DEFAULT_URL = 'http://127.0.0.1:1337';

/** Throws OPTION_INVALID for an invalid URL of a registry. */
export function checkRegistryUrl(url: string): void {
  if (isRegistryUrl(url)) return;
  const what = 'is not an http(s) URL without user, query and fragment';
  throw new RollcallError('OPTION_INVALID', `"${redacted(url)}" ${what}. Write it as ${DEFAULT_URL}.`);
}

/** Options of the requests. */
export interface RegistryApiOptions {
  /** Sends the requests; default: Node's own HTTP, not over TLS. */
  readonly fetcher?: Fetcher;
  /** An access token, if the registry requires one. */
  readonly token?: string | undefined;
  /** True if the fetcher sends a certificate: used in messages. Default false. */
  readonly isShown?: boolean;
  /** In which names are looked up. Default `default`. */
  readonly namespace?: string;
}

/** A service's instances in any state, as of a revision. */
export interface ServiceAnswer {
  readonly revision: number;
  readonly instances: readonly Instance[];
  /** The measurements of the registry for them; empty if not requested. */
  readonly heartbeats: ReadonlyMap<InstanceId, Heartbeats>;
}

/** A service and its namespace. */
export interface Whereabouts {
  readonly namespace: string;
  readonly name: string;
  /**
   * True if an instance of it is UNHEALTHY or CRITICAL, or none may be called. Left out: no, or an older registry does
   * not report it.
   */
  readonly isTroubled?: boolean;
}

/** A page of instances; `next` is the `after` of the next page, null: this is the last one. */
export interface InstancesPage extends ServiceAnswer {
  readonly next: string | null;
}

/** A parameter of a query: its name and its value. */
export type Parameter = readonly [string, string];

const queryOf = (query: readonly Parameter[]): string =>
  query.map(([key, value]) => `${key}=${encodeURIComponent(value)}&`).join('');

/** Method and body of a request that changes something. */
interface Mutation {
  readonly method: 'PATCH' | 'DELETE';
  readonly body?: object;
}

/**
 * The registry's routes for people (docs/PROTOCOL.md). Rejects with REGISTRY_UNREACHABLE if no registry answers,
 * REGISTRY_REFUSED with the registry's own sentence if it refuses, and PROTOCOL if the answer is not that of a
 * registry.
 */
export class RegistryApi {
  /** The URL without a slash at its end. */
  readonly url: string;
  readonly namespace: string;
  /** The last answer, for error texts. */
  #lastAnswer: ReceivedAnswer | null = null;
  readonly #fetch: Fetcher;
  readonly #isShown: boolean;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #options: RegistryApiOptions;

  /** Throws OPTION_INVALID as `checkRegistryUrl` does. */
  constructor(url: string, options: RegistryApiOptions = {}) {
    const { fetcher, token, isShown = false, namespace } = options;
    checkRegistryUrl(url);
    this.#options = options;
    this.url = url.replace(/\/+$/, '');
    this.namespace = namespace ?? DEFAULT_NAMESPACE;
    this.#fetch = fetcher ?? plainFetch();
    this.#isShown = isShown;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** The same registry for another namespace. */
  within(namespace: string): RegistryApi {
    return namespace === this.namespace ? this : new RegistryApi(this.url, { ...this.#options, namespace });
  }

  /** The services of all namespaces, by name. */
  async everywhere(): Promise<readonly Whereabouts[]> {
    const { services } = await this.read('/api/v1/services?namespace=*');
    if (!Array.isArray(services)) throw this.#protocolError('no list of services');
    const known = services.map((received) => {
      const service = this.#record(received);
      const { name, namespace = DEFAULT_NAMESPACE } = service;
      const place = { name: String(name), namespace: String(namespace) };
      return isTroubled(service) ? { ...place, isTroubled: true } : place;
    });
    return known.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  /** The names of the services that have instances, sorted. */
  async services(): Promise<readonly string[]> {
    const { services } = await this.read(`/api/v1/services?${this.#namespaceQuery()}`);
    if (!Array.isArray(services)) throw this.#protocolError('no list of services');
    return [...new Set(services.map((service) => String(this.#record(service)['name'])))].toSorted();
  }

  /**
   * Every instance of a service, in any state, the registry's revision, and, if requested, its measurements of them.
   */
  async service(name: string, withHeartbeats = false): Promise<ServiceAnswer> {
    const heartbeatsQuery = withHeartbeats ? '&heartbeats=true' : '';
    const { revision, instances } = await this.read(
      `/api/v1/services/${encodeURIComponent(name)}?${this.#namespaceQuery()}${heartbeatsQuery}`,
    );
    return { revision: Number(revision), ...this.#instancesIn(instances) };
  }

  /**
   * A page of the instances of all services that match; `query`: the parameters except the namespace, each as often
   * as it is given.
   */
  async instances(query: readonly Parameter[]): Promise<InstancesPage> {
    const { revision, next, instances } = await this.read(
      `/api/v1/instances?${queryOf(query)}${this.#namespaceQuery()}`,
    );
    return {
      revision: Number(revision),
      next: typeof next === 'string' ? next : null,
      ...this.#instancesIn(instances),
    };
  }

  #instancesIn(received: unknown): Pick<ServiceAnswer, 'instances' | 'heartbeats'> {
    if (!Array.isArray(received)) throw this.#protocolError('no list of instances');
    const heartbeats = new Map<InstanceId, Heartbeats>();
    const instances = received.map((item) => {
      const instance = this.instanceIn(item);
      const beats = heartbeatsOf(this.#record(item)['heartbeats']);
      if (beats !== null) heartbeats.set(instance.id, beats);
      return instance;
    });
    return { instances, heartbeats };
  }

  /** One instance, with all that the registry reports about it; null: the id is unknown (or removed). */
  async instance(id: InstanceId): Promise<Json | null> {
    const { answer, body } = await this.#fetchJson(pathOf(id));
    return answer.status === 404 || answer.status === 410 ? null : this.#record(this.#bodyOf(answer, body));
  }

  /** Each of these instances, with all that the registry reports about it; those without an answer are left out. */
  async details(ids: readonly InstanceId[]): Promise<ReadonlyMap<InstanceId, Json>> {
    const found = new Map<InstanceId, Json>();
    const waiting = [...ids];
    const worker = async (): Promise<void> => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        const answer = await this.instance(id).catch(() => null);
        if (answer !== null) found.set(id, answer);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, ids.length) }, worker));
    return found;
  }

  /**
   * The first 1,000 instances that an operator drained or put into maintenance: `override` has the operator, the reason
   * and the end. Empty if the registry is too old to list instances.
   */
  async keptAway(): Promise<ReadonlyMap<InstanceId, Json>> {
    const path = `/api/v1/instances?${AWAY_STATES.map((admin) => `admin=${admin}&`).join('')}limit=1000&${this.#namespaceQuery()}`;
    const answer = await this.read(path).catch(() => ({}));
    return new Map(recordsAt(answer, 'instances').map((item) => [String(item['id']), item]));
  }

  /** The measurements of the registry for these instances; those without an answer are left out. */
  async heartbeats(ids: readonly InstanceId[]): Promise<ReadonlyMap<InstanceId, Heartbeats>> {
    return heartbeatsIn(await this.details(ids));
  }

  /** The recent events of one instance, also of one that was removed recently. */
  timeline(id: InstanceId): Promise<Json> {
    return this.read(`${pathOf(id)}/timeline`);
  }

  /** The events; `query`: the parameters except the namespace, each as often as it is given. */
  events(query: readonly Parameter[]): Promise<Json> {
    return this.read(`/api/v1/events?${queryOf(query)}${this.#namespaceQuery()}`);
  }

  /** The calls between services. */
  topology(): Promise<Json> {
    return this.read(`/api/v1/topology?${this.#namespaceQuery()}`);
  }

  /** Changes the settings of an operator for an instance. Returns the changed instance. */
  async patch(id: InstanceId, body: InstancePatch): Promise<Json> {
    return this.#record(await this.#request(pathOf(id), { method: 'PATCH', body }));
  }

  /** Removes an instance as an operator. */
  async remove(id: InstanceId, reason = ''): Promise<void> {
    const why = reason === '' ? '' : `?reason=${encodeURIComponent(reason)}`;
    const { answer, body } = await this.#fetchJson(`${pathOf(id)}${why}`, { method: 'DELETE' });
    if (!isSuccess(answer)) throw refusedError(answer, body);
  }

  /** The object at a path below the registry's URL. */
  async read(path: string): Promise<Json> {
    return this.#record(await this.#request(path));
  }

  /** Throws PROTOCOL if it is not an instance. */
  instanceIn(received: unknown): Instance {
    const read = instanceMessage.parse(received);
    if (read.ok) return read.value;
    const flaw = read.problem[0];
    throw this.#protocolError(
      `${flaw?.path ?? ''}: received ${flaw?.received ?? ''}, allowed is ${flaw?.allowed ?? ''}`,
    );
  }

  async #request(path: string, action?: Mutation): Promise<unknown> {
    const { answer, body } = await this.#fetchJson(path, action);
    return this.#bodyOf(answer, body);
  }

  #bodyOf(answer: ReceivedAnswer, body: unknown): unknown {
    if (!isSuccess(answer)) throw refusedError(answer, body);
    if (body === undefined) throw this.#protocolError('its answer is not JSON');
    return body;
  }

  async #fetchJson(
    path: string,
    action?: Mutation,
  ): Promise<{ readonly answer: ReceivedAnswer; readonly body: unknown }> {
    try {
      const response = await this.#fetch(this.url + path, {
        ...(action === undefined ? { headers: this.#headers } : this.#mutationInit(action)),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      const answer = { status: response.status, type: response.type, text };
      this.#lastAnswer = answer;
      return { answer, body: jsonOf(text) };
    } catch (error) {
      throw await this.#unreachableError(error);
    }
  }

  /**
   * If tokens are required the operator header has no effect; else it grants operator rights on the registry's own
   * machine.
   */
  #mutationInit({ method, body }: Mutation): Pick<Parameters<Fetcher>[1], 'method' | 'headers' | 'body'> {
    const headers = { ...this.#headers, 'x-rollcall-operator': '1' };
    if (body === undefined) return { method, headers };
    return { method, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) };
  }

  async #unreachableError(error: unknown): Promise<RollcallError> {
    if (error instanceof UnansweredError) return this.#unansweredError(error);
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const facts = { isSecure: this.url.startsWith('https:'), wasReached: false, isShown: this.#isShown };
    // loaded only after a failure
    const { troubleOf } = await import('@rollcall/client');
    const trouble = troubleOf(cause, facts);
    const why = messageOf(cause);
    if (isTimeout(error)) {
      const text = `The registry at ${this.url} does not answer within ${TIMEOUT_MS / 1_000} s: is its process stopped, or the way to it blocked? See: rollcall doctor --url ${this.url}`;
      return new RollcallError('REGISTRY_UNREACHABLE', text, { retryable: true, cause: error });
    }
    const text =
      trouble === null
        ? `No registry answers at ${this.url}${why === '' ? '' : ` (${why})`}. Run \`npx rollcall up\`, or set its URL: --url or ROLLCALL_URL.`
        : `The registry at ${this.url} cannot be reached: ${trouble.message}`;
    return new RollcallError('REGISTRY_UNREACHABLE', text, { retryable: true, cause: error });
  }

  /** A process accepts connections: starting another registry does not help. */
  #unansweredError(error: unknown): RollcallError {
    const text = `The registry at ${this.url} takes connections and does not answer (within ${TIMEOUT_MS / 1_000} s): is its process stopped, or busy? Try \`rollcall doctor\`.`;
    return new RollcallError('REGISTRY_UNREACHABLE', text, { retryable: true, cause: error });
  }

  #namespaceQuery(): string {
    return `namespace=${encodeURIComponent(this.namespace)}`;
  }

  #record(received: unknown): Json {
    if (isRecord(received)) return received;
    throw this.#protocolError('its answer is not an object');
  }

  #protocolError(why: string): RollcallError {
    const shown = this.#lastAnswer === null ? '' : ` (${answerText(this.#lastAnswer)})`;
    const text = `${this.url} does not answer as a registry does: ${why}${shown}. Check the address.`;
    return new RollcallError('PROTOCOL', text);
  }
}

/** True if a service in the registry's list has a problem. */
function isTroubled(service: Json): boolean {
  const count = (state: State): number => numberAt(service, 'states', state) ?? 0;
  const all = numberAt(service, 'instances') ?? 0;
  const isOut = all > count('DEREGISTERING') && numberAt(service, 'callable') === 0;
  return isOut || count('UNHEALTHY') + count('CRITICAL') > 0;
}

const pathOf = (id: InstanceId): string => `/api/v1/instances/${encodeURIComponent(id)}`;

/** The abort signal of a request that took too long. */
const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError';

const isSuccess = ({ status }: ReceivedAnswer): boolean => status >= 200 && status < 300;

function refusedError(answer: ReceivedAnswer, body: unknown): RollcallError {
  const { detail, fix, flaws = [] } = problemFrom(answer.status, body, answer);
  const listed = flaws.map(({ path, received, allowed }) => ` ${path}: received ${received}, allowed is ${allowed}.`);
  return new RollcallError('REGISTRY_REFUSED', `${detail}${listed.join('')} ${fix}`);
}

/** Null if both measurements are missing. */
export function heartbeatsOf(received: unknown): Heartbeats | null {
  if (!isRecord(received)) return null;
  const heartbeat1 = directionOf(received['heartbeat1']);
  const heartbeat2 = directionOf(received['heartbeat2']);
  return heartbeat1 === null || heartbeat2 === null ? null : { heartbeat1, heartbeat2, requestedAt: Date.now() };
}

/** For each instance with measurements. */
export function heartbeatsIn(details: ReadonlyMap<InstanceId, Json>): ReadonlyMap<InstanceId, Heartbeats> {
  const found = new Map<InstanceId, Heartbeats>();
  for (const [id, answer] of details) {
    const beats = heartbeatsOf(answer['heartbeats']);
    if (beats !== null) found.set(id, beats);
  }
  return found;
}

function directionOf(received: unknown): Direction | null {
  if (!isRecord(received)) return null;
  return {
    lastSuccessAgoMs: numberAt(received, 'lastSuccessAgoMs'),
    roundTripMs: numberAt(received, 'roundTripMs'),
    misses: numberAt(received, 'misses') ?? 0,
    error: textAt(received, 'error'),
  };
}

/** The events of an answer; invalid ones are left out. */
export function eventsIn(answer: Json | null): readonly RegistryEvent[] {
  return recordsAt(answer, 'events').flatMap((received) => {
    const read = registryEventMessage.parse(received);
    return read.ok ? [read.value] : [];
  });
}
