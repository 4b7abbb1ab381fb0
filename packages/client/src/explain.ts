import { addressOf } from '@rollcall/core';
import type { AdminState, InstanceId, Protocol, State } from '@rollcall/core';
import type { Node } from './balance/node.js';
import { tierOf } from './balance/tiers.js';
import type { ServiceView } from './catalog.js';
import type { ServiceCallee } from './callee.js';
import { gateText } from './gate/gate.js';
import type { Lane } from './lane.js';

/** What one process sees of a service, and why it calls whom. For people and dashboards; fields may be added. */
export interface Explanation {
  readonly service: string;
  readonly status: ServiceView['status'];
  /** Is the copy of the registry perhaps old? */
  readonly isStale: boolean;
  readonly callsUnderWay: number;
  /** Retries that the budget allows now. */
  readonly retriesLeft: number;
  /** One for each protocol that has been used. */
  readonly protocols: readonly ProtocolExplanation[];
}

export interface ProtocolExplanation {
  readonly protocol: Protocol;
  readonly balancer: string;
  /** `CLOSED`: all well; `DEGRADED`: some are ejected; `OPEN`: nobody can be called. */
  readonly state: 'CLOSED' | 'DEGRADED' | 'OPEN';
  /** The lowest tier holding anybody who can be called is used. */
  readonly tierInUse: number | null;
  readonly instances: readonly InstanceExplanation[];
}

export interface InstanceExplanation {
  readonly id: InstanceId;
  readonly address: string;
  readonly version: string;
  /** What the registry says, and why. */
  readonly state: State;
  readonly reason: string;
  readonly admin: AdminState;
  /** Null: never called, because of its state or admin state. */
  readonly tier: number | null;
  /** `open`, `shut`, or `limited to n` calls at once. */
  readonly gate: string;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Why it is ejected; null: it is not. */
  readonly ejected: 'errors' | 'absent' | null;
  readonly nextProbeInMs: number | null;
  readonly callsUnderWay: number;
  /** What the balancer compares; less is better. */
  readonly load: number;
  readonly p99Ms: number | null;
  readonly lastSuccessMsAgo: number | null;
  /** Below 1 during slow start: the share of its calls that it gets. */
  readonly warmth: number;
}

export function explain(callee: ServiceCallee): Explanation {
  const now = callee.now();
  const { view } = callee;
  return {
    service: callee.service,
    status: view.status,
    isStale: view.stale,
    callsUnderWay: callee.inFlight,
    retriesLeft: callee.budget.left(now),
    protocols: callee.lanes.map((lane) => explainLane(lane, callee, now)),
  };
}

function explainLane(lane: Lane<never>, callee: ServiceCallee, now: number): ProtocolExplanation {
  const nodes = [...lane.balancer.nodes];
  const instances = nodes.map((node) => explainNode(node, lane.balancer.isCallable(node), now));
  const usable = instances.filter((instance) => instance.tier !== null && instance.gate !== 'shut');
  const tiers = usable.map((instance) => instance.tier ?? Infinity);
  const hasEjected = instances.some((instance) => instance.ejected !== null);
  return {
    protocol: lane.protocol,
    balancer: callee.policy.balancer,
    state: usable.length === 0 ? 'OPEN' : hasEjected ? 'DEGRADED' : 'CLOSED',
    tierInUse: tiers.length === 0 ? null : Math.min(...tiers),
    instances,
  };
}

function explainNode(node: Node, isCallable: boolean, now: number): InstanceExplanation {
  const { instance, breaker, endpoint } = node;
  return {
    id: node.id,
    address: addressOf(endpoint),
    version: instance.version,
    state: instance.state,
    reason: instance.reason.text,
    admin: instance.admin,
    tier: isCallable ? tierOf(node, now) : null,
    gate: gateText(node.gate(now)),
    breaker: breaker.stateAt(now),
    ejected: breaker.cause,
    nextProbeInMs: breaker.probeAt === Infinity ? null : Math.max(0, Math.round(breaker.probeAt - now)),
    callsUnderWay: node.inFlight,
    load: Math.round(node.load.cost(now, node.inFlight) * 100) / 100,
    p99Ms: node.latency.p99Ms(now),
    lastSuccessMsAgo: node.lastSuccessAt === -Infinity ? null : Math.round(now - node.lastSuccessAt),
    warmth: node.warmth(now),
  };
}
