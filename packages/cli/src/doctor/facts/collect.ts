import { containerOf, isOutage, STATES, systemTime, VERSION } from '@rollcall/core';
import type { CallableCount, Instance, RefusedAnswer } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../../registry/json.js';
import { countsOf, serviceIn } from '../../render/outages.js';
import { ABOUT, contactOf, identityOf, insist } from './contact.js';
import type { Asked, Facts, Failure, HereFacts, PeerFacts, RegistryFacts } from './facts.js';
import type { Asker } from './http-probe.js';
import { Look, NO_INSTANCES } from './instance-facts.js';
import { largeAnswer, streamOf } from './probes.js';

/**
 * The number of instances that are requested one by one, worst first; the others are counted by the lists of services.
 */
const MOST_INSTANCES = 500;

export interface Wanted {
  /** A service, or an id; null: all. */
  readonly operand: string | null;
  /** Null, or left out: all. */
  readonly namespace?: string | null;
  /** Shall the ports of instances be tried from here? */
  readonly shouldProbePorts: boolean;
  /** The other registries of the list in ROLLCALL_URL. */
  readonly otherUrls: readonly string[];
  readonly local: Omit<HereFacts, 'untried'>;
}

/**
 * Collects all facts about a registry and its instances, by HTTP to the registry and connections to the instances.
 * Rejects with UNKNOWN_SERVICE for a word that is neither a service nor an id, with REGISTRY_REFUSED for an unknown
 * namespace.
 */
export async function gather(
  asker: Asker,
  { operand: word, namespace = null, shouldProbePorts: triesPorts, otherUrls: others, local: here }: Wanted,
): Promise<Facts> {
  const began = systemTime.wall();
  const { contact, ...manner } = await contactOf(asker);
  const wall = (began + systemTime.wall()) / 2;
  const registry = registryIn(contact);
  const look = new Look(asker, here.openFiles);
  const [{ instances, isComplete: isWhole, ...meant }, way, peers] = await Promise.all([
    registry === null ? NO_INSTANCES : look.instances(word, namespace ?? '*'),
    registry === null ? null : wayFacts(asker),
    Promise.all(others.map((url) => peerFacts(asker, url))),
  ]);
  const counts = isWhole ? countsOf(instances, true) : new Map<string, CallableCount>();
  const nameOf = serviceIn(true);
  const rank = (one: Instance): number => {
    const count = counts.get(nameOf(one));
    return count !== undefined && isOutage(count) ? STATES.length : STATES.indexOf(one.state);
  };
  const worst = instances.toSorted((a, b) => rank(b) - rank(a));
  const [asked, calls] = await Promise.all([
    look.each(worst.slice(0, MOST_INSTANCES), (instance) => look.factsOf(instance, triesPorts)),
    registry === null ? UNREAD : look.calls({ scope: meant.scope, instances }),
  ]);
  return {
    url: asker.url,
    wall,
    version: VERSION,
    hasToken: asker.hasToken,
    contact,
    ...manner,
    registry,
    instances: asked,
    counts,
    ...meant,
    calls,
    omitted: Math.max(0, worst.length - MOST_INSTANCES),
    shouldProbePorts: triesPorts,
    ...triedFacts(asker, here),
    connection: way,
    peers,
    missing: look.missing,
  };
}

const UNREAD = { kind: 'unread', why: 'no registry answers' } as const;

/** A request that failed because this process had no free file descriptor does not count as a try. */
const isUnasked = ({ code }: Failure): boolean => code === 'EMFILE' || code === 'ENFILE';

function triedFacts(asker: Asker, here: Wanted['local']): Pick<Facts, 'local' | 'attempts'> {
  const { asked, failures } = asker.tries;
  const unasked = failures.filter(isUnasked).length;
  const tries = { asked: asked - unasked, failures: failures.filter((one) => !isUnasked(one)) };
  return { local: { ...here, untried: unasked }, attempts: { ...tries, largestAnswer: asker.largestAnswer } };
}

async function wayFacts(asker: Asker): Promise<Facts['connection']> {
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
    certificateExpiresAt: numberAt(body, 'tls', 'expiresAt'),
    endingTokens: listAt(body, 'endingTokens').map((token) => ({
      id: textAt(token, 'id') ?? '',
      owner: [textAt(token, 'role') ?? '', ...listAt(token, 'services').map(String)].join(' '),
      expiresAt: numberAt(token, 'expiresAt') ?? 0,
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

function refusedIn(received: unknown): RefusedAnswer {
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
