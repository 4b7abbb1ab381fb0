import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { VNode } from 'preact';
import type { ServiceEdge } from '../../model/live/answers.js';
import { byTrouble, colourOf, needsAttention, standingOf } from '../../model/live/roll.js';
import { useSession } from '../../model/live/session.js';
import { latencyText, percentText, rateText } from '../../model/text/age.js';
import { callableShare } from '../../model/text/callable-text.js';
import { isCut, lookOf, successOf } from '../../model/view/edge.js';
import { callersText, hiddenCallers } from '../../model/view/edge-filters.js';
import { edgeKey, layOut, NODE_HEIGHT, NODE_WIDTH } from '../../model/view/graph.js';
import type { Graph, PlacedEdge, PlacedNode } from '../../model/view/graph.js';
import { serviceHash, withFilter } from '../../model/view/route.js';
import { Glyph } from '../../parts/glyph.js';
import { EdgeCard } from './edge-card.js';

interface TopologyGraphProps {
  readonly edges: readonly ServiceEdge[];
  /** All edges, also those that the filters leave out. */
  readonly all: readonly ServiceEdge[];
  readonly selected: ServiceEdge | null;
}

/** The graph is laid out again only if its edges change; their numbers change in place. */
export function TopologyGraph({ edges, all, selected }: TopologyGraphProps): VNode {
  const graph = useSignal<Graph | null>(null);
  const problem = useSignal<Error | null>(null);
  const shape = edges.map(edgeKey).toSorted().join(' ');
  useEffect(() => {
    let isCurrent = true;
    const layOutEdges = async (): Promise<void> => {
      const layout = await layOut(edges).catch((error: Error) => error);
      if (!isCurrent) return;
      if (layout instanceof Error) problem.value = layout;
      else graph.value = layout;
    };
    void layOutEdges();
    return () => {
      isCurrent = false;
    };
  }, [shape]);
  const layout = graph.value;
  if (problem.value !== null) {
    return (
      <p class="panel-body faint">
        The picture cannot be drawn ({problem.value.message}); load this page again, or see the table.
      </p>
    );
  }
  if (layout === null) return <p class="panel-body faint">Laying it out …</p>;
  const newest = new Map(edges.map((edge) => [edgeKey(edge), edge]));
  const placed = layout.edges.flatMap((placedEdge) => {
    const edge = newest.get(edgeKey(placedEdge.edge));
    return edge === undefined ? [] : [{ ...placedEdge, edge }];
  });
  const width = Math.max(layout.width, 640);
  const height = Math.max(layout.height, 240);
  return (
    <div class="graph">
      <div class="topology" tabIndex={0} role="region" aria-label="The calls between services">
        <svg
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="group"
          aria-label="Services and their calls"
        >
          {placed.map((placedEdge) => (
            <Edge
              key={edgeKey(placedEdge.edge)}
              placed={placedEdge}
              isSelected={selected !== null && edgeKey(selected) === edgeKey(placedEdge.edge)}
            />
          ))}
          {layout.nodes.map((node) => (
            <Node key={node.key} node={node} edges={edges} hidden={hiddenCallers(node.key, all, edges)} />
          ))}
        </svg>
      </div>
      {selected !== null && <EdgeCard edge={selected} />}
    </div>
  );
}

/** Wider for more, but a hundred times the calls is not a hundred times the width. */
const widthOf = (perSecond: number): number => Math.min(6, 1 + Math.log10(1 + perSecond) * 1.4);

function Edge({ placed, isSelected }: { readonly placed: PlacedEdge; readonly isSelected: boolean }): VNode {
  const { roll } = useSession();
  const { edge, path, labelX, labelY } = placed;
  const [from, to] = [roll.nameOf(edge.namespace, edge.from), roll.nameOf(edge.namespace, edge.to)];
  const tone = lookOf(edge);
  const success = successOf(edge);
  const share = tone !== '' && success !== null ? `${percentText(success)} % ` : '';
  const label = `${share}${latencyText(edge.p99Ms)}: p99 of ${from} to ${to}, ${rateText(edge.callsPerSecond)} calls/s`;
  const arrow = `M${labelX + 6} ${labelY - 8}l7 4-7 4z`;
  return (
    <a
      href={withFilter(window.location.hash, 'edge', edgeKey(edge))}
      aria-label={label}
      class={`edge ${tone}${isSelected ? ' selected' : ''}`}
    >
      <path class="edge-hit" d={path} />
      <path
        class={isCut(edge) ? 'edge-line cut' : 'edge-line'}
        d={path}
        style={{ strokeWidth: `${widthOf(edge.callsPerSecond)}px` }}
      />
      <path class="edge-head" d={arrow} />
      <text class="edge-label" x={labelX} y={labelY} text-anchor="end">
        {share}
        {latencyText(edge.p99Ms)}
      </text>
    </a>
  );
}

/** Characters of a name that a box has room for. */
const MAX_CHARACTERS = 16;

/** Names with the same start often differ at their ends, so both ends are shown. */
const shortName = (name: string): string =>
  name.length > MAX_CHARACTERS ? `${name.slice(0, MAX_CHARACTERS - 5)}…${name.slice(-4)}` : name;

/** The maximum number of instances that are drawn; the others are counted. */
const MAX_DISCS = 8;
/** The same beside the longer text about callers that are not shown. */
const MAX_DISCS_WITH_HIDDEN = 4;

interface NodeProps {
  readonly node: PlacedNode;
  readonly edges: readonly ServiceEdge[];
  /** The number of its callers that are not drawn. */
  readonly hidden: number;
}

function Node({ node, edges, hidden }: NodeProps): VNode {
  const { roll } = useSession();
  const known = roll.node(node.key);
  const instances = [...(known?.instances.value.values() ?? [])].toSorted(byTrouble);
  const standing = standingOf(known?.instances.value ?? new Map());
  const { count } = standing;
  const worst = colourOf(standing);
  const namespace = node.key.slice(0, node.key.indexOf('/'));
  const hasNamespaces = roll.namespaces.value.length > 1;
  const incoming = edges.filter((edge) => `${edge.namespace}/${edge.to}` === node.key);
  const perSecond = incoming.reduce((sum, edge) => sum + edge.callsPerSecond, 0);
  const isTrouble = needsAttention({ state: worst });
  return (
    <a href={serviceHash(namespace, node.name)} class={isTrouble ? `node tinted ${worst}` : 'node'} data-row>
      <rect x={node.x} y={node.y} width={NODE_WIDTH} height={NODE_HEIGHT} rx="8" />
      {hasNamespaces && (
        <text x={node.x + 12} y={node.y - 6}>
          {namespace}
        </text>
      )}
      <text class="node-name" x={node.x + 12} y={node.y + 21}>
        <title>{node.key}</title>
        {shortName(node.name)}
      </text>
      <text x={node.x + NODE_WIDTH - 12} y={node.y + 21} text-anchor="end">
        {count.all === 0 ? '' : callableShare(count)}
      </text>
      {instances.slice(0, hidden > 0 ? MAX_DISCS_WITH_HIDDEN : MAX_DISCS).map((instance, at) => (
        <svg key={instance.id} x={node.x + 12 + at * 13} y={node.y + 32} width="10" height="10" viewBox="0 0 12 12">
          <Glyph shape={instance} />
        </svg>
      ))}
      <text x={node.x + NODE_WIDTH - 12} y={node.y + 42} text-anchor="end">
        {callersText(incoming.length === 0 ? null : perSecond, hidden)}
      </text>
    </a>
  );
}
