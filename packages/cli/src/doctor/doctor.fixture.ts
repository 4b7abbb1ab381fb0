import { countCallable } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { ProbeAnswer, CallEdge, Facts, ProbeFailure, InstanceFacts, RegistryFacts } from './facts/facts.js';

export const NOW = 1_790_000_000_000;

const answer: ProbeAnswer = {
  kind: 'answer',
  status: 200,
  contentType: 'application/json',
  server: '',
  date: NOW,
  body: {},
  text: '{}',
  size: 2,
  roundTripMs: 3,
};

/** A registry that is well. */
export const registryFacts: RegistryFacts = {
  version: '0.1.0',
  epoch: 'epoch-1',
  instances: 1,
  files: { open: 40, most: 1_000 },
  container: null,
  insecure: false,
  access: 'open',
  host: '127.0.0.1',
  intervalMs: 5_000,
  startedAt: NOW - 3_600_000,
  flappingLimit: 3,
  store: { name: 'disk', durable: true, trouble: null },
  preservation: null,
  certificateExpiresAt: null,
  endingTokens: [],
  refused: [],
  budgets: [{ name: 'open files', have: 1_000, used: 210, remedy: 'Raise the limit.' }],
};

/** A healthy instance with some facts replaced. */
export function instanceFacts(
  about: Partial<Instance> = {},
  overrides: Partial<Omit<InstanceFacts, 'instance'>> = {},
): InstanceFacts {
  const instance: Instance = {
    id: 'orders-0001',
    service: 'orders',
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 4001, tls: false }],
    version: '1.0.0',
    zone: '',
    weight: 100,
    metadata: { 'rollcall.version': '0.1.0' },
    state: 'HEALTHY',
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: NOW - 60_000,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: NOW - 60_000,
    revision: 7,
    ...about,
  };
  const [endpoint] = instance.endpoints;
  const reach =
    endpoint === undefined ? [] : [{ endpoint, outcome: 'itself', text: `it says that it is ${instance.id}` } as const];
  const known = { rounds: [], lineLosses: null, away: null };
  return { instance, heartbeats: beats(), falls: 0, line: true, portProbes: reach, ...known, ...overrides };
}

/** Working heartbeats with some facts replaced. */
export function beats(
  heartbeat1: Partial<NonNullable<InstanceFacts['heartbeats']>['heartbeat1']> = {},
  heartbeat2: Partial<NonNullable<InstanceFacts['heartbeats']>['heartbeat2']> = {},
): NonNullable<InstanceFacts['heartbeats']> {
  return {
    heartbeat1: { lastSuccessAgoMs: 1_000, roundTripMs: 1, misses: 0, error: null, ...heartbeat1 },
    heartbeat2: { lastSuccessAgoMs: 2_000, roundTripMs: null, misses: 0, error: null, ...heartbeat2 },
    requestedAt: NOW,
  };
}

/** Facts without a finding, with some replaced. */
export function facts(overrides: Partial<Facts> = {}): Facts {
  return {
    url: 'http://127.0.0.1:1337',
    wall: NOW + 500,
    version: '0.1.0',
    hasToken: false,
    contact: answer,
    registry: registryFacts,
    instances: [instanceFacts()],
    counts: new Map([['default/orders', countCallable([instanceFacts().instance])]]),
    scope: { kind: 'all' },
    services: new Map([['default/orders', countCallable([instanceFacts().instance])]]),
    hasNamespaces: false,
    names: new Map(),
    calls: { kind: 'read', edges: [] },
    omitted: 0,
    shouldProbePorts: true,
    local: { container: null, openFiles: 1_024, untried: 0 },
    attempts: { count: 10, failures: [], largestAnswer: 120_000 },
    isSmallAnswered: false,
    isTls: false,
    addresses: [],
    connection: { large: null, stream: { outcome: 'held', afterMs: 2_500, text: 'it lasts' } },
    peers: [],
    missing: [],
    ...overrides,
  };
}

/** A refusal of the registry, as its answer. */
export function refused(status: number, code: string, detail: string): Partial<Facts> {
  const body = {
    type: `urn:rollcall:problem:${code}`,
    title: code,
    status,
    code,
    detail,
    fix: 'Follow the instructions.',
  };
  return { registry: null, contact: { ...answer, status, body, text: JSON.stringify(body) } };
}

export function answered(overrides: Partial<ProbeAnswer>): Partial<Facts> {
  return { registry: null, contact: { ...answer, ...overrides } };
}

/** A request without an answer; `progress`: how far it got. */
export function failure(
  code: string,
  text: string,
  { trouble = null, progress = {} }: { trouble?: string | null; progress?: Partial<ProbeFailure['progress']> } = {},
): ProbeFailure {
  const nowhere = { isConnected: false, isAnswered: false, received: 0, announced: null };
  return { kind: 'failure', code, text, explanation: trouble, progress: { ...nowhere, ...progress } };
}

/** No try was answered. */
export function failed(code: string, text: string, trouble: string | null = null): Partial<Facts> {
  const lost = failure(code, text, { trouble });
  const attempts = { count: 2, failures: [lost, lost], largestAnswer: 0 };
  return { registry: null, contact: lost, attempts };
}

/** Calls from one service to another, all of them answered. */
export const callEdge: CallEdge = {
  namespace: 'default',
  from: 'gateway',
  to: 'orders',
  callers: 2,
  calls: 100,
  perSecond: 20,
  failures: 0,
  windowMs: 5_000,
  ageMs: 1_000,
  targets: [],
};
