import { DEFAULT_NAMESPACE } from '@rollcall/core';
import { countText, printable, tripText } from '../terminal/texts.js';
import { numberAt, recordsAt } from './json.js';
import type { Json } from './json.js';

/** The calls from all instances of one service to another, from recent reports of the callers. */
export interface Edge {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  readonly perSecond: number;
  readonly calls: number;
  readonly failures: number;
  /** Attempts after the first, without hedges. */
  readonly retries: number;
  /** The highest of the callers; null: too few calls. */
  readonly p99Ms: number | null;
  /** Calls under way. */
  readonly inFlight: number;
  /** The age of the newest report. */
  readonly ageMs: number;
  readonly targets: readonly Target[];
}

/** The same for one instance, in attempts. */
export interface Target {
  readonly instance: string;
  readonly perSecond: number;
  readonly failures: number;
  readonly p99Ms: number | null;
  /** The number of callers whose circuit to it is not closed. */
  readonly circuitsOpen: number;
}

/** All calls together. */
export interface CallsSum {
  readonly perSecond: number;
  /** From the last windows of all callers. */
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
  readonly p99Ms: number | null;
}

/** The edges in an answer of /api/v1/topology, by `from` and `to`; missing fields count as nothing. */
export function edgesIn(topology: Json): readonly Edge[] {
  return recordsAt(topology, 'edges').map((edge) => ({
    namespace: nameIn(edge['namespace'] ?? DEFAULT_NAMESPACE),
    from: nameIn(edge['from']),
    to: nameIn(edge['to']),
    perSecond: numberAt(edge, 'callsPerSecond') ?? 0,
    calls: numberAt(edge, 'calls') ?? 0,
    failures: numberAt(edge, 'failures') ?? 0,
    retries: numberAt(edge, 'retries') ?? 0,
    p99Ms: numberAt(edge, 'p99Ms'),
    inFlight: numberAt(edge, 'inFlight') ?? 0,
    ageMs: numberAt(edge, 'ageMs') ?? 0,
    targets: recordsAt(edge, 'targets').map(targetIn),
  }));
}

/** Replaces characters that could control a terminal or end a quoted text. */
const nameIn = (received: unknown): string => printable(String(received)).replaceAll('"', '?');

function targetIn(target: Json): Target {
  return {
    instance: nameIn(target['instance']),
    perSecond: numberAt(target, 'callsPerSecond') ?? 0,
    failures: numberAt(target, 'failures') ?? 0,
    p99Ms: numberAt(target, 'p99Ms'),
    circuitsOpen: (numberAt(target, 'circuits', 'open') ?? 0) + (numberAt(target, 'circuits', 'halfOpen') ?? 0),
  };
}

/** Null if no call was reported. */
export function sumOf(edges: readonly Edge[]): CallsSum | null {
  if (edges.length === 0) return null;
  const totalOf = (of: (edge: Edge) => number): number => edges.reduce((sum, edge) => sum + of(edge), 0);
  const p99s = edges.flatMap(({ p99Ms }) => p99Ms ?? []);
  return {
    perSecond: totalOf(({ perSecond }) => perSecond),
    calls: totalOf(({ calls }) => calls),
    failures: totalOf(({ failures }) => failures),
    retries: totalOf(({ retries }) => retries),
    p99Ms: p99s.length === 0 ? null : Math.max(...p99s),
  };
}

/** `100.00 %`, rounded down: a single failure is visible; `–` without calls. */
export function successText({ calls, failures }: Pick<CallsSum, 'calls' | 'failures'>): string {
  if (calls === 0) return '–';
  return `${(Math.floor((10_000 * (calls - failures)) / calls) / 100).toFixed(2)} %`;
}

/** `2.0/s`, `1,204/s` */
export const rateText = ({ perSecond }: Pick<CallsSum, 'perSecond'>): string =>
  `${perSecond < 10 ? perSecond.toFixed(1) : countText(Math.round(perSecond))}/s`;

/** `p99 42 ms`; `p99 –` if there are too few calls. */
export const p99Text = ({ p99Ms }: Pick<CallsSum, 'p99Ms'>): string => `p99 ${p99Ms === null ? '–' : tripText(p99Ms)}`;

/** True if a circuit of a caller to one of its instances is not closed. */
export const hasOpenCircuit = ({ targets }: Pick<Edge, 'targets'>): boolean =>
  targets.some(({ circuitsOpen }) => circuitsOpen > 0);

/** The edges with the largest share of failures first, then those with an open circuit, then the busiest. */
export function worstEdgeFirst(a: Edge, b: Edge): number {
  const byFailures = failedShare(b) - failedShare(a);
  const byCircuit = Number(hasOpenCircuit(b)) - Number(hasOpenCircuit(a));
  return byFailures || byCircuit || b.perSecond - a.perSecond;
}

const failedShare = ({ calls, failures }: Edge): number => (failures === 0 ? 0 : failures / Math.max(calls, failures));

/** The same calls, with names that begin with their namespace. */
export const qualified = (edge: Edge): Edge => ({
  ...edge,
  from: `${edge.namespace}/${edge.from}`,
  to: `${edge.namespace}/${edge.to}`,
});

/** The number of callers per instance whose circuit to it is not closed; instances without any are left out. */
export function openCircuits(edges: readonly Edge[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const { instance, circuitsOpen } of edges.flatMap(({ targets }) => targets)) {
    if (circuitsOpen > 0) found.set(instance, (found.get(instance) ?? 0) + circuitsOpen);
  }
  return found;
}
