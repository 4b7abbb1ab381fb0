import { instanceMessage, isRecord, nearest, RollcallError } from '@rollcall/core';
import type { Instance, InstanceId, LineLosses } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../../registry/json.js';
import { hasSeveralNamespaces, checkNamespace, namesOf } from '../../registry/namespaces.js';
import { heartbeatsOf } from '../../registry/registry-api.js';
import { matchInstances, expandNamespace, splitNamespace } from '../../registry/resolve-instance.js';
import { overrideTerms } from '../../render/override-terms.js';
import { callEdgesIn } from './call-facts.js';
import type { ProbeResult, CallFacts, InstanceFacts, Scope, ServiceCount } from './facts.js';
import type { RegistryProbe } from './http-probe.js';
import { probePort } from './port-probe.js';

/** Requests, and connections, at the same time, if this process may open enough files. */
const CONCURRENCY = 32;
/**
 * File descriptors of this process besides those of its requests, with a reserve for modules that Node loads.
 */
const RESERVED_FILES = 40;
/** Sockets per instance: its own request, and two endpoints. */
const FILES_PER_INSTANCE = 3;

/** The requested instances. */
export interface ResolvedScope {
  readonly instances: readonly Instance[];
  /** True if they are all instances of their services. */
  readonly isComplete: boolean;
  readonly scope: Scope;
  /** The counts of every service of the registry. */
  readonly services: ReadonlyMap<string, ServiceCount>;
  readonly hasNamespaces: boolean;
  /** The printed name of each of them. */
  readonly names: ReadonlyMap<InstanceId, string>;
}

/** The result if no instances were requested, or none received. */
export const NO_INSTANCES: ResolvedScope = {
  instances: [],
  isComplete: false,
  scope: { kind: 'all' },
  services: new Map(),
  hasNamespaces: false,
  names: new Map(),
};

function parseServiceCounts(listed: unknown): ReadonlyMap<string, ServiceCount> {
  const counts = listAt(listed, 'services').map((service) => {
    const states = at(service, 'states');
    const all = isRecord(states)
      ? Object.values(states).reduce<number>((sum, count) => sum + (typeof count === 'number' ? count : 0), 0)
      : 0;
    const callable = numberAt(service, 'callable');
    const leaving = numberAt(states, 'DEREGISTERING') ?? 0;
    const name = `${textAt(service, 'namespace') ?? ''}/${textAt(service, 'name') ?? ''}`;
    return callable === null ? null : ([name, { all, callable, leaving }] as const);
  });
  return new Map(counts.filter((count) => count !== null));
}

function parseLosses(received: unknown): LineLosses | null {
  const times = numberAt(received, 'times');
  if (times === null) return null;
  return {
    times,
    shortestMs: numberAt(received, 'shortestMs') ?? 0,
    longestMs: numberAt(received, 'longestMs') ?? 0,
  };
}

function scopeOf(service: string | null, namespace: string): Scope {
  if (service !== null) return { kind: 'service', namespace, service };
  return namespace === '*' ? { kind: 'all' } : { kind: 'namespace', namespace };
}

const failureText = (result: ProbeResult): string =>
  result.kind === 'failure' ? result.text : `${result.status} ${textAt(result.body, 'detail') ?? result.text}`;

/** Requests facts about instances, as many at a time as there are file descriptors for, and records missing answers. */
export class InstanceCollector {
  readonly missing: string[] = [];
  readonly #probe: RegistryProbe;
  readonly #concurrency: number;

  constructor(probe: RegistryProbe, openFiles: number | null) {
    this.#probe = probe;
    const free = Math.floor(((openFiles ?? Infinity) - RESERVED_FILES) / FILES_PER_INSTANCE);
    this.#concurrency = Math.max(1, Math.min(CONCURRENCY, free));
  }

  /**
   * `defaultNamespace`: mostly all (`*`), as an id does not contain its own. A namespace before the operand takes
   * precedence.
   */
  async instances(operand: string | null, defaultNamespace: string): Promise<ResolvedScope> {
    const listed = await this.#getBody('/api/v1/services?namespace=*', 'instances, because the list of services');
    if (listed === null) return NO_INSTANCES;
    const known = listAt(listed, 'services').map((service) => ({
      name: textAt(service, 'name') ?? '',
      namespace: textAt(service, 'namespace') ?? '',
    }));
    const typed = operand === null ? null : splitNamespace(operand);
    const namespace =
      typed === null || typed.namespace === null ? defaultNamespace : expandNamespace(typed.namespace, known);
    checkNamespace({ namespace, url: this.#probe.url }, known);
    const inNamespace = known.filter((service) => namespace === '*' || service.namespace === namespace);
    const names = [...new Set(inNamespace.map(({ name }) => name))].toSorted();
    const hasNamespaces = hasSeveralNamespaces(known);
    const found = { services: parseServiceCounts(listed), hasNamespaces };
    if (typed === null || names.includes(typed.name)) {
      const instances = await this.#instancesOf(typed === null ? names : [typed.name], namespace);
      // a service that was received only in part is not counted
      const isComplete = this.missing.length === 0;
      const scope = scopeOf(typed?.name ?? null, namespace);
      return { ...found, instances, isComplete, scope, names: namesOf(instances, hasNamespaces) };
    }
    const all = await this.#instancesOf(names, namespace);
    const matches = matchInstances(typed.name, all);
    if (matches.length > 0 || this.missing.length > 0) {
      const scope = { kind: 'instances' } as const;
      return { ...found, instances: matches, isComplete: false, scope, names: namesOf(all, hasNamespaces) };
    }
    const nearestName = nearest(typed.name, names);
    const hint = nearestName === null ? 'rollcall ls shows all of them.' : `Did you mean ${nearestName}?`;
    throw new RollcallError('UNKNOWN_SERVICE', `There is no service and no instance "${operand ?? ''}". ${hint}`);
  }

  /** The calls between services, as far as they concern these instances' services; all if the scope is all. */
  async calls({ scope, instances }: Pick<ResolvedScope, 'scope' | 'instances'>): Promise<CallFacts> {
    const isNarrow = scope.kind === 'service' || scope.kind === 'instances';
    const named = isNarrow ? [...new Set(instances.map(({ service }) => service))] : [];
    if (scope.kind === 'service' && named.length === 0) named.push(scope.service);
    const wanted = named.map((name) => `&service=${encodeURIComponent(name)}`).join('');
    const namespace = 'namespace' in scope ? scope.namespace : '*';
    const result = await this.#probe.get(`/api/v1/topology?namespace=${encodeURIComponent(namespace)}${wanted}`);
    if (result.kind === 'answer' && result.status === 200) return { kind: 'read', edges: callEdgesIn(result.body) };
    return { kind: 'unread', why: failureText(result) };
  }

  async #instancesOf(names: readonly string[], namespace: string): Promise<readonly Instance[]> {
    const lists = await this.mapConcurrently(names, async (name) => {
      const path = `/api/v1/services/${encodeURIComponent(name)}?namespace=${namespace}`;
      return listAt(await this.#getBody(path, `the instances of ${name}, because the request for them`), 'instances');
    });
    return lists.flat().flatMap((item) => {
      const read = instanceMessage.parse(item);
      return read.ok ? [read.value] : [];
    });
  }

  /** The instance at the time of its heartbeats: it may have changed since it was listed. */
  async factsOf(listed: Instance, shouldProbePorts: boolean): Promise<InstanceFacts> {
    const path = `/api/v1/instances/${encodeURIComponent(listed.id)}`;
    const [body, portProbes] = await Promise.all([
      this.#getBody(path, `the heartbeats of ${listed.id}, because the request for them`),
      shouldProbePorts ? Promise.all(listed.endpoints.map((endpoint) => probePort(listed.id, endpoint))) : [],
    ]);
    const read = instanceMessage.parse(body);
    const line = at(body, 'line');
    const instance = read.ok ? read.value : listed;
    const heartbeats = heartbeatsOf(at(body, 'heartbeats'));
    const isTroubled = instance.state !== 'HEALTHY' || (heartbeats?.heartbeat1.error ?? null) !== null;
    const falls = numberAt(body, 'falls');
    return {
      instance,
      heartbeats,
      falls,
      line: typeof line === 'boolean' ? line : null,
      portProbes,
      rounds: isTroubled || (falls ?? 0) > 0 ? await this.#rounds(path) : [],
      lineLosses: parseLosses(at(body, 'lineLosses')),
      away: isRecord(body) ? overrideTerms(body, 'admin') : null,
    };
  }

  async #rounds(path: string): Promise<readonly boolean[]> {
    const result = await this.#probe.get(`${path}/beats`);
    if (result.kind !== 'answer') return [];
    return listAt(result.body, 'heartbeat1').map((round) => numberAt(round, 'roundTripMs') !== null);
  }

  /**
   * The body of a successful answer; null: none, which is recorded. An instance that has left is not recorded.
   */
  async #getBody(path: string, what: string): Promise<unknown> {
    const result = await this.#probe.get(path);
    if (result.kind === 'answer' && result.status === 200) return result.body;
    if (result.kind === 'answer' && (result.status === 404 || result.status === 410)) return null;
    this.missing.push(`${what} was not answered (${failureText(result)})`);
    return null;
  }

  /** Works on all items in order, a limited number at a time. */
  async mapConcurrently<Item, Result>(
    items: readonly Item[],
    work: (item: Item) => Promise<Result>,
  ): Promise<readonly Result[]> {
    const results: Result[] = [];
    const waiting = items.entries();
    const worker = async (): Promise<void> => {
      for (const [index, item] of waiting) results[index] = await work(item);
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, items.length) }, worker));
    return results;
  }
}
