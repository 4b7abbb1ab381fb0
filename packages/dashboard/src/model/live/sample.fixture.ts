import { reasonFor } from '@rollcall/core';
import type { Instance, ReasonCode, State } from '@rollcall/core';
import type { ServiceEdge } from './answers.js';

/** An instance as the registry publishes it. */
export function sample(id: string, state: State = 'HEALTHY', code: ReasonCode = 'BOTH_WAYS_OK', detail = ''): Instance {
  return {
    id,
    service: id.slice(0, id.indexOf('-')),
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.3.21', port: 3001, tls: false }],
    version: '1.4.2',
    zone: 'eu-1b',
    weight: 100,
    metadata: {},
    state,
    reason: reasonFor(code, detail),
    since: 1_000_000,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision: 1,
  };
}

/** An edge of which 100 calls were reported, all of them answered. */
export function sampleEdge(from: string, to: string, overrides: Partial<ServiceEdge> = {}): ServiceEdge {
  return {
    namespace: 'default',
    from,
    to,
    callers: 1,
    calls: 100,
    callsPerSecond: 20,
    failures: 0,
    retries: 0,
    p50Ms: 1,
    p99Ms: 9,
    inFlight: 0,
    ageMs: 0,
    circuits: { closed: 0, open: 0, halfOpen: 0 },
    ...overrides,
  };
}
