import { addressOf } from '@rollcall/core';
import type { AdminState, InstanceId, Protocol, State } from '@rollcall/core';
import type { NodeStatus } from '../balance/balancer.js';
import { balancerName } from '../balance/balancers.js';
import type { Node } from '../balance/nodes/node.js';
import { gateText, OPEN } from '../breaker/gate.js';
import type { ServiceView } from '../discovery/catalog.js';
import type { ServiceState } from '../telemetry/events.js';
import type { Pick } from '../telemetry/pick-log.js';
import type { PickReason } from '../transport/tracing.js';
import type { CalledService } from './service/called-service.js';
import type { Upstream } from './service/upstream.js';

/** The reasons why one process picks an instance of a service. For display; fields may be added. */
export interface Explanation {
  readonly service: string;
  readonly status: ServiceView['status'];
  /** True if our copy of the registry may be outdated. */
  readonly isStale: boolean;
  readonly callsUnderWay: number;
  /** Retries that the budget currently allows. */
  readonly retriesLeft: number;
  /** One entry for each protocol that has been used. */
  readonly protocols: readonly ProtocolExplanation[];
}

export interface ProtocolExplanation {
  readonly protocol: Protocol;
  readonly balancer: string;
  /** `CLOSED`: no instance is ejected; `DEGRADED`: some are; `OPEN`: no instance can be called. */
  readonly state: ServiceState;
  /** The lowest tier with an instance that can be called; null: no instance can be called. */
  readonly tierInUse: number | null;
  /** Calls that wait because no instance accepts them: all are at their limit, ejected or not callable. */
  readonly callsPending: number;
  /** How long the oldest waiting call has waited, ms; null: no call waits. */
  readonly pendingForMs: number | null;
  readonly instances: readonly InstanceExplanation[];
  /** The last 16 picks, newest first. */
  readonly picks: readonly PickExplanation[];
}

/** The instance of an attempt, the reason for the attempt, and its outcome. */
export interface PickExplanation {
  readonly msAgo: number;
  readonly instance: InstanceId;
  readonly tier: number;
  /** The first attempt, a retry after a failed or slow attempt, or a hedge beside a slow attempt. */
  readonly reason: PickReason;
  /** True if the attempt was the probe of an ejected instance. */
  readonly isProbe: boolean;
  /** `success`, the kind of the failure, or `cancelled`; null: the attempt is under way. */
  readonly outcome: string | null;
  /** Null: the attempt is under way. */
  readonly tookMs: number | null;
}

export interface InstanceExplanation {
  readonly id: InstanceId;
  readonly address: string;
  readonly version: string;
  readonly zone: string;
  /** The state in the registry, and its reason. */
  readonly state: State;
  readonly reason: string;
  readonly admin: AdminState;
  /** Null: its state or admin state excludes it from calls. */
  readonly tier: number | null;
  /** False: outside of our zone or subset, and gets calls only when the preferred instances are full. */
  readonly isPreferred: boolean;
  /** `open`, `shut`, or `limited to n` concurrent calls, which is below `limit` because the instance does not answer. */
  readonly gate: string;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Why the instance is ejected; null: it is not ejected. */
  readonly ejected: 'errors' | 'absent' | null;
  readonly nextProbeInMs: number | null;
  readonly callsUnderWay: number;
  /** The adaptive limit of calls under way at the instance. */
  readonly limit: number;
  /** The load that the balancer compares; lower is better. */
  readonly load: number;
  readonly p99Ms: number | null;
  readonly lastSuccessMsAgo: number | null;
  /** Below 1 during the slow start: the share of its calls that the instance gets. */
  readonly warmth: number;
}

export function explain(callee: CalledService): Explanation {
  const now = callee.now();
  const { view } = callee;
  return {
    service: callee.service,
    status: view.status,
    isStale: view.stale,
    callsUnderWay: callee.inFlight,
    retriesLeft: callee.budget.left(now),
    protocols: callee.upstreams.map((upstream) => explainLane(upstream, callee, now)),
  };
}

function explainLane(upstream: Upstream<never>, callee: CalledService, now: number): ProtocolExplanation {
  const instances = Array.from(upstream.balancer.nodeStatuses(now), ([node, status]) => explainNode(node, status, now));
  const usable = instances.filter((instance) => instance.tier !== null && instance.gate !== 'shut');
  const tiers = usable.map((instance) => instance.tier ?? Infinity);
  return {
    protocol: upstream.protocol,
    balancer: balancerName(callee.policy.balancer),
    state: usable.length === 0 ? 'OPEN' : upstream.state,
    tierInUse: tiers.length === 0 ? null : Math.min(...tiers),
    callsPending: upstream.pending.size,
    pendingForMs: upstream.pending.oldestAt === null ? null : Math.round(now - upstream.pending.oldestAt),
    instances,
    picks: upstream.picks.list().map((pick) => explainPick(pick, now)),
  };
}

function explainPick({ at, ms, ...pick }: Pick, now: number): PickExplanation {
  return { msAgo: Math.round(now - at), ...pick, tookMs: ms === null ? null : Math.round(ms * 10) / 10 };
}

function explainNode(node: Node, status: NodeStatus, now: number): InstanceExplanation {
  const { instance, breaker, endpoint } = node;
  const gate = node.gate(now);
  return {
    id: node.id,
    address: addressOf(endpoint),
    version: instance.version,
    zone: instance.zone,
    state: instance.state,
    reason: instance.reason.text,
    admin: instance.admin,
    ...status,
    gate: gateText(gate < node.limit.gate ? gate : OPEN),
    breaker: breaker.stateAt(now),
    ejected: breaker.cause,
    nextProbeInMs: breaker.probeAt === Infinity ? null : Math.max(0, Math.round(breaker.probeAt - now)),
    callsUnderWay: node.inFlight,
    limit: node.limit.gate,
    load: Math.round(node.cost(now) * 100) / 100,
    p99Ms: node.latency.p99Ms(now),
    lastSuccessMsAgo: node.lastSuccessAt === -Infinity ? null : Math.round(now - node.lastSuccessAt),
    warmth: node.warmth(now),
  };
}
