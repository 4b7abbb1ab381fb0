/** The calls of one service, for `rollcall watch`. */
import { hasOpenCircuit, p99Text, rateText, successText, sumOf } from '../registry/traffic.js';
import type { Edge } from '../registry/traffic.js';
import { columnsOf, shortened } from '../terminal/columns.js';
import { jsonText } from '../terminal/json-text.js';
import type { Span } from '../terminal/paint.js';
import { aligned, countText } from '../terminal/texts.js';

/** The maximum number of rows; edges with failures come first. */
const MAX_ROWS = 8;
/** The minimum interval of lines, unless failures begin or end. */
const PRINT_EVERY_MS = 30_000;

/** The edges of a service: those to it, then those from it. */
export function edgesOf(edges: readonly Edge[], service: string): readonly Edge[] {
  return [...edges.filter(({ to }) => to === service), ...edges.filter((edge) => isOnlyFrom(edge, service))];
}

const isOnlyFrom = ({ from, to }: Edge, service: string): boolean => from === service && to !== service;

/** A row for each edge: `gateway → orders  40.8/s  success 100.00 %  0 of 204 failed  p99 42 ms`. */
export function trafficRows(
  edges: readonly Edge[],
  { hasNamespaces, width, lines }: TrafficOptions,
): readonly (readonly Span[])[] {
  const sorted = edges.toSorted((a, b) => b.failures - a.failures);
  const worst = sorted.slice(0, MAX_ROWS).map((edge) => ({
    parts: partsOf(edge, hasNamespaces),
    numbers: [...numbersOf(edge), hasOpenCircuit(edge) ? 'circuit open' : ''],
  }));
  const wide = aligned(worst.map(({ parts, numbers }) => [parts.join(''), ...numbers]));
  const isNarrow = wide.some((text) => columnsOf(text) > width);
  // one line is reserved for the number of others
  const shown = Math.max(1, Math.min(worst.length, Math.floor((lines - 1) / (isNarrow ? 2 : 1))));
  const numbers = aligned(worst.map((row) => row.numbers));
  const narrow = worst.map(({ parts }, at) => [shortenParts(parts, width), `  ${numbers[at] ?? ''}`]);
  const texts = isNarrow ? narrow.slice(0, shown).flat() : wide.slice(0, shown);
  const hiddenCount = edges.length - shown;
  const word = hiddenCount === 1 ? 'edge' : 'edges';
  const hiddenRows: readonly (readonly Span[])[] =
    hiddenCount > 0 ? [[{ text: `and ${hiddenCount} more ${word}`, look: 'faint' }]] : [];
  return [...texts.map((text) => [{ text }]), ...hiddenRows];
}

/** The available space. */
interface TrafficOptions {
  readonly hasNamespaces: boolean;
  /** Columns: if there are too few, the numbers are below the names. */
  readonly width: number;
  /** The maximum number of lines, but at least one edge. */
  readonly lines: number;
}

/** Names, and the separator between them. */
const partsOf = ({ namespace, from, to }: Edge, hasNamespaces: boolean): readonly string[] => [
  ...(hasNamespaces ? [namespace, '/'] : []),
  from,
  ' → ',
  to,
];

/** Fits the parts into the width: if it is too small, each long name has an equal share. */
function shortenParts(parts: readonly string[], width: number): string {
  const text = parts.join('');
  if (columnsOf(text) <= width) return text;
  const names = Math.ceil(parts.length / 2);
  const signs = parts.filter((_, at) => at % 2 === 1).join('').length;
  const share = Math.max(2, Math.floor((width - signs) / names));
  return parts.map((part, at) => (at % 2 === 1 ? part : shortened(part, share))).join('');
}

type Numbers = Pick<Edge, 'perSecond' | 'calls' | 'failures' | 'p99Ms'>;

function numbersOf(numbers: Numbers): readonly string[] {
  const { calls, failures } = numbers;
  return [
    rateText(numbers),
    `success ${successText(numbers)}`,
    `${countText(failures)} of ${countText(calls)} failed`,
    p99Text(numbers),
  ];
}

/** Decides when the traffic of a service is printed as a line: at first, when failures begin or end, and twice a minute.
 * Takes `now`, monotonic ms.
 */
export class TrafficThrottle {
  readonly #service: string;
  #printedAt = -Infinity;
  #failed = false;

  constructor(service: string) {
    this.#service = service;
  }

  /** The calls of the service that are new; null: none. In one namespace, or in all of them together. */
  update(edges: readonly Edge[], now: number): Traffic | null {
    const inbound = edges.filter(({ to }) => to === this.#service);
    const sum = sumOf(inbound);
    if (sum === null) return null;
    const failed = sum.failures > 0;
    if (failed === this.#failed && now - this.#printedAt < PRINT_EVERY_MS) return null;
    this.#printedAt = now;
    this.#failed = failed;
    return { service: this.#service, sum, edges };
  }
}

export interface Traffic {
  readonly service: string;
  /** Sums over all calls to it. */
  readonly sum: NonNullable<ReturnType<typeof sumOf>>;
  readonly edges: readonly Edge[];
}

/** `2.0/s  success 90.00 %  1 of 10 failed  p99 42 ms` */
export const trafficText = ({ sum }: Traffic): string => numbersOf(sum).join('  ');

/** `at`: wall clock, ms since 1970. */
export function trafficJson({ service, sum, edges }: Traffic, namespace: string, at: number): string {
  const { perSecond: callsPerSecond, calls, failures, retries, p99Ms } = sum;
  const numbers = { callsPerSecond, calls, failures, retries, p99Ms };
  return jsonText({ at, change: 'traffic', namespace, service, ...numbers, edges });
}
