/** The calls between services as a table, the edges that need attention first. */
import { hasOpenCircuit, p99Text, qualified, rateText, successText, worstEdgeFirst } from '../registry/traffic.js';
import type { Edge } from '../registry/traffic.js';
import { columnsOf, shortened } from '../terminal/columns.js';
import { aligned, countText } from '../terminal/texts.js';

/** Options of the table. */
export interface EdgeTableOptions {
  readonly hasNamespaces: boolean;
  /** Columns: names are cut if the rows would be wider. */
  readonly width: number;
  /** The maximum number of edges that are shown; the others are counted. */
  readonly maxEdges: number;
}

const HEAD = ['CALLER', 'CALLED', 'CALLS', 'SUCCESS', 'FAILED', 'ELSEWHERE', 'P99', 'CIRCUIT'];
/** The minimum width of a name that is cut. */
const MIN_NAME_WIDTH = 12;
const GAP = 2;

/**
 * Calls a second, success after retries, calls that failed and attempts that went elsewhere in the last windows, the
 * slowest caller's p99.
 */
export function edgeTable(
  edges: readonly Edge[],
  { hasNamespaces, width, maxEdges }: EdgeTableOptions,
): readonly string[] {
  const sorted = edges.toSorted(worstEdgeFirst);
  const shown = sorted.slice(0, maxEdges);
  const rows = [HEAD, ...shown.map((edge) => cellsOf(hasNamespaces ? qualified(edge) : edge))];
  const widest = (column: number): number => Math.max(...rows.map((row) => columnsOf(row[column] ?? '')));
  const numbers = HEAD.slice(2).reduce((sum, _, at) => sum + widest(at + 2) + GAP, 0);
  const share = Math.floor((width - numbers - GAP) / 2);
  // the width that one name does not need is given to the other
  const [caller, called] = [widest(0), widest(1)];
  const maxCaller = Math.max(MIN_NAME_WIDTH, share, 2 * share - called);
  const maxCalled = Math.max(MIN_NAME_WIDTH, share, 2 * share - Math.min(caller, maxCaller));
  const fitted = rows.map(([from = '', to = '', ...rest]) => [
    shortened(from, maxCaller),
    shortened(to, maxCalled),
    ...rest,
  ]);
  return [...aligned(fitted), ...hiddenLines(sorted.slice(maxEdges))];
}

function hiddenLines(hidden: readonly Edge[]): readonly string[] {
  if (hidden.length === 0) return [];
  const failing = hidden.filter(({ failures }) => failures > 0).length;
  const what = failing === 0 ? 'none of their calls failed' : `calls of ${countText(failing)} of them failed`;
  return [`… and ${countText(hidden.length)} more, ${what}: --all`];
}

function cellsOf(edge: Edge): readonly string[] {
  const { from, to, calls, failures, retries } = edge;
  const open = edge.targets.filter((target) => target.circuitsOpen > 0).length;
  return [
    from,
    to,
    rateText(edge),
    successText(edge),
    `${countText(failures)} of ${countText(calls)}`,
    countText(retries),
    p99Text(edge).replace('p99 ', ''),
    hasOpenCircuit(edge) ? `open to ${countText(open)} of ${countText(edge.targets.length)}` : '–',
  ];
}
