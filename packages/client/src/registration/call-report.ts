import { MAX_EDGES, MAX_TARGETS } from '@rollcall/core';
import type { Edge, EdgeTarget } from '@rollcall/core';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { compareSeverity } from '../telemetry/instance-stats.js';

/** The registry accepts bodies of 16 KiB; the other fields of a beat take at most about 200 bytes. All its texts are ASCII. */
const MAX_BYTES = 15_500;
/** The size of `,"targets":[]` in an edge that has targets. */
const TARGETS_BYTES = 13;

/**
 * The report about the services that this process calls, as part of its heartbeats: the 64 busiest services and, as far as they fit, the
 * instances that took the calls, those with the most failures first; numbers are rounded to a useful precision. It is sent again only with
 * new data: another window, or a circuit that opened or closed.
 */
export class CallReport {
  readonly #stats: () => readonly EdgeStats[];
  /** The signature of the last report of each service. */
  #reported: ReadonlyMap<string, string> = new Map();

  constructor(stats: () => readonly EdgeStats[]) {
    this.#stats = stats;
  }

  /**
   * The complete report, since a registry keeps only the last one; empty without new data. A window that was already sent is recognised by
   * its number.
   */
  take(): readonly Edge[] {
    const stats = this.#stats();
    if (stats.length === 0) return [];
    // services that are no longer called are dropped
    const before = this.#reported;
    this.#reported = new Map(stats.map((one) => [one.service, signatureOf(one)]));
    if (stats.every(({ service }) => before.get(service) === this.#reported.get(service))) return [];
    return withTargets(stats.toSorted((one, other) => other.calls - one.calls).slice(0, MAX_EDGES));
  }
}

/** A report with the same signature need not be sent again. */
function signatureOf({ window, targets }: EdgeStats): string {
  const open = targets.filter(({ circuit }) => circuit !== 'closed').map((one) => `${one.instance} ${one.circuit}`);
  return [window, ...open.toSorted()].join(',');
}

/** The edges, with as many of their targets as fit: those with the most failures, of all services. */
function withTargets(stats: readonly EdgeStats[]): readonly Edge[] {
  const edges = stats.map((one) => edgeOf(one));
  let room = MAX_BYTES - edges.reduce((sum, edge) => sum + sizeOf(edge), 0);
  const all = stats.flatMap(({ targets }, at) => targets.map((target) => ({ ...target, at })));
  const chosen: EdgeTarget[][] = edges.map(() => []);
  for (const { at, ...target } of all.toSorted(compareSeverity).slice(0, MAX_TARGETS)) {
    const rounded = { ...target, p99Ms: roundedMs(target.p99Ms) };
    const targets = chosen[at] ?? [];
    room -= sizeOf(rounded) + (targets.length === 0 ? TARGETS_BYTES : 0);
    if (room < 0) break;
    targets.push(rounded);
  }
  return edges.map((edge, at) => {
    const targets = chosen[at] ?? [];
    return targets.length === 0 ? edge : { ...edge, targets };
  });
}

/** The size of the part as JSON, with the comma after it. */
const sizeOf = (part: object): number => JSON.stringify(part).length + 1;

function edgeOf(stats: EdgeStats): Edge {
  const { targets: _, ...edge } = stats;
  return { ...edge, p50Ms: roundedMs(edge.p50Ms), p99Ms: roundedMs(edge.p99Ms) };
}

function roundedMs(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
