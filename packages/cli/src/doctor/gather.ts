import {
  countCallable,
  instanceMessage,
  isOutage,
  isRecord,
  nearest,
  RollcallError,
  STATES,
  systemTime,
  VERSION,
} from '@rollcall/core';
import type { CallableCount, Instance } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../json.js';
import { overrideTerms } from '../override-terms.js';
import { heartbeatsOf } from '../registry-api.js';
import { checkNamespace } from '../namespaces.js';
import { meantBy } from '../which.js';
import type { Asker } from './asking.js';
import type { Asked, Facts, InstanceFacts, RefusedFacts, RegistryFacts } from './facts.js';
import { reach } from './reach.js';

/** So many instances are asked for one by one, the worst first; what is told of the others is in the lists of services. */
const MOST_INSTANCES = 500;
/** Questions, and connections, at once. */
const CONCURRENCY = 32;

export interface Wanted {
  /** A service, or an id; null: everybody. */
  readonly word: string | null;
  /** Null, or left out: all. */
  readonly namespace?: string | null;
  /** Shall the ports of instances be tried from here? */
  readonly triesPorts: boolean;
}

/**
 * All that can be seen of a registry and its instances, with nothing but HTTP to the registry and connections to the instances. Rejects
 * with UNKNOWN_SERVICE for a word that is neither a service nor an id, with REGISTRY_REFUSED for an unknown namespace.
 */
export async function gather(asker: Asker, { word, namespace = null, triesPorts }: Wanted): Promise<Facts> {
  const began = systemTime.wall();
  const contact = await asker.firstAsk('/api/v1/registry');
  const known = {
    url: asker.url,
    wall: (began + systemTime.wall()) / 2,
    version: VERSION,
    hasToken: asker.hasToken,
    contact,
    triesPorts,
  };
  const registry = registryIn(contact);
  if (registry === null) return { ...known, registry, instances: [], counts: new Map(), left: 0 };
  const { instances, isWhole } = await instancesOf(asker, word, namespace ?? '*');
  const counts = isWhole ? countsOf(instances) : new Map<string, CallableCount>();
  const rank = (one: Instance): number => {
    const count = counts.get(keyOf(one));
    return count !== undefined && isOutage(count) ? STATES.length : STATES.indexOf(one.state);
  };
  const worst = instances.toSorted((one, other) => rank(other) - rank(one));
  const asked = await each(worst.slice(0, MOST_INSTANCES), (instance) => factsOf(asker, instance, triesPorts));
  return { ...known, registry, instances: asked, counts, left: Math.max(0, worst.length - MOST_INSTANCES) };
}

const keyOf = ({ namespace, service }: Instance): string => `${namespace}/${service}`;

function countsOf(instances: readonly Instance[]): ReadonlyMap<string, CallableCount> {
  const members = new Map<string, Instance[]>();
  for (const instance of instances) {
    const known = members.get(keyOf(instance));
    if (known === undefined) members.set(keyOf(instance), [instance]);
    else known.push(instance);
  }
  return new Map([...members].map(([key, all]) => [key, countCallable(all)]));
}

/** Null for an answer that is none of a registry. */
function registryIn(contact: Asked): RegistryFacts | null {
  if (contact.kind !== 'answer' || contact.status !== 200) return null;
  const { body } = contact;
  const intervalMs = numberAt(body, 'heartbeat', 'intervalMs');
  if (intervalMs === null) return null;
  const store = textAt(body, 'store', 'name');
  const trouble = textAt(body, 'store', 'trouble', 'text');
  return {
    version: textAt(body, 'version'),
    insecure: at(body, 'insecure') === true,
    access: textAt(body, 'access') ?? 'open',
    host: textAt(body, 'options', 'host', 'value'),
    intervalMs,
    startedAt: numberAt(body, 'startedAt'),
    flappingLimit: numberAt(body, 'policy', 'flappingLimit'),
    store:
      store === null
        ? null
        : {
            name: store,
            durable: at(body, 'store', 'durable') === true,
            trouble:
              trouble === null
                ? null
                : {
                    text: trouble,
                    sinceMs: numberAt(body, 'store', 'trouble', 'sinceMs') ?? 0,
                    owed: numberAt(body, 'store', 'trouble', 'owed') ?? 0,
                  },
          },
    preservation:
      at(body, 'preservation', 'active') === true
        ? { text: textAt(body, 'preservation', 'text') ?? '', sinceMs: numberAt(body, 'preservation', 'sinceMs') }
        : null,
    certificateUntil: numberAt(body, 'tls', 'expiresAt'),
    endingTokens: listAt(body, 'endingTokens').map((token) => ({
      id: textAt(token, 'id') ?? '',
      whose: [textAt(token, 'role') ?? '', ...listAt(token, 'services').map(String)].join(' '),
      until: numberAt(token, 'expiresAt') ?? 0,
    })),
    refused: listAt(body, 'refused').map(refusedIn),
    budgets: listAt(body, 'host').map((budget) => ({
      name: textAt(budget, 'name') ?? '',
      have: numberAt(budget, 'have') ?? Infinity,
      used: numberAt(budget, 'used') ?? 0,
      remedy: textAt(budget, 'remedy') ?? '',
    })),
  };
}

function refusedIn(received: unknown): RefusedFacts {
  return {
    code: textAt(received, 'code') ?? '',
    detail: textAt(received, 'detail') ?? '',
    fix: textAt(received, 'fix') ?? '',
    from: textAt(received, 'from') ?? '',
    service: textAt(received, 'service'),
    times: numberAt(received, 'times') ?? 1,
    agoMs: numberAt(received, 'agoMs') ?? 0,
  };
}

interface Meant {
  readonly instances: readonly Instance[];
  /** Are they all instances of their services? */
  readonly isWhole: boolean;
}

/** Usually in every namespace (`*`): an id says nothing of its own. */
async function instancesOf(asker: Asker, word: string | null, namespace: string): Promise<Meant> {
  const listed = await asker.ask('/api/v1/services?namespace=*');
  const services = listed.kind === 'answer' ? listAt(listed.body, 'services') : [];
  const known = services.map((service) => ({
    name: textAt(service, 'name') ?? '',
    namespace: textAt(service, 'namespace') ?? '',
  }));
  if (listed.kind === 'answer' && listed.status === 200) checkNamespace({ namespace, url: asker.url }, known);
  const here = known.filter((one) => namespace === '*' || one.namespace === namespace);
  const names = [...new Set(here.map(({ name }) => name))].toSorted();
  const instancesOfAll = async (of: readonly string[]): Promise<readonly Instance[]> =>
    (await each(of, (name) => instancesIn(asker, name, namespace))).flat();
  if (word === null || names.includes(word)) {
    return { instances: await instancesOfAll(word === null ? names : [word]), isWhole: true };
  }
  const meant = meantBy(word, await instancesOfAll(names));
  if (meant.length > 0) return { instances: meant, isWhole: false };
  const near = nearest(word, names);
  const hint = near === null ? 'rollcall ls shows all of them.' : `Did you mean ${near}?`;
  throw new RollcallError('UNKNOWN_SERVICE', `There is no service and no instance "${word}". ${hint}`);
}

async function instancesIn(asker: Asker, name: string, namespace: string): Promise<readonly Instance[]> {
  const answer = await asker.ask(`/api/v1/services/${encodeURIComponent(name)}?namespace=${namespace}`);
  const received = answer.kind === 'answer' ? listAt(answer.body, 'instances') : [];
  return received.flatMap((one) => {
    const read = instanceMessage.parse(one);
    return read.ok ? [read.value] : [];
  });
}

/** The instance as it is when its heartbeats are read: it may have changed since it was listed. */
async function factsOf(asker: Asker, listed: Instance, triesPorts: boolean): Promise<InstanceFacts> {
  const [answer, tried] = await Promise.all([
    asker.ask(`/api/v1/instances/${encodeURIComponent(listed.id)}`),
    triesPorts ? Promise.all(listed.endpoints.map((endpoint) => reach(listed.id, endpoint))) : [],
  ]);
  if (answer.kind !== 'answer' || answer.status !== 200)
    return { instance: listed, heartbeats: null, falls: null, line: null, reach: tried, away: null };
  const { body } = answer;
  const read = instanceMessage.parse(body);
  const line = at(body, 'line');
  return {
    instance: read.ok ? read.value : listed,
    heartbeats: heartbeatsOf(at(body, 'heartbeats')),
    falls: numberAt(body, 'falls'),
    line: typeof line === 'boolean' ? line : null,
    reach: tried,
    away: isRecord(body) ? overrideTerms(body, 'admin') : null,
  };
}

/** In their order, so many at a time. */
async function each<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const waiting = items.entries();
  const take = async (): Promise<void> => {
    for (const [index, item] of waiting) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, take));
  return results;
}
