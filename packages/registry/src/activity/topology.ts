import type {
  Circuit,
  Edge,
  EdgeTarget,
  Instance,
  Policy,
  ServiceEdge,
  TargetEdge,
  Time,
  TopologyAnswer,
} from '@rollcall/core';
import type { CircuitEvents } from './circuits.js';
import type { Traffic } from './traffic.js';

/** The report of one instance. */
interface Report {
  readonly namespace: string;
  readonly from: string;
  readonly edges: readonly Edge[];
  /** The number of `edges` and their targets. */
  readonly size: number;
  readonly at: number;
}

/** A caller without a report for this number of heartbeats makes no calls any more, or was removed. */
const KEPT_INTERVALS = 3;
/** Windows may be longer than intervals. */
const MIN_KEPT_MS = 15_000;
/** The maximum of edges and targets of all instances, some 150 bytes each; more are not kept, edges last. */
const MAX_KEPT = 100_000;
/** The maximum of targets that the answer lists per edge. */
const MAX_REPORTED_TARGETS = 500;

export interface EdgesPorts {
  readonly time: Pick<Time, 'now'>;
  readonly policy: Pick<Policy, 'intervalMs'>;
  /** Receives the reported calls, each window of a caller once. */
  readonly traffic: Pick<Traffic, 'note'>;
  readonly circuits: Pick<CircuitEvents, 'note'>;
}

/**
 * The graph of calls, as callers report it with their Heartbeats-2: the last report of each instance, in memory only;
 * no decision depends on it. A new report costs only its storage; sums are computed on request.
 */
export class Topology {
  readonly #ports: EdgesPorts;
  readonly #keptMs: number;
  readonly #max: number;
  /** By the caller's id; the one that reported longest ago comes first. */
  readonly #reports = new Map<string, Report>();
  #count = 0;

  /** `max`: edges and targets that are kept. */
  constructor(ports: EdgesPorts, max: number = MAX_KEPT) {
    this.#ports = ports;
    this.#keptMs = Math.max(MIN_KEPT_MS, KEPT_INTERVALS * ports.policy.intervalMs);
    this.#max = max;
  }

  note(caller: Instance, news: readonly Edge[]): void {
    const { time, traffic, circuits } = this.#ports;
    const { id, namespace, service: from } = caller;
    const now = time.now();
    this.#forget(now);
    const before = this.#reports.get(id);
    this.#drop(id);
    const edges = this.#fitting(news);
    circuits.note(caller, news);
    if (edges.length === 0) return;
    const size = sizeOf(edges);
    this.#reports.set(id, { namespace, from, edges, size, at: now });
    this.#count += size;
    for (const edge of edges) {
      if (before?.edges.some((one) => isSameWindow(one, edge)) !== true)
        traffic.note({ namespace, from, to: edge.service }, edge);
    }
  }

  /** The topology of one namespace, or of all (`*`). */
  topology(namespace: string): TopologyAnswer {
    const now = this.#ports.time.now();
    this.#forget(now);
    const sums = new Map<string, Sum>();
    for (const report of this.#reports.values()) {
      if (namespace !== '*' && report.namespace !== namespace) continue;
      for (const edge of report.edges) addTo(sums, report, edge);
    }
    const edges = [...sums.entries()].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return { withinMs: this.#keptMs, edges: edges.map(([, sum]) => edgeOf(sum, now)) };
  }

  #forget(now: number): void {
    for (const [id, { at }] of this.#reports) {
      if (now - at <= this.#keptMs) return;
      this.#drop(id);
    }
  }

  #drop(id: string): void {
    this.#count -= this.#reports.get(id)?.size ?? 0;
    this.#reports.delete(id);
  }

  /** As much as there is room for: all, the edges without their targets, or nothing. */
  #fitting(edges: readonly Edge[]): readonly Edge[] {
    const room = this.#max - this.#count;
    if (sizeOf(edges) <= room) return edges;
    return edges.length <= room ? edges.map(withoutTargets) : [];
  }
}

function withoutTargets(edge: Edge): Edge {
  const { targets: _, ...rest } = edge;
  return rest;
}

function sizeOf(edges: readonly Edge[]): number {
  return edges.reduce((sum, { targets = [] }) => sum + 1 + targets.length, 0);
}

const isSameWindow = (one: Edge, other: Edge): boolean =>
  one.service === other.service && one.window !== undefined && one.window === other.window;

interface Sum {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  /** An instance that reports a service twice counts once. */
  readonly callers: Set<Report>;
  calls: number;
  perSecond: number;
  failures: number;
  retries: number;
  /** The number of calls that have a median, and the sum of their medians. */
  measured: number;
  p50Sum: number;
  p99Ms: number | null;
  inFlight: number;
  at: number;
  readonly targets: Map<string, TargetSum>;
}

function addTo(sums: Map<string, Sum>, report: Report, edge: Edge): void {
  const { namespace, from, at } = report;
  const key = `${namespace}/${from}/${edge.service}`;
  const sum = sums.get(key) ?? blank(namespace, from, edge.service);
  sums.set(key, sum);
  sum.callers.add(report);
  sum.calls += edge.calls;
  sum.perSecond += edge.calls / (edge.windowMs / 1_000);
  sum.failures += edge.failures;
  sum.retries += edge.retries;
  if (edge.p50Ms !== null) {
    sum.measured += edge.calls;
    sum.p50Sum += edge.calls * edge.p50Ms;
  }
  if (edge.p99Ms !== null) sum.p99Ms = Math.max(sum.p99Ms ?? 0, edge.p99Ms);
  sum.inFlight += edge.inFlight;
  sum.at = Math.max(sum.at, at);
  for (const target of edge.targets ?? []) addTarget(sum.targets, target, report, edge.windowMs);
}

interface TargetSum {
  perSecond: number;
  failures: number;
  p99Ms: number | null;
  readonly circuits: Record<keyof TargetEdge['circuits'], number>;
  /** The caller whose circuit was counted last: one that reports it twice counts once. */
  by: Report | null;
}

const CIRCUIT_FIELDS: Readonly<Record<Circuit, keyof TargetEdge['circuits']>> = {
  closed: 'closed',
  open: 'open',
  'half-open': 'halfOpen',
};

function addTarget(sums: Map<string, TargetSum>, target: EdgeTarget, by: Report, windowMs: number): void {
  const blankSum = { perSecond: 0, failures: 0, p99Ms: null, circuits: { closed: 0, open: 0, halfOpen: 0 }, by: null };
  const sum: TargetSum = sums.get(target.instance) ?? blankSum;
  sums.set(target.instance, sum);
  sum.perSecond += target.calls / (windowMs / 1_000);
  sum.failures += target.failures;
  if (target.p99Ms !== null) sum.p99Ms = Math.max(sum.p99Ms ?? 0, target.p99Ms);
  if (sum.by !== by) sum.circuits[CIRCUIT_FIELDS[target.circuit]] += 1;
  sum.by = by;
}

function targetEdges(sums: ReadonlyMap<string, TargetSum>): readonly TargetEdge[] {
  const notClosed = ({ circuits }: TargetSum): number => circuits.open + circuits.halfOpen;
  const worst = [...sums].toSorted(
    ([oneId, one], [otherId, other]) =>
      notClosed(other) - notClosed(one) || other.failures - one.failures || (oneId < otherId ? -1 : 1),
  );
  return worst.slice(0, MAX_REPORTED_TARGETS).map(([instance, { perSecond, failures, p99Ms, circuits }]) => {
    return { instance, callsPerSecond: tenths(perSecond), failures, p99Ms, circuits };
  });
}

function blank(namespace: string, from: string, to: string): Sum {
  const counts = { calls: 0, perSecond: 0, failures: 0, retries: 0, measured: 0, p50Sum: 0, inFlight: 0 };
  return { namespace, from, to, callers: new Set(), ...counts, p99Ms: null, at: -Infinity, targets: new Map() };
}

function edgeOf({ callers, perSecond, measured, p50Sum, at, targets, ...sum }: Sum, now: number): ServiceEdge {
  return {
    ...sum,
    callers: callers.size,
    callsPerSecond: tenths(perSecond),
    p50Ms: measured === 0 ? null : tenths(p50Sum / measured),
    ageMs: Math.round(now - at),
    circuits: circuitsOf(targets),
    targets: targetEdges(targets),
  };
}

function circuitsOf(targets: ReadonlyMap<string, TargetSum>): TargetEdge['circuits'] {
  const sum = { closed: 0, open: 0, halfOpen: 0 };
  for (const { circuits } of targets.values()) {
    sum.closed += circuits.closed;
    sum.open += circuits.open;
    sum.halfOpen += circuits.halfOpen;
  }
  return sum;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
