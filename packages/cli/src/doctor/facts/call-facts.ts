import { isRecord } from '@rollcall/core';
import { listAt, numberAt, textAt } from '../../registry/json.js';
import type { CallEdge, CallTarget } from './facts.js';

/** The edges in an answer of /api/v1/topology; missing fields count as nothing. */
export const callEdgesIn = (topology: unknown): readonly CallEdge[] =>
  listAt(topology, 'edges').filter(isRecord).map(edgeIn);

function edgeIn(edge: unknown): CallEdge {
  const calls = numberAt(edge, 'calls') ?? 0;
  const perSecond = numberAt(edge, 'callsPerSecond') ?? 0;
  const windowMs = perSecond > 0 && calls > 0 ? (1_000 * calls) / perSecond : null;
  return {
    namespace: textAt(edge, 'namespace') ?? '',
    from: textAt(edge, 'from') ?? '',
    to: textAt(edge, 'to') ?? '',
    callers: numberAt(edge, 'callers') ?? 0,
    calls,
    perSecond,
    failures: numberAt(edge, 'failures') ?? 0,
    windowMs,
    ageMs: numberAt(edge, 'ageMs') ?? 0,
    targets: listAt(edge, 'targets').map((target) => targetIn(target, windowMs)),
  };
}

function targetIn(target: unknown, windowMs: number | null): CallTarget {
  const perSecond = numberAt(target, 'callsPerSecond') ?? 0;
  return {
    instance: textAt(target, 'instance') ?? '',
    attempts: windowMs === null ? null : Math.round((perSecond * windowMs) / 1_000),
    failures: numberAt(target, 'failures') ?? 0,
    circuits: {
      closed: numberAt(target, 'circuits', 'closed') ?? 0,
      open: numberAt(target, 'circuits', 'open') ?? 0,
      halfOpen: numberAt(target, 'circuits', 'halfOpen') ?? 0,
    },
  };
}
