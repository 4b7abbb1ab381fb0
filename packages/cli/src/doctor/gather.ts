import { containerOf, instanceMessage, nearest, RollcallError, STATES, systemTime, VERSION } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../json.js';
import { heartbeatsOf } from '../registry-api.js';
import { meantBy } from '../which.js';
import type { Asker } from './asking.js';
import { contactOf, identityOf, insist, ABOUT } from './contact.js';
import type {
  Asked,
  Facts,
  HereFacts,
  InstanceFacts,
  LineLossFacts,
  PeerFacts,
  RefusedFacts,
  RegistryFacts,
} from './facts.js';
import { largeAnswer, streamOf } from './probes.js';
import { reach } from './reach.js';

/** So many instances are asked for one by one, the worst first; what is told of the others is in the lists of services. */
const MOST_INSTANCES = 500;
/** Questions, and connections, at once: where this process may have enough files open. */
const CONCURRENCY = 32;
/** Files that this process has open besides those of its questions, with room for what Node loads on the way. */
const RESERVED_FILES = 40;
/** Of an instance: its own question, two endpoints. */
const FILES_EACH = 3;

export interface Wanted {
  /** A service, or an id; null: everybody. */
  readonly word: string | null;
  /** Shall the ports of instances be tried from here? */
  readonly triesPorts: boolean;
  /** The other registries of the list in ROLLCALL_URL. */
  readonly others: readonly string[];
  readonly here: Omit<HereFacts, 'unasked'>;
}

/**
 * All that can be seen of a registry and its instances, with nothing but HTTP to the registry and connections to the instances. Rejects
 * with UNKNOWN_SERVICE for a word that is neither a service nor an id.
 */
export async function gather(asker: Asker, { word, triesPorts, others, here }: Wanted): Promise<Facts> {
  const began = systemTime.wall();
  const { contact, ...manner } = await contactOf(asker);
  const wall = (began + systemTime.wall()) / 2;
  const registry = registryIn(contact);
  const look = new Look(asker, here.openFiles);
  const [instances, way, peers] = await Promise.all([
    registry === null ? [] : look.instances(word),
    registry === null ? null : wayFacts(asker),
    Promise.all(others.map((url) => peerFacts(asker, url))),
  ]);
  const worst = instances.toSorted((one, other) => STATES.indexOf(other.state) - STATES.indexOf(one.state));
  const asked = await look.each(worst.slice(0, MOST_INSTANCES), (instance) => look.factsOf(instance, triesPorts));
  const isUnasked = (code: string): boolean => code === 'EMFILE' || code === 'ENFILE';
  const { asked: tried, failures } = asker.tries;
  const unasked = failures.filter(({ code }) => isUnasked(code)).length;
  return {
    url: asker.url,
    wall,
    version: VERSION,
    hasToken: asker.hasToken,
    contact,
    ...manner,
    registry,
    instances: asked,
    left: Math.max(0, worst.length - MOST_INSTANCES),
    triesPorts,
    here: { ...here, unasked },
    tries: {
      asked: tried - unasked,
      failures: failures.filter(({ code }) => !isUnasked(code)),
      largestAnswer: asker.largestAnswer,
    },
    way,
    peers,
    missing: look.missing,
  };
}

async function wayFacts(asker: Asker): Promise<Facts['way']> {
  const [large, stream] = await Promise.all([largeAnswer(asker), streamOf(asker), insist(asker)]);
  return { large, stream };
}

async function peerFacts(asker: Asker, url: string): Promise<PeerFacts> {
  return { url, ...identityOf(await asker.elsewhere(url, ABOUT)) };
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
    epoch: textAt(body, 'epoch'),
    instances: numberAt(body, 'instances'),
    files: filesIn(at(body, 'files')),
    container: containerOf(at(body, 'container')),
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

function filesIn(received: unknown): RegistryFacts['files'] {
  const [open, most] = [numberAt(received, 'open'), numberAt(received, 'most')];
  return open === null || most === null ? null : { open, most };
}

function lossesIn(received: unknown): LineLossFacts | null {
  const times = numberAt(received, 'times');
  if (times === null) return null;
  return {
    times,
    shortestMs: numberAt(received, 'shortestMs') ?? 0,
    longestMs: numberAt(received, 'longestMs') ?? 0,
  };
}

/** Asks about instances, as many at a time as there are files for, and keeps what did not come. */
class Look {
  readonly missing: string[] = [];
  readonly #asker: Asker;
  readonly #concurrency: number;

  constructor(asker: Asker, openFiles: number | null) {
    this.#asker = asker;
    const free = Math.floor(((openFiles ?? Infinity) - RESERVED_FILES) / FILES_EACH);
    this.#concurrency = Math.max(1, Math.min(CONCURRENCY, free));
  }

  /** In every namespace: an id says nothing of its own. */
  async instances(word: string | null): Promise<readonly Instance[]> {
    const listed = await this.#answered('/api/v1/services?namespace=*', 'instances, because the list of services');
    if (listed === null) return [];
    const names = [...new Set(listAt(listed, 'services').map((service) => textAt(service, 'name') ?? ''))].toSorted();
    if (word === null || names.includes(word)) return this.#allOf(word === null ? names : [word]);
    const meant = meantBy(word, await this.#allOf(names));
    if (meant.length > 0 || this.missing.length > 0) return meant;
    const near = nearest(word, names);
    const hint = near === null ? 'rollcall ls shows all of them.' : `Did you mean ${near}?`;
    throw new RollcallError('UNKNOWN_SERVICE', `There is no service and no instance "${word}". ${hint}`);
  }

  async #allOf(names: readonly string[]): Promise<readonly Instance[]> {
    const lists = await this.each(names, async (name) => {
      const path = `/api/v1/services/${encodeURIComponent(name)}?namespace=*`;
      return listAt(
        await this.#answered(path, `the instances of ${name}, because the question about them`),
        'instances',
      );
    });
    return lists.flat().flatMap((one) => {
      const read = instanceMessage.parse(one);
      return read.ok ? [read.value] : [];
    });
  }

  /** The instance as it is when its heartbeats are read: it may have changed since it was listed. */
  async factsOf(listed: Instance, triesPorts: boolean): Promise<InstanceFacts> {
    const path = `/api/v1/instances/${encodeURIComponent(listed.id)}`;
    const [body, tried] = await Promise.all([
      this.#answered(path, `the heartbeats of ${listed.id}, because the question about them`),
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
      reach: tried,
      rounds: isTroubled || (falls ?? 0) > 0 ? await this.#roundsOf(path) : [],
      lineLosses: lossesIn(at(body, 'lineLosses')),
    };
  }

  async #roundsOf(path: string): Promise<readonly boolean[]> {
    const asked = await this.#asker.ask(`${path}/beats`);
    if (asked.kind !== 'answer') return [];
    return listAt(asked.body, 'heartbeat1').map((round) => numberAt(round, 'roundTripMs') !== null);
  }

  /** The body of a good answer; null: there is none, which is kept. An instance that has gone meanwhile is nothing to keep. */
  async #answered(path: string, what: string): Promise<unknown> {
    const asked = await this.#asker.ask(path);
    if (asked.kind === 'answer' && asked.status === 200) return asked.body;
    if (asked.kind === 'answer' && (asked.status === 404 || asked.status === 410)) return null;
    const why = asked.kind === 'failure' ? asked.text : `${asked.status} ${textAt(asked.body, 'detail') ?? asked.text}`;
    this.missing.push(`${what} was not answered (${why})`);
    return null;
  }

  /** In their order, so many at a time. */
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
