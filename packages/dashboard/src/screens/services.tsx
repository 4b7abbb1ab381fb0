import { callableText } from '@rollcall/core';
import type { State } from '@rollcall/core';
import type { VNode } from 'preact';
import { latencyText, percentText, plural, rateText } from '../model/age.js';
import { maxOf } from '../model/edge.js';
import type { ServiceEdge, TopologyAnswer } from '../model/answers.js';
import { colourOf, isTroubled, tallyOf, servicesByTrouble, standingOf, WORST_FIRST } from '../model/roll.js';
import type { ServiceNode } from '../model/roll.js';
import { serviceHash, withFilter } from '../model/route.js';
import { useAnswer, useNamespace, useSession, useStaleSince } from '../model/session.js';
import { useSteady } from '../model/steady.js';
import { shareText, verdictText } from '../model/words.js';
import { Announcer } from '../parts/announcer.js';
import { circuitText, sumOfCircuits } from '../parts/circuits.js';
import { Glyph, StateWord } from '../parts/glyph.js';
import { Heads } from '../parts/heads.js';
import { InNamespace } from '../parts/namespace.js';
import { Head, Panel } from '../parts/panel.js';
import { useShownServices } from './shown.js';

/** All services, worst first, one row each; filters are in the address. */
export function ServicesScreen(): VNode {
  const { route } = useSession();
  const nodes = useShownServices().value;
  const namespace = useNamespace();
  const staleSince = useStaleSince();
  const topology = useAnswer<TopologyAnswer>(`api/v1/topology?namespace=${encodeURIComponent(namespace)}`).value.value;
  const wanted = WORST_FIRST.find((state) => state === route.value.filters['state']) ?? null;
  const shown = wanted === null ? nodes : nodes.filter((node) => holds(node, wanted));
  const instances = nodes.reduce((sum, node) => sum + node.instances.value.size, 0);
  const verdict = verdictText(tallyOf(nodes), staleSince);
  return (
    <>
      <Head
        verdict={verdict}
        sentence={`${plural(nodes.length, 'service')}, ${plural(instances, 'instance')}. Worst first.`}
      />
      <Announcer text={verdict} />
      <StateChips wanted={wanted} nodes={nodes} />
      <List nodes={shown} edges={topology?.edges ?? []} isFiltered={wanted !== null} />
    </>
  );
}

const holds = (node: ServiceNode, state: State): boolean =>
  [...node.instances.value.values()].some((instance) => instance.state === state);

interface ChipsProps {
  readonly wanted: State | null;
  readonly nodes: readonly ServiceNode[];
}

const link = (state: string): string => withFilter(window.location.hash, 'state', state);

function StateChips({ wanted, nodes }: ChipsProps): VNode {
  return (
    <p class="chips spaced">
      <a class="chip" href={link('')} aria-current={wanted === null ? 'true' : undefined}>
        All {nodes.length}
      </a>
      {WORST_FIRST.map((state) => (
        <a key={state} class={`chip ${state}`} href={link(state)} aria-current={wanted === state ? 'true' : undefined}>
          <Glyph of={{ state }} />
          {state} {nodes.filter((node) => holds(node, state)).length}
        </a>
      ))}
    </p>
  );
}

interface ListProps {
  readonly nodes: readonly ServiceNode[];
  readonly edges: readonly ServiceEdge[];
  readonly isFiltered: boolean;
}

function List({ nodes, edges, isFiltered }: ListProps): VNode {
  const steady = useSteady(servicesByTrouble(nodes), ({ key }) => key);
  return (
    <Panel title="Services" count={nodes.length} class="scroll">
      <table ref={(box: HTMLElement | null) => void (steady.ref.current = box)}>
        <Heads
          of={[
            'State',
            'Service',
            'HEALTHY',
            'Versions',
            'Zones',
            '>Calls/s',
            '>Success %',
            '>p99',
            'Called by',
            'Circuits',
          ]}
        />
        <tbody>
          {steady.rows.map((node) => (
            <Row
              key={node.key}
              node={node}
              edges={edges.filter((edge) => edge.to === node.name && edge.namespace === node.namespace)}
            />
          ))}
        </tbody>
      </table>
      {nodes.length === 0 && (
        <p class="panel-body faint">
          {isFiltered ? 'No service holds an instance in this state. ' : 'No service is registered here.'}
          {isFiltered && (
            <a class="link" href={withFilter(window.location.hash, 'state', '')}>
              clear filter
            </a>
          )}
        </p>
      )}
    </Panel>
  );
}

function Row({ node, edges }: { readonly node: ServiceNode; readonly edges: readonly ServiceEdge[] }): VNode {
  const instances = [...node.instances.value.values()];
  const standing = standingOf(node.instances.value);
  const { healthy, all, worst, count } = standing;
  const shown = instances.find(({ state }) => state === worst) ?? { state: worst };
  const calls = edges.reduce((sum, edge) => sum + edge.calls, 0);
  const failures = edges.reduce((sum, edge) => sum + edge.failures, 0);
  const isTrouble = isTroubled(standing);
  const p99Ms = edges.reduce<number | null>((most, edge) => maxOf(most, edge.p99Ms), null);
  const circuits = sumOfCircuits(edges.flatMap(({ targets }) => targets.map((target) => target.circuits)));
  return (
    <tr class={isTrouble ? `tinted ${colourOf(standing)}` : ''} data-row data-problem={isTrouble ? '' : undefined}>
      <td>
        <StateWord of={shown} />
      </td>
      <td>
        <a class="strong" href={serviceHash(node.namespace, node.name)}>
          <InNamespace of={node.namespace} />
          {node.name}
        </a>
      </td>
      <td class="nowrap">{count.admin.ENABLED < all ? callableText(count) : shareText(healthy, all)}</td>
      <td>{distinct(instances.map(({ version }) => version))}</td>
      <td>{distinct(instances.map(({ zone }) => zone))}</td>
      <td class="right">
        {edges.length === 0 ? '–' : rateText(edges.reduce((sum, edge) => sum + edge.callsPerSecond, 0))}
      </td>
      <td class="right">{calls === 0 ? '–' : percentText(1 - failures / calls)}</td>
      <td class="right nowrap">{latencyText(p99Ms)}</td>
      <td>{distinct(edges.map(({ from }) => from))}</td>
      <td class="nowrap">{edges.length === 0 ? '–' : circuitText(circuits)}</td>
    </tr>
  );
}

/** More words than these are counted. */
const MOST_WORDS = 3;

function distinct(words: readonly string[]): string {
  const told = [...new Set(words.filter((word) => word !== ''))].toSorted();
  if (told.length === 0) return '–';
  const more = told.length - MOST_WORDS;
  return more > 0 ? `${told.slice(0, MOST_WORDS).join(', ')} + ${more}` : told.join(', ');
}
