import { instanceMessage, messageOf, problemFrom, RollcallError } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import type { Direction, Heartbeats } from './heartbeats.js';

/** A question that is not answered by then is not answered. */
const TIMEOUT_MS = 5_000;
/** Questions at once. */
const CONCURRENCY = 16;

/**
 * The registry's routes for people (docs/PROTOCOL.md). Rejects with REGISTRY_UNREACHABLE where nobody answers, REGISTRY_REFUSED
 * with the registry's own sentence where it refuses, and PROTOCOL where the answer is none of a registry.
 */
export class RegistryApi {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;

  /** `token`: an access token, where the registry asks for one. */
  constructor(url: string, fetcher: typeof fetch = fetch, token?: string) {
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      throw new RollcallError('OPTION_INVALID', `"${url}" is no http(s) URL. Write it as http://127.0.0.1:1337.`);
    }
    this.url = url.replace(/\/+$/, '');
    this.#fetch = fetcher;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** The names of the services that have instances, sorted. */
  async services(): Promise<readonly string[]> {
    const { services } = this.#record(await this.#ask('/api/v1/services'));
    if (!Array.isArray(services)) throw this.#noRegistry('no list of services');
    return services.map((service) => String(this.#record(service)['name'])).toSorted();
  }

  /** Every instance of a service, in any state, and the registry's revision. */
  async service(name: string): Promise<{ readonly revision: number; readonly instances: readonly Instance[] }> {
    const { revision, instances } = this.#record(await this.#ask(`/api/v1/services/${encodeURIComponent(name)}`));
    if (!Array.isArray(instances)) throw this.#noRegistry('no list of instances');
    return { revision: Number(revision), instances: instances.map((received) => this.#instance(received)) };
  }

  /** What the registry measures of these instances; those that it does not answer for are left out. */
  async heartbeats(ids: readonly InstanceId[]): Promise<ReadonlyMap<InstanceId, Heartbeats>> {
    const found = new Map<InstanceId, Heartbeats>();
    const waiting = [...ids];
    const work = async (): Promise<void> => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        const answer = await this.#ask(`/api/v1/instances/${encodeURIComponent(id)}`).catch(() => null);
        const beats = isRecord(answer) ? heartbeatsOf(answer['heartbeats']) : null;
        if (beats !== null) found.set(id, beats);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, ids.length) }, work));
    return found;
  }

  async #ask(path: string): Promise<unknown> {
    const { response, body } = await this.#fetched(path);
    if (response.ok && body !== undefined) return body;
    if (response.ok) throw this.#noRegistry('its answer is no JSON');
    const { detail, fix } = problemFrom(response.status, body);
    throw new RollcallError('REGISTRY_REFUSED', `${detail} ${fix}`);
  }

  async #fetched(path: string): Promise<{ readonly response: Response; readonly body: unknown }> {
    try {
      const response = await this.#fetch(this.url + path, {
        headers: this.#headers,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      return { response, body: jsonOf(text) };
    } catch (error) {
      const why = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
      throw new RollcallError(
        'REGISTRY_UNREACHABLE',
        `No registry answers at ${this.url}${why === '' ? '' : ` (${why})`}. Run \`npx rollcall up\`, or say where it is: --url or ROLLCALL_URL.`,
        { retryable: true, cause: error },
      );
    }
  }

  #instance(received: unknown): Instance {
    const read = instanceMessage.parse(received);
    if (read.ok) return read.value;
    const flaw = read.problem[0];
    throw this.#noRegistry(`${flaw?.path ?? ''}: received ${flaw?.received ?? ''}, allowed is ${flaw?.allowed ?? ''}`);
  }

  #record(received: unknown): Readonly<Record<string, unknown>> {
    if (isRecord(received)) return received;
    throw this.#noRegistry('its answer is no object');
  }

  #noRegistry(why: string): RollcallError {
    return new RollcallError('PROTOCOL', `${this.url} does not answer as a registry does: ${why}. Check the address.`);
  }
}

function heartbeatsOf(received: unknown): Heartbeats | null {
  if (!isRecord(received)) return null;
  const heartbeat1 = directionOf(received['heartbeat1']);
  const heartbeat2 = directionOf(received['heartbeat2']);
  return heartbeat1 === null || heartbeat2 === null ? null : { heartbeat1, heartbeat2, askedAt: Date.now() };
}

function directionOf(received: unknown): Direction | null {
  if (!isRecord(received)) return null;
  const { lastSuccessAgoMs, roundTripMs, misses, error } = received;
  return {
    lastSuccessAgoMs: numberOf(lastSuccessAgoMs),
    roundTripMs: numberOf(roundTripMs),
    misses: numberOf(misses) ?? 0,
    error: typeof error === 'string' ? error : null,
  };
}

const numberOf = (received: unknown): number | null => (typeof received === 'number' ? received : null);

function isRecord(received: unknown): received is Readonly<Record<string, unknown>> {
  return typeof received === 'object' && received !== null && !Array.isArray(received);
}

/** Undefined for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
