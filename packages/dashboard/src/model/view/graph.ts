/** The layout of services and edges of the topology; dagre is loaded when it is shown. */
import type { ServiceEdge } from '../live/answers.js';

export interface PlacedNode {
  readonly key: string;
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

export interface PlacedEdge {
  readonly edge: ServiceEdge;
  /** From its caller to its service, ending at the arrowhead. */
  readonly path: string;
  /** The position of its p99. */
  readonly labelX: number;
  readonly labelY: number;
}

export interface Graph {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
}

export const NODE_WIDTH = 200;
export const NODE_HEIGHT = 54;
/** Room for the arrowhead before a node. */
const HEAD = 7;
/** An edge arrives straight: its p99 stands on a line, not on a curve. */
const LABEL_WIDTH = 52;

export const edgeKey = ({ namespace, from, to }: Pick<ServiceEdge, 'namespace' | 'from' | 'to'>): string =>
  `${namespace}/${from}>${to}`;

/** Left to right, callers before callees; services without calls in either direction are left out. */
export async function layOut(edges: readonly ServiceEdge[]): Promise<Graph> {
  const { Graph: DagreGraph, layout } = await import('@dagrejs/dagre');
  const graph = new DagreGraph({ multigraph: false });
  graph.setGraph({ rankdir: 'LR', nodesep: 34, ranksep: 118, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  const keys = new Set(edges.flatMap(({ namespace, from, to }) => [`${namespace}/${from}`, `${namespace}/${to}`]));
  for (const key of [...keys].toSorted()) graph.setNode(key, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const { namespace, from, to } of edges) {
    if (from !== to) graph.setEdge(`${namespace}/${from}`, `${namespace}/${to}`);
  }
  layout(graph);
  const places = new Map<string, PlacedNode>();
  for (const key of graph.nodes()) {
    const { x = 0, y = 0 } = graph.node(key) as { readonly x?: number; readonly y?: number };
    places.set(key, { key, name: key.slice(key.indexOf('/') + 1), x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 });
  }
  const { width = 0, height = 0 } = graph.graph() as { readonly width?: number; readonly height?: number };
  return { width, height, nodes: [...places.values()], edges: placeEdges(edges, places) };
}

/** Edges that meet at a node share its side, in the order of their other ends: few of them cross. */
function placeEdges(edges: readonly ServiceEdge[], places: ReadonlyMap<string, PlacedNode>): PlacedEdge[] {
  const yOf = (key: string): number => places.get(key)?.y ?? 0;
  const slots = (side: 'from' | 'to'): Map<string, number> => {
    const ports = new Map<string, number>();
    const groups = groupBy(edges, side);
    const other = side === 'from' ? 'to' : 'from';
    for (const [, group] of groups) {
      const sorted = group.toSorted((a, b) => yOf(`${a.namespace}/${a[other]}`) - yOf(`${b.namespace}/${b[other]}`));
      const step = Math.min(14, (NODE_HEIGHT - 16) / Math.max(1, sorted.length - 1));
      for (const [at, edge] of sorted.entries()) ports.set(edgeKey(edge), (at - (sorted.length - 1) / 2) * step);
    }
    return ports;
  };
  const out = slots('from');
  const into = slots('to');
  return edges.flatMap((edge) => {
    const from = places.get(`${edge.namespace}/${edge.from}`);
    const to = places.get(`${edge.namespace}/${edge.to}`);
    if (from === undefined || to === undefined) return [];
    const key = edgeKey(edge);
    const x1 = from.x + NODE_WIDTH;
    const y1 = from.y + NODE_HEIGHT / 2 + (out.get(key) ?? 0);
    const x2 = to.x - HEAD;
    const y2 = to.y + NODE_HEIGHT / 2 + (into.get(key) ?? 0);
    return [{ edge, path: curve({ x1, y1, x2, y2 }), labelX: x2 - 6, labelY: y2 + 4 }];
  });
}

function groupBy(edges: readonly ServiceEdge[], side: 'from' | 'to'): Map<string, ServiceEdge[]> {
  const groups = new Map<string, ServiceEdge[]>();
  for (const edge of edges) {
    const key = `${edge.namespace}/${edge[side]}`;
    groups.set(key, [...(groups.get(key) ?? []), edge]);
  }
  return groups;
}

interface Ends {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** A call back to the left goes around below. */
function curve({ x1, y1, x2, y2 }: Ends): string {
  if (x2 > x1) {
    const arrival = Math.max(x1, x2 - LABEL_WIDTH);
    const bend = Math.min(90, (arrival - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${arrival - bend} ${y2} ${arrival} ${y2}H${x2}`;
  }
  const below = Math.max(y1, y2) + NODE_HEIGHT;
  return `M${x1} ${y1}C${x1 + 60} ${y1} ${x1 + 60} ${below} ${(x1 + x2) / 2} ${below}S${x2 - 60} ${y2} ${x2} ${y2}`;
}
