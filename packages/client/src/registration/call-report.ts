import { MOST_EDGES, MOST_TARGETS } from '@rollcall/core';
import type { Edge, EdgeTarget } from '@rollcall/core';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { byBadness } from '../telemetry/instance-stats.js';

/** A registry takes bodies of 16 KiB; the rest of a beat has at most some 200 bytes. All texts in it are ASCII. */
const MOST_BYTES = 15_500;
/** Of an edge that has any: `,"targets":[]`. */
const TARGETS_BYTES = 13;

/**
 * What our heartbeats tell of the services we call: the busiest 64 services of a moment, and, as far as there is room, whom exactly the
 * calls went to, those that stand worst first; numbers rounded to what somebody can see. It is told again only when there is something
 * new: another window, or a circuit that opened or closed.
 */
export class CallReport {
  readonly #stats: () => readonly EdgeStats[];
  /** What was told last of each service. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(stats: () => readonly EdgeStats[]) {
    this.#stats = stats;
  }

  /**
   * All of it, since a registry keeps only the last word; empty when nothing is new. What belongs to a window that was told before is
   * known by the window's number.
   */
  take(): readonly Edge[] {
    const stats = this.#stats();
    if (stats.length === 0) return [];
    // who is not called any more is forgotten
    const before = this.#told;
    this.#told = new Map(stats.map((one) => [one.service, signatureOf(one)]));
    if (stats.every(({ service }) => before.get(service) === this.#told.get(service))) return [];
    return withTargets(stats.toSorted((one, other) => other.calls - one.calls).slice(0, MOST_EDGES));
  }
}

/** The same for what need not be told again. */
function signatureOf({ window, targets }: EdgeStats): string {
  const open = targets.filter(({ circuit }) => circuit !== 'closed').map((one) => `${one.instance} ${one.circuit}`);
  return [window, ...open.toSorted()].join(',');
}

/** The edges, and of their targets as many as there is room for: those that stand worst, of whichever service. */
function withTargets(stats: readonly EdgeStats[]): readonly Edge[] {
  const edges = stats.map((one) => edgeOf(one));
  let room = MOST_BYTES - edges.reduce((sum, edge) => sum + sizeOf(edge), 0);
  const all = stats.flatMap(({ targets }, at) => targets.map((target) => ({ ...target, at })));
  const told: EdgeTarget[][] = edges.map(() => []);
  for (const { at, ...target } of all.toSorted(byBadness).slice(0, MOST_TARGETS)) {
    const rounded = { ...target, p99Ms: roundedMs(target.p99Ms) };
    const beside = told[at] ?? [];
    room -= sizeOf(rounded) + (beside.length === 0 ? TARGETS_BYTES : 0);
    if (room < 0) break;
    beside.push(rounded);
  }
  return edges.map((edge, at) => {
    const targets = told[at] ?? [];
    return targets.length === 0 ? edge : { ...edge, targets };
  });
}

/** With the comma behind it. */
const sizeOf = (part: object): number => JSON.stringify(part).length + 1;

function edgeOf(stats: EdgeStats): Edge {
  const { targets: _, ...edge } = stats;
  return { ...edge, p50Ms: roundedMs(edge.p50Ms), p99Ms: roundedMs(edge.p99Ms) };
}

function roundedMs(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
