import { containerOf, isOutage, STATES, systemTime, VERSION } from '@rollcall/core';
import type { CallableCount, Instance, RefusedAnswer } from '@rollcall/core';
import { at, listAt, numberAt, textAt } from '../../registry/json.js';
import { countsOf, serviceIn } from '../../render/outages.js';
import { STATUS_PATH, probeContact, identityOf, probeRepeatedly } from './contact.js';
import type { ProbeResult, Facts, ProbeFailure, LocalFacts, PeerFacts, RegistryFacts } from './facts.js';
import type { RegistryProbe } from './http-probe.js';
import { InstanceCollector, NO_INSTANCES } from './instance-facts.js';
import { probeLargeAnswer, probeStream } from './probes.js';

/**
 * The maximum number of instances that are requested singly, worst first; the lists of services count the others.
 */
const MAX_INSTANCES = 500;

export interface CollectOptions {
  /** A service, or an id; null: all. */
  readonly operand: string | null;
  /** Null, or left out: all. */
  readonly namespace?: string | null;
  /** True if the ports of instances are probed from here. */
  readonly shouldProbePorts: boolean;
  /** The other registries of the list in ROLLCALL_URL. */
  readonly otherUrls: readonly string[];
  readonly local: Omit<LocalFacts, 'untried'>;
}

/**
 * Collects all facts about a registry and its instances, by HTTP to the registry and connections to the instances.
 * Rejects with UNKNOWN_SERVICE for an operand that is neither a service nor an id, with REGISTRY_REFUSED for an unknown
 * namespace.
 */
export async function collectFacts(
  probe: RegistryProbe,
  { operand, namespace = null, shouldProbePorts, otherUrls, local }: CollectOptions,
): Promise<Facts> {
  const startedAt = systemTime.wall();
  const { contact, ...contactDetails } = await probeContact(probe);
  const wall = (startedAt + systemTime.wall()) / 2;
  const registry = parseRegistry(contact);
  const collector = new InstanceCollector(probe, local.openFiles);
  const [{ instances, isComplete, ...resolved }, connection, peers] = await Promise.all([
    registry === null ? NO_INSTANCES : collector.instances(operand, namespace ?? '*'),
    registry === null ? null : probeConnection(probe),
    Promise.all(otherUrls.map((url) => peerFacts(probe, url))),
  ]);
  const counts = isComplete ? countsOf(instances, true) : new Map<string, CallableCount>();
  const nameOf = serviceIn(true);
  const rank = (instance: Instance): number => {
    const count = counts.get(nameOf(instance));
    return count !== undefined && isOutage(count) ? STATES.length : STATES.indexOf(instance.state);
  };
  const worst = instances.toSorted((a, b) => rank(b) - rank(a));
  const [instanceFacts, calls] = await Promise.all([
    collector.mapConcurrently(worst.slice(0, MAX_INSTANCES), (instance) =>
      collector.factsOf(instance, shouldProbePorts),
    ),
    registry === null ? UNREAD_CALLS : collector.calls({ scope: resolved.scope, instances }),
  ]);
  return {
    url: probe.url,
    wall,
    version: VERSION,
    hasToken: probe.hasToken,
    contact,
    ...contactDetails,
    registry,
    instances: instanceFacts,
    counts,
    ...resolved,
    calls,
    omitted: Math.max(0, worst.length - MAX_INSTANCES),
    shouldProbePorts,
    ...attemptFacts(probe, local),
    connection,
    peers,
    missing: collector.missing,
  };
}

const UNREAD_CALLS = { kind: 'unread', why: 'no registry answers' } as const;

/** A request that failed because this process had no free file descriptor does not count as a try. */
const isUntried = ({ code }: ProbeFailure): boolean => code === 'EMFILE' || code === 'ENFILE';

function attemptFacts(probe: RegistryProbe, local: CollectOptions['local']): Pick<Facts, 'local' | 'attempts'> {
  const { count, failures } = probe.attempts;
  const untried = failures.filter(isUntried).length;
  const attempts = { count: count - untried, failures: failures.filter((failure) => !isUntried(failure)) };
  return { local: { ...local, untried }, attempts: { ...attempts, largestAnswer: probe.largestAnswer } };
}

async function probeConnection(probe: RegistryProbe): Promise<Facts['connection']> {
  const [large, stream] = await Promise.all([probeLargeAnswer(probe), probeStream(probe), probeRepeatedly(probe)]);
  return { large, stream };
}

async function peerFacts(probe: RegistryProbe, url: string): Promise<PeerFacts> {
  return { url, ...identityOf(await probe.getAt(url, STATUS_PATH)) };
}

/** Null if the answer does not come from a registry. */
function parseRegistry(contact: ProbeResult): RegistryFacts | null {
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
    files: parseFiles(at(body, 'files')),
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
    refused: listAt(body, 'refused').map(parseRefusal),
    budgets: listAt(body, 'host').map((budget) => ({
      name: textAt(budget, 'name') ?? '',
      have: numberAt(budget, 'have') ?? Infinity,
      used: numberAt(budget, 'used') ?? 0,
      remedy: textAt(budget, 'remedy') ?? '',
    })),
  };
}

function parseRefusal(received: unknown): RefusedAnswer {
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

function parseFiles(received: unknown): RegistryFacts['files'] {
  const [open, most] = [numberAt(received, 'open'), numberAt(received, 'most')];
  return open === null || most === null ? null : { open, most };
}
