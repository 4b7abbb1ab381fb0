import type {
  BeatsAnswer,
  CalledService,
  CircuitCounts,
  JsonSchema,
  NotListening,
  ServiceEdge,
  TargetEdge,
  TopologyAnswer,
  TopologySummary,
  TrafficAnswer,
  TrafficPoint,
} from '@rollcall/core';
import { STEPS } from '../../activity/traffic.js';
import {
  COUNT,
  ID_IN_PATH,
  inQuery,
  listOf,
  NAME,
  NAMES_IN_QUERY,
  NAMESPACE_IN_QUERY,
  object,
  operation,
  orNull,
  TEXT,
} from './parts.js';

const NUMBER = { type: 'number', minimum: 0 };
const CIRCUITS = object<CircuitCounts>({ closed: COUNT, open: COUNT, halfOpen: COUNT });

const TARGET = object<TargetEdge>({
  instance: TEXT,
  callsPerSecond: NUMBER,
  failures: COUNT,
  p99Ms: orNull(NUMBER),
  circuits: CIRCUITS,
});

/** The graph of calls, as callers report it, and the calls over time. */
export const CALL_PATHS: JsonSchema = {
  '/api/v1/topology': {
    get: operation({
      summary: 'The calls between services, as reported by the callers in their heartbeats.',
      parameters: [
        NAMESPACE_IN_QUERY,
        inQuery('service', NAMES_IN_QUERY, 'only edges from or to these services'),
        inQuery('targets', { type: 'boolean', default: true }, '`false`: edges without their `targets`'),
        inQuery('summary', { type: 'boolean', default: false }, '`true`: the totals of the edges instead of the edges'),
      ],
      answer: { anyOf: [object<TopologyAnswer>({ withinMs: COUNT, edges: listOf(serviceEdge()) }), topologySummary()] },
    }),
  },
  '/api/v1/traffic': {
    get: operation({
      summary: 'How many calls went from service to service: the last 15 minutes, or the last day.',
      parameters: [
        NAMESPACE_IN_QUERY,
        inQuery('from', NAME, 'only calls from this service'),
        inQuery('to', NAME, 'only calls to this service'),
        inQuery('step', { enum: STEPS, default: STEPS[0] }, 'how long one step is'),
      ],
      answer: object<TrafficAnswer>({
        stepMs: COUNT,
        points: listOf(
          object<TrafficPoint>({ at: NUMBER, calls: COUNT, failures: COUNT, retries: COUNT, p99Ms: orNull(NUMBER) }),
        ),
      }),
    }),
  },
  '/api/v1/instances/{id}/beats': {
    get: operation({
      summary: 'The last heartbeats of one instance in both directions, oldest first: five minutes at most.',
      parameters: [ID_IN_PATH],
      answer: object<BeatsAnswer>({
        id: TEXT,
        intervalMs: COUNT,
        heartbeat1: listOf(object({ agoMs: COUNT, roundTripMs: orNull(NUMBER) })),
        heartbeat2: listOf(object({ agoMs: COUNT })),
        notListening: listOf(object<NotListening>({ fromAgoMs: COUNT, toAgoMs: COUNT })),
      }),
    }),
  },
  '/api/v1/instances/{id}/call': {
    post: operation({
      summary: 'Calls one instance with Heartbeat-1 at once; for operators.',
      parameters: [ID_IN_PATH],
      status: 202,
      security: [{ operator: [] }],
    }),
  },
};

/** With `summary=true`. */
function topologySummary(): JsonSchema {
  const counts = { calls: COUNT, failures: COUNT, retries: COUNT };
  return object<TopologySummary>({
    withinMs: COUNT,
    edges: COUNT,
    ...counts,
    callsPerSecond: NUMBER,
    called: listOf(object<CalledService>({ namespace: NAME, service: NAME, ...counts })),
    failing: listOf(object({ namespace: NAME, service: NAME, failures: COUNT })),
  });
}

function serviceEdge(): JsonSchema {
  return object<ServiceEdge>(
    {
      namespace: NAME,
      from: NAME,
      to: NAME,
      callers: COUNT,
      calls: COUNT,
      callsPerSecond: NUMBER,
      failures: COUNT,
      retries: COUNT,
      p50Ms: orNull(NUMBER),
      p99Ms: orNull(NUMBER),
      inFlight: COUNT,
      ageMs: COUNT,
      circuits: CIRCUITS,
      targets: listOf(TARGET),
    },
    // left out with `targets=false`
    ['targets'],
  );
}
