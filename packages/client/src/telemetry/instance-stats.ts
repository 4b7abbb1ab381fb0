import { CIRCUITS } from '@rollcall/core';
import type { Circuit, EdgeTarget, InstanceId } from '@rollcall/core';
import type { Node } from '../balance/nodes/node.js';
import { CALLS, FAILURES } from '../balance/nodes/window-counts.js';

/** The part of a service's upstream that the statistics of its instances need. */
interface Nodes {
  readonly balancer: { readonly nodes: Iterable<Node> };
}

/** The severity of a circuit: higher is worse. */
const RANKS: Readonly<Record<Circuit, number>> = { closed: 0, 'half-open': 1, open: 2 };

/**
 * The instances of a service that were called in the last whole window, over all protocols, and those whose circuit is not closed. Called
 * for each heartbeat; it visits every node once, and computes latencies only for the `most` worst instances, worst first.
 */
export function targetsOf(lanes: readonly Nodes[], now: number, max: number): readonly EdgeTarget[] {
  const found = new Map<InstanceId, Found>();
  for (const { balancer } of lanes) for (const node of balancer.nodes) note(found, node, now);
  if (found.size === 0) return [];
  const worst = [...found.values()].toSorted(compareSeverity).slice(0, max);
  return worst.map(({ instance, calls, failures, circuit, nodes }) => {
    const p99s = nodes.map((node) => node.latency.p99Ms(now) ?? -1);
    const p99Ms = Math.max(...p99s);
    return { instance, calls, failures, p99Ms: p99Ms < 0 ? null : p99Ms, circuit };
  });
}

/** Orders instances by circuit, then by failures, then by calls, the worst first. */
export function compareSeverity(one: TargetStats, other: TargetStats): number {
  return RANKS[other.circuit] - RANKS[one.circuit] || other.failures - one.failures || other.calls - one.calls;
}

type TargetStats = Pick<EdgeTarget, 'circuit' | 'failures' | 'calls'>;

/** One instance, over all protocols. */
interface Found {
  readonly instance: InstanceId;
  calls: number;
  failures: number;
  circuit: Circuit;
  readonly nodes: Node[];
}

function note(found: Map<InstanceId, Found>, node: Node, now: number): void {
  const calls = node.counted(CALLS, now);
  const circuit = node.isCalm ? 'closed' : node.breaker.stateAt(now);
  if (calls === 0 && circuit === 'closed') return;
  const known = found.get(node.id) ?? { instance: node.id, calls: 0, failures: 0, circuit: CIRCUITS[0], nodes: [] };
  found.set(node.id, known);
  known.calls += calls;
  known.failures += node.counted(FAILURES, now);
  if (RANKS[circuit] > RANKS[known.circuit]) known.circuit = circuit;
  known.nodes.push(node);
}
