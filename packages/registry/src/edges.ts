import type { Edge, Instance, Time } from '@rollcall/core';

/** Calls from all instances of one service to another, over the last window that each of the callers told of. */
export interface ServiceEdge {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  /** Instances of `from` that told of it. */
  readonly callers: number;
  readonly calls: number;
  /** Of all callers together. */
  readonly callsPerSecond: number;
  readonly failures: number;
  readonly retries: number;
  /** The callers' medians, weighted by their calls; null: too few calls to say. */
  readonly p50Ms: number | null;
  /** The highest of the callers: at least 99 of 100 calls of each of them took no longer. */
  readonly p99Ms: number | null;
  readonly inFlight: number;
  /** How long ago the newest of it came, ms. */
  readonly ageMs: number;
}

export interface TopologyAnswer {
  /** What callers told within so many ms; older words are forgotten. */
  readonly withinMs: number;
  /** By `namespace`, `from` and `to`. */
  readonly edges: readonly ServiceEdge[];
}

/** What one instance told. */
interface Report {
  readonly namespace: string;
  readonly from: string;
  readonly edges: readonly Edge[];
  readonly at: number;
}

/** A caller that says nothing for so many heartbeats calls nobody, or is gone. */
const KEPT_INTERVALS = 3;
/** Windows may be longer than intervals. */
const LEAST_KEPT_MS = 15_000;
/** Of all instances together, some 150 bytes each; what comes beyond it is not kept. */
const MOST_KEPT = 100_000;

/**
 * Who calls whom, as the callers tell with their Heartbeats-2: of each instance its last word, in memory only, and nothing is decided
 * from it. A new word costs nothing but its place; sums are made when somebody asks.
 */
export class Edges {
  readonly #time: Pick<Time, 'now'>;
  readonly #keptMs: number;
  readonly #most: number;
  /** By the caller's id; the longest silent first. */
  readonly #reports = new Map<string, Report>();
  #count = 0;

  /** `most`: edges that are kept. */
  constructor(time: Pick<Time, 'now'>, intervalMs: number, most: number = MOST_KEPT) {
    this.#time = time;
    this.#keptMs = Math.max(LEAST_KEPT_MS, KEPT_INTERVALS * intervalMs);
    this.#most = most;
  }

  note({ id, namespace, service }: Pick<Instance, 'id' | 'namespace' | 'service'>, edges: readonly Edge[]): void {
    const now = this.#time.now();
    this.#forget(now);
    this.#drop(id);
    if (edges.length === 0 || this.#count + edges.length > this.#most) return;
    this.#reports.set(id, { namespace, from: service, edges, at: now });
    this.#count += edges.length;
  }

  /** Of one namespace, or of all (`*`). */
  topology(namespace: string): TopologyAnswer {
    const now = this.#time.now();
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
    this.#count -= this.#reports.get(id)?.edges.length ?? 0;
    this.#reports.delete(id);
  }
}

interface Sum {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  /** An instance that tells of a service twice is one caller. */
  readonly callers: Set<Report>;
  calls: number;
  perSecond: number;
  failures: number;
  retries: number;
  /** Of the calls that have a median: how many, and the sum of their medians. */
  measured: number;
  p50Sum: number;
  p99Ms: number | null;
  inFlight: number;
  at: number;
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
}

function blank(namespace: string, from: string, to: string): Sum {
  const counts = { calls: 0, perSecond: 0, failures: 0, retries: 0, measured: 0, p50Sum: 0, inFlight: 0 };
  return { namespace, from, to, callers: new Set(), ...counts, p99Ms: null, at: -Infinity };
}

function edgeOf({ callers, perSecond, measured, p50Sum, at, ...sum }: Sum, now: number): ServiceEdge {
  return {
    ...sum,
    callers: callers.size,
    callsPerSecond: tenths(perSecond),
    p50Ms: measured === 0 ? null : tenths(p50Sum / measured),
    ageMs: Math.round(now - at),
  };
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
