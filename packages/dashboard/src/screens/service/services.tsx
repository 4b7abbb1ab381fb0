import { isOutage } from '@rollcall/core';
import type { State } from '@rollcall/core';
import type { VNode } from 'preact';
import type { ServiceEdge, TopologyAnswer } from '../../model/live/answers.js';
import { arrivalText } from '../../model/live/arrival.js';
import { missingText, valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { colourOf, isTroubled, tallyOf, standingOf, WORST_FIRST } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useFilterLink, useKnown, useNamespace, useSession, useStaleSince } from '../../model/live/session.js';
import { useStableOrder } from '../../model/live/stable-order.js';
import { clockText, latencyText, percentText, plural, rateText } from '../../model/text/age.js';
import { callableShare, standingText } from '../../model/text/callable-text.js';
import { verdictText } from '../../model/text/instance-text.js';
import { maxOf } from '../../model/view/edge.js';
import {
  hasNoneCallable,
  hasInstanceIn,
  SERVICE_SORTS,
  serviceFilter,
  parseSort,
  sortServices,
} from '../../model/view/listing.js';
import type { ServiceSort } from '../../model/view/listing.js';
import { withFilter } from '../../model/view/route.js';
import { Announcer } from '../../parts/announcer.js';
import { circuitText, sumOfCircuits } from '../../parts/charts/circuits.js';
import { Choice, TextFilter } from '../../parts/filters.js';
import { Glyph, NotCallable, StateWord } from '../../parts/glyph.js';
import { TableHead } from '../../parts/table-head.js';
import { Clip, ServiceLink } from '../../parts/name.js';
import { Head, Panel } from '../../parts/panel.js';
import { asOfText } from '../../parts/unknown.js';
import { WindowedRows } from '../../parts/window.js';
import { useShownServices } from '../shown-services.js';

/** All services, worst first, one row each; filters are in the address. */
export function ServicesScreen(): VNode {
  const { roll, route } = useSession();
  const nodes = useShownServices().value;
  const namespace = useNamespace();
  const staleSince = useStaleSince();
  const topology = useKnown<TopologyAnswer>(`api/v1/topology?targets=false&namespace=${encodeURIComponent(namespace)}`);
  const { value: arrival } = roll.arrival;
  const { filters } = route.value;
  const wanted = WORST_FIRST.find((state) => state === filters['state']) ?? null;
  const shown = nodes.filter(serviceFilter(filters));
  const [sort] = parseSort(SERVICE_SORTS, filters['sort']);
  const instances = nodes.reduce((sum, node) => sum + node.instances.value.size, 0);
  const verdict =
    arrival === null ? verdictText(tallyOf(nodes, roll.nameOf), staleSince) : arrivalText(arrival, staleSince);
  return (
    <>
      <Head
        verdict={verdict}
        sentence={`${plural(nodes.length, 'service')}, ${plural(instances, 'instance')}${arrival === null ? '' : ' so far'}${staleSince === null ? '' : ` at ${clockText(staleSince)}`}. ${ORDERS[sort ?? 'trouble']} first.`}
      />
      <Announcer text={verdict} />
      <StateChips wanted={wanted} isNoneCallable={filters['callable'] === 'no'} nodes={nodes} />
      <div class="chips filters spaced">
        <TextFilter label="Filter the services" placeholder="Name of a service" />
        <Choice name="sort" label="order" none="trouble" choices={['rate', 'name']} />
      </div>
      <List nodes={shown} topology={topology} isFiltered={shown.length < nodes.length} staleSince={staleSince} />
    </>
  );
}

const ORDERS: Readonly<Record<ServiceSort, string>> = { trouble: 'Worst', rate: 'Most calls', name: 'By name, a' };

interface ChipsProps {
  readonly wanted: State | null;
  readonly isNoneCallable: boolean;
  readonly nodes: readonly ServiceNode[];
}

function StateChips({ wanted, isNoneCallable, nodes }: ChipsProps): VNode {
  const link = useFilterLink();
  const all = withFilter(link('state', ''), 'callable', '');
  return (
    <p class="chips spaced">
      <a class="chip" href={all} aria-current={wanted === null && !isNoneCallable ? 'true' : undefined}>
        All {nodes.length}
      </a>
      <a
        class="chip CRITICAL"
        href={link('callable', isNoneCallable ? '' : 'no')}
        aria-current={isNoneCallable ? 'true' : undefined}
      >
        <Glyph shape={{ state: 'CRITICAL' }} />
        none callable {nodes.filter(hasNoneCallable).length}
      </a>
      {WORST_FIRST.map((state) => (
        <a
          key={state}
          class={`chip ${state}`}
          href={link('state', wanted === state ? '' : state)}
          aria-current={wanted === state ? 'true' : undefined}
        >
          <Glyph shape={{ state }} />
          {state} {nodes.filter((node) => hasInstanceIn(node, state)).length}
        </a>
      ))}
    </p>
  );
}

interface ListProps {
  readonly nodes: readonly ServiceNode[];
  readonly topology: Known<TopologyAnswer>;
  readonly isFiltered: boolean;
  readonly staleSince: number | null;
}

function List({ nodes, topology, isFiltered, staleSince }: ListProps): VNode {
  const { route } = useSession();
  const when = staleSince === null ? '' : ` at ${clockText(staleSince)}`;
  const tense = (now: string, past: string): string => (staleSince === null ? now : past);
  const byService = edgesByService(valueOf(topology)?.edges ?? []);
  const rateOf = ({ key }: ServiceNode): number | null => {
    const calls = byService.get(key);
    return calls === undefined ? null : calls.reduce((sum, edge) => sum + edge.callsPerSecond, 0);
  };
  const stable = useStableOrder(sortServices(nodes, route.value.filters['sort'], rateOf), ({ key }) => key);
  return (
    <Panel title="Services" count={nodes.length} aside={callsAside(topology)}>
      <table class="one-height" aria-rowcount={nodes.length + 1}>
        <TableHead
          columns={[
            'State@c-state',
            'Service@c-service',
            'Callable@c-callable-share',
            'Versions@w8',
            'Zones@w10',
            '>Calls/s@w5 c-figure',
            '>Calls OK %@w6 c-success',
            '>p99@w7 c-figure',
            'Called by@w10',
            'Circuits@w9 c-cut',
          ]}
        />
        <WindowedRows
          rows={stable.rows}
          box={stable.ref}
          row={(node, at) => <Row key={node.key} node={node} at={at} edges={byService.get(node.key) ?? []} />}
        />
      </table>
      {nodes.length === 0 && (
        <p class="panel-body faint">
          {isFiltered
            ? `No service ${tense('fits', 'fitted')}${when}. `
            : `No service ${tense('is', 'was')} registered here${when}.`}
          {isFiltered && (
            <a class="link" href="#/services">
              clear filter
            </a>
          )}
        </p>
      )}
    </Panel>
  );
}

/** The time of the calls; empty: they are current. */
const callsAside = (known: Known<unknown>): string =>
  known.kind === 'unknown' ? `calls: ${missingText(known)}` : asOfText(known).replace(/^as/, 'calls as');

/** The edges to each service, by its key. */
function edgesByService(edges: readonly ServiceEdge[]): ReadonlyMap<string, readonly ServiceEdge[]> {
  const byKey = new Map<string, ServiceEdge[]>();
  for (const edge of edges) {
    const key = `${edge.namespace}/${edge.to}`;
    const known = byKey.get(key);
    if (known === undefined) byKey.set(key, [edge]);
    else known.push(edge);
  }
  return byKey;
}

interface RowProps {
  readonly node: ServiceNode;
  readonly at: number;
  readonly edges: readonly ServiceEdge[];
}

function Row({ node, at, edges }: RowProps): VNode {
  const instances = [...node.instances.value.values()];
  const standing = standingOf(node.instances.value);
  const { worst, count } = standing;
  const shown = instances.find(({ state }) => state === worst) ?? { state: worst };
  const calls = edges.reduce((sum, edge) => sum + edge.calls, 0);
  const failures = edges.reduce((sum, edge) => sum + edge.failures, 0);
  const isTrouble = isTroubled(standing);
  const p99Ms = edges.reduce<number | null>((max, edge) => maxOf(max, edge.p99Ms), null);
  const circuits = sumOfCircuits(edges.map((edge) => edge.circuits));
  return (
    <tr
      class={isTrouble ? `tinted ${colourOf(standing)}` : ''}
      data-row
      data-problem={isTrouble ? '' : undefined}
      aria-rowindex={at + 2}
    >
      <td>{isOutage(count) ? <NotCallable /> : <StateWord instance={shown} />}</td>
      <td class="full">
        <ServiceLink namespace={node.namespace} name={node.name} class="strong clip" />
      </td>
      <td class="since">
        <span class={isOutage(count) ? 'strong' : ''} title={standingText(standing)}>
          {callableShare(count)}
        </span>
      </td>
      <td class="w8 card">
        <Clip text={distinct(instances.map(({ version }) => version))} />
      </td>
      <td class="w10">
        <Clip text={distinct(instances.map(({ zone }) => zone))} />
      </td>
      <td class="right w5">
        {edges.length === 0 ? '–' : rateText(edges.reduce((sum, edge) => sum + edge.callsPerSecond, 0))}
      </td>
      <td class="right w6">{calls === 0 ? '–' : percentText(1 - failures / calls)}</td>
      <td class="right w7">{latencyText(p99Ms)}</td>
      <td class="w10">
        <Clip text={distinct(edges.map(({ from }) => from))} />
      </td>
      <td class="w9">
        <Clip text={edges.length === 0 ? '–' : circuitText(circuits, count.callable === 0)} />
      </td>
    </tr>
  );
}

/** The maximum number of values; the others are counted. */
const MAX_VALUES = 3;

function distinct(values: readonly string[]): string {
  const shown = [...new Set(values.filter((value) => value !== ''))].toSorted();
  if (shown.length === 0) return '–';
  const hidden = shown.length - MAX_VALUES;
  return hidden > 0 ? `${shown.slice(0, MAX_VALUES).join(', ')} + ${hidden}` : shown.join(', ');
}
