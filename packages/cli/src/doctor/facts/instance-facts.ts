import { instanceMessage, isRecord, nearest, RollcallError } from '@rollcall/core';
import type { Instance, InstanceId, LineLosses } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../../registry/json.js';
import { areSeveral, checkNamespace, namesOf } from '../../registry/namespaces.js';
import { heartbeatsOf } from '../../registry/registry-api.js';
import { meantBy, namespaceMeant, placedName } from '../../registry/resolve-instance.js';
import { overrideTerms } from '../../render/override-terms.js';
import { callEdgesIn } from './call-facts.js';
import type { Asked, CallFacts, InstanceFacts, Scope, ServiceCount } from './facts.js';
import type { Asker } from './http-probe.js';
import { reach } from './port-probe.js';

/** Requests, and connections, at the same time, if this process may open enough files. */
const CONCURRENCY = 32;
/**
 * File descriptors of this process besides those of its requests, with a reserve for modules that Node loads meanwhile.
 */
const RESERVED_FILES = 40;
/** Sockets per instance: its own request, and two endpoints. */
const FILES_EACH = 3;

/** The requested instances. */
export interface Meant {
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
export const NO_INSTANCES: Meant = {
  instances: [],
  isComplete: false,
  scope: { kind: 'all' },
  services: new Map(),
  hasNamespaces: false,
  names: new Map(),
};

function servicesIn(listed: unknown): ReadonlyMap<string, ServiceCount> {
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
  return new Map(counts.filter((one) => one !== null));
}

function lossesIn(received: unknown): LineLosses | null {
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

const whyNot = (asked: Asked): string =>
  asked.kind === 'failure' ? asked.text : `${asked.status} ${textAt(asked.body, 'detail') ?? asked.text}`;

/** Requests facts about instances, as many at a time as there are file descriptors for, and records missing answers. */
export class Look {
  readonly missing: string[] = [];
  readonly #asker: Asker;
  readonly #concurrency: number;

  constructor(asker: Asker, openFiles: number | null) {
    this.#asker = asker;
    const free = Math.floor(((openFiles ?? Infinity) - RESERVED_FILES) / FILES_EACH);
    this.#concurrency = Math.max(1, Math.min(CONCURRENCY, free));
  }

  /**
   * `usual`: the namespace, mostly all (`*`), as an id does not contain its own. A namespace before the word takes
   * precedence.
   */
  async instances(word: string | null, usual: string): Promise<Meant> {
    const listed = await this.#answered('/api/v1/services?namespace=*', 'instances, because the list of services');
    if (listed === null) return NO_INSTANCES;
    const known = listAt(listed, 'services').map((service) => ({
      name: textAt(service, 'name') ?? '',
      namespace: textAt(service, 'namespace') ?? '',
    }));
    const typed = word === null ? null : placedName(word);
    const namespace = typed === null || typed.namespace === null ? usual : namespaceMeant(typed.namespace, known);
    checkNamespace({ namespace, url: this.#asker.url }, known);
    const near = known.filter((one) => namespace === '*' || one.namespace === namespace);
    const names = [...new Set(near.map(({ name }) => name))].toSorted();
    const hasNamespaces = areSeveral(known);
    const found = { services: servicesIn(listed), hasNamespaces };
    if (typed === null || names.includes(typed.name)) {
      const instances = await this.#allOf(typed === null ? names : [typed.name], namespace);
      // a service that was received only in part is not counted
      const isWhole = this.missing.length === 0;
      const scope = scopeOf(typed?.name ?? null, namespace);
      return { ...found, instances, isComplete: isWhole, scope, names: namesOf(instances, hasNamespaces) };
    }
    const all = await this.#allOf(names, namespace);
    const meant = meantBy(typed.name, all);
    if (meant.length > 0 || this.missing.length > 0) {
      const scope = { kind: 'instances' } as const;
      return { ...found, instances: meant, isComplete: false, scope, names: namesOf(all, hasNamespaces) };
    }
    const nearestName = nearest(typed.name, names);
    const hint = nearestName === null ? 'rollcall ls shows all of them.' : `Did you mean ${nearestName}?`;
    throw new RollcallError('UNKNOWN_SERVICE', `There is no service and no instance "${word ?? ''}". ${hint}`);
  }

  /** The calls between services, as far as they concern these instances' services; all if the scope is all. */
  async calls({ scope, instances }: Pick<Meant, 'scope' | 'instances'>): Promise<CallFacts> {
    const isNarrow = scope.kind === 'service' || scope.kind === 'instances';
    const named = isNarrow ? [...new Set(instances.map(({ service }) => service))] : [];
    if (scope.kind === 'service' && named.length === 0) named.push(scope.service);
    const wanted = named.map((name) => `&service=${encodeURIComponent(name)}`).join('');
    const namespace = 'namespace' in scope ? scope.namespace : '*';
    const asked = await this.#asker.ask(`/api/v1/topology?namespace=${encodeURIComponent(namespace)}${wanted}`);
    if (asked.kind === 'answer' && asked.status === 200) return { kind: 'read', edges: callEdgesIn(asked.body) };
    return { kind: 'unread', why: whyNot(asked) };
  }

  async #allOf(names: readonly string[], namespace: string): Promise<readonly Instance[]> {
    const lists = await this.each(names, async (name) => {
      const path = `/api/v1/services/${encodeURIComponent(name)}?namespace=${namespace}`;
      return listAt(await this.#answered(path, `the instances of ${name}, because the request for them`), 'instances');
    });
    return lists.flat().flatMap((one) => {
      const read = instanceMessage.parse(one);
      return read.ok ? [read.value] : [];
    });
  }

  /** The instance at the time of its heartbeats: it may have changed since it was listed. */
  async factsOf(listed: Instance, triesPorts: boolean): Promise<InstanceFacts> {
    const path = `/api/v1/instances/${encodeURIComponent(listed.id)}`;
    const [body, tried] = await Promise.all([
      this.#answered(path, `the heartbeats of ${listed.id}, because the request for them`),
      triesPorts ? Promise.all(listed.endpoints.map((endpoint) => reach(listed.id, endpoint))) : [],
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
      portProbes: tried,
      rounds: isTroubled || (falls ?? 0) > 0 ? await this.#roundsOf(path) : [],
      lineLosses: lossesIn(at(body, 'lineLosses')),
      away: isRecord(body) ? overrideTerms(body, 'admin') : null,
    };
  }

  async #roundsOf(path: string): Promise<readonly boolean[]> {
    const asked = await this.#asker.ask(`${path}/beats`);
    if (asked.kind !== 'answer') return [];
    return listAt(asked.body, 'heartbeat1').map((round) => numberAt(round, 'roundTripMs') !== null);
  }

  /**
   * The body of a successful answer; null: none, which is recorded. An instance that has gone meanwhile is not
   * recorded.
   */
  async #answered(path: string, what: string): Promise<unknown> {
    const asked = await this.#asker.ask(path);
    if (asked.kind === 'answer' && asked.status === 200) return asked.body;
    if (asked.kind === 'answer' && (asked.status === 404 || asked.status === 410)) return null;
    this.missing.push(`${what} was not answered (${whyNot(asked)})`);
    return null;
  }

  /** Works on all items in order, a limited number at a time. */
  async each<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<readonly Result[]> {
    const results: Result[] = [];
    const waiting = items.entries();
    const take = async (): Promise<void> => {
      for (const [index, item] of waiting) results[index] = await work(item);
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, items.length) }, take));
    return results;
  }
}
