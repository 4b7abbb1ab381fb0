import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type {
  EventsAnswer,
  Overrides,
  RegistryEvent,
  ServiceDetailAnswer,
  ServiceEdge,
  TargetEdge,
  TopologyAnswer,
} from '../../model/live/answers.js';
import { mapKnown, valueOf } from '../../model/live/known.js';
import { useOverrides } from '../../model/live/overrides.js';
import { byTrouble, needsAttention, WORST_FIRST } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useAnswer, useKnown, useSession, useStaleSince } from '../../model/live/session.js';
import { useStableOrder } from '../../model/live/stable-order.js';
import { ageText, clockText, latencyText, percentText, plural, rateText } from '../../model/text/age.js';
import { shownSince } from '../../model/text/callable-text.js';
import { serviceSentence, serviceVerdict } from '../../model/text/service-text.js';
import { tailOf } from '../../model/text/instance-text.js';
import { maxOf } from '../../model/view/edge.js';
import { hashOf, instanceHash, serviceHash, withFilter } from '../../model/view/route.js';
import { DrainListed } from '../../parts/admin/drain-listed.js';
import { Announcer } from '../../parts/announcer.js';
import { CircuitMarks, sumOfCircuits } from '../../parts/charts/circuits.js';
import { Heartbeat1, Heartbeat2 } from '../../parts/charts/directions.js';
import { Timeline } from '../../parts/charts/timeline.js';
import { Glyph, StateWord } from '../../parts/glyph.js';
import { TableHead } from '../../parts/table-head.js';
import { Clip } from '../../parts/name.js';
import { InNamespace } from '../../parts/namespace.js';
import { Head, Panel } from '../../parts/panel.js';
import { KeptAway } from './kept-away.js';
import { NoService } from './no-service.js';
import { ServiceChanges } from './service-changes.js';
import { ServiceEdges } from './service-edges.js';
import { Stats } from './stats.js';

interface ServiceProps {
  readonly namespace: string;
  readonly name: string;
}

/** One service: its state, its instances, its callers and callees, its last events. */
export function ServiceScreen({ namespace, name }: ServiceProps): VNode {
  const { roll } = useSession();
  // a service that is added or removed changes the list
  const node = roll.services.value.find((service) => service.name === name && service.namespace === namespace);
  const query = new URLSearchParams({ namespace, service: name });
  const topology = useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`);
  const hasAny = [...(node?.instances.value.values() ?? [])].some(({ admin }) => admin !== 'ENABLED');
  const overrides = useOverrides({ namespace, service: name, hasAny });
  const staleSince = useStaleSince();
  const crumbs = (
    <>
      <a href={hashOf('services')}>Services</a> /{' '}
      <span>
        <InNamespace namespace={namespace} />
        {name}
      </span>
    </>
  );
  if (node === undefined) return <NoService {...{ crumbs, namespace, name, staleSince }} />;
  const verdict = serviceVerdict(node, staleSince);
  const callers = mapKnown(topology, ({ edges }) => edges.filter((edge) => edge.to === name));
  const callees = mapKnown(topology, ({ edges }) => edges.filter((edge) => edge.from === name));
  return (
    <>
      <Head crumbs={crumbs} verdict={verdict} sentence={serviceSentence(node, callers, staleSince)} />
      <Announcer text={verdict} />
      <Stats node={node} callers={callers} />
      <div class="stack">
        <KeptAway node={node} overrides={overrides} />
        <Instances node={node} overrides={overrides} callers={valueOf(callers) ?? []} />
        <div class="two-columns">
          <ServiceEdges title="Called by" edges={callers} end="from" />
          <ServiceEdges title="Calls" edges={callees} end="to" />
        </div>
        <ServiceChanges namespace={namespace} name={name} />
      </div>
    </>
  );
}

interface InstancesProps {
  readonly node: ServiceNode;
  readonly overrides: Overrides;
  readonly callers: readonly ServiceEdge[];
}

function Instances({ node, overrides, callers }: InstancesProps): VNode {
  const { route } = useSession();
  const { filters } = route.value;
  const query = `namespace=${encodeURIComponent(node.namespace)}&heartbeats=true`;
  const known = useKnown<ServiceDetailAnswer>(`api/v1/services/${encodeURIComponent(node.name)}?${query}`, {
    everyMs: 2_000,
  });
  // the age of a heartbeat is known for the present only
  const detail = known.kind === 'known' && known.asOf === null ? known.value : null;
  const heartbeats = new Map(detail?.instances.map((instance) => [instance.id, instance.heartbeats ?? null]));
  const all = [...node.instances.value.values()];
  const shown = all.filter(
    (instance) =>
      fits(filters['state'], instance.state) &&
      fits(filters['version'], instance.version) &&
      fits(filters['zone'], instance.zone),
  );
  const stable = useStableOrder(shown.toSorted(byTrouble), ({ id }) => id);
  const events = useEventsByInstance(node);
  const targets = byInstance(callers);
  return (
    <Panel title="Instances" class="scroll" count={<Chips {...{ all, shown, filters }} />} aside={<CircuitLegend />}>
      <table ref={(box: HTMLElement | null) => void (stable.ref.current = box)} class="tight">
        <TableHead
          columns={[
            'State',
            'Instance',
            'Heartbeat-1@w4',
            'Heartbeat-2@w5',
            'Address@w8',
            'Version@w7 tenth',
            'Zone@w9 tenth',
            '>Calls/s@w6',
            '>Attempts OK %@w8',
            '>p99@w7',
            'Circuits@w10',
            'Last hour@w11',
            '>Since',
          ]}
        />
        <tbody>
          {stable.rows.slice(0, MAX_ROWS).map((instance) => (
            <InstanceRow
              key={instance.id}
              instance={instance}
              since={shownSince(instance, overrides.get(instance.id) ?? null)}
              heartbeats={heartbeats.get(instance.id) ?? null}
              events={events.get(instance.id) ?? []}
              targets={targets.get(instance.id) ?? []}
            />
          ))}
        </tbody>
      </table>
      {callers.length > 0 && (
        <p class="panel-foot faint small">
          A call makes one attempt, and another one at another instance where that fails: attempts may fail and the call
          succeed.
        </p>
      )}
      {shown.length > MAX_ROWS && (
        <p class="panel-foot">
          <a class="link" href={hashOf('instances', { service: node.name, ns: node.namespace })}>
            {plural(shown.length - MAX_ROWS, 'more instance')}
          </a>
        </p>
      )}
      {shown.length === 0 && (
        <p class="panel-body faint">
          No instance fits.{' '}
          <a class="link" href={serviceHash(node.namespace, node.name)}>
            clear filter
          </a>
        </p>
      )}
    </Panel>
  );
}

/** The maximum number of rows; filters, or `rollcall ls`, show the others. */
const MAX_ROWS = 200;

/** The reports of all callers about each instance. */
function byInstance(callers: readonly ServiceEdge[]): ReadonlyMap<string, readonly TargetEdge[]> {
  const targets = new Map<string, TargetEdge[]>();
  for (const target of callers.flatMap((edge) => edge.targets ?? [])) {
    const known = targets.get(target.instance);
    if (known === undefined) targets.set(target.instance, [target]);
    else known.push(target);
  }
  return targets;
}

/** Events beyond this number are not read: the instance itself shows all of its own. */
const MAX_EVENTS = 500;

/** The changes of state of its instances, by instance. */
function useEventsByInstance(node: ServiceNode): ReadonlyMap<string, readonly RegistryEvent[]> {
  const query = new URLSearchParams({ namespace: node.namespace, service: node.name, limit: String(MAX_EVENTS) });
  for (const kind of ['registered', 'state', 'moved']) query.append('kind', kind);
  const answer = useAnswer<EventsAnswer>(`api/v1/events?${query.toString()}`, { everyMs: 30_000, onChange: true });
  const events = new Map<string, RegistryEvent[]>();
  for (const event of answer.value.value?.events ?? []) {
    const { instance } = event;
    if (instance === null) continue;
    const known = events.get(instance);
    if (known === undefined) events.set(instance, [event]);
    else known.push(event);
  }
  return events;
}

const fits = (wanted: string | undefined, value: string): boolean => wanted === undefined || wanted === value;

interface ChipsProps {
  readonly all: readonly Instance[];
  /** The instances that pass the filters. */
  readonly shown: readonly Instance[];
  readonly filters: Readonly<Record<string, string>>;
}

/** Filters are in the address: a view can be shared. */
function Chips({ all, shown, filters }: ChipsProps): VNode {
  const states = WORST_FIRST.filter((state) => all.some((instance) => instance.state === state));
  const versions = [...new Set(all.map(({ version }) => version))].filter((version) => version !== '').toSorted();
  const zones = [...new Set(all.map(({ zone }) => zone))].filter((zone) => zone !== '').toSorted();
  const chip = (key: string, value: string, label: VNode | string): VNode => {
    const isOn = filters[key] === value;
    return (
      <a
        key={`${key} ${value}`}
        class={`chip ${key === 'state' ? value : ''}`}
        href={withFilter(window.location.hash, key, isOn ? '' : value)}
        aria-current={isOn ? 'true' : undefined}
      >
        {label}
      </a>
    );
  };
  return (
    <span class="chips">
      <span class="chip plain">All {all.length}</span>
      {states.length > 1 &&
        states.map((state) =>
          chip(
            'state',
            state,
            <>
              <Glyph shape={{ state }} />
              {state} {all.filter((instance) => instance.state === state).length}
            </>,
          ),
        )}
      {versions.length > 1 &&
        versions.slice(0, 4).map((version) => chip('version', version, <Clip text={`version ${version}`} />))}
      {zones.length > 1 && zones.slice(0, 4).map((zone) => chip('zone', zone, <Clip text={`zone ${zone}`} />))}
      {shown.length < all.length && <DrainListed instances={shown} />}
    </span>
  );
}

function CircuitLegend(): VNode {
  return (
    <>
      {['closed', 'half-open', 'open'].map((kind) => (
        <span key={kind} class="circuits" aria-hidden="true">
          <i class={kind} /> {kind === 'closed' ? 'circuit closed' : kind}
        </span>
      ))}
    </>
  );
}

/** The length of the windows of callers. */
const WINDOW_S = 5;

/** The share of attempts at it that succeeded; null: no attempts. */
function attemptSuccess(targets: readonly TargetEdge[]): number | null {
  const attempts = targets.reduce((sum, target) => sum + target.callsPerSecond * WINDOW_S, 0);
  const failures = targets.reduce((sum, target) => sum + target.failures, 0);
  return attempts === 0 ? null : Math.max(0, 1 - failures / attempts);
}

interface RowProps {
  readonly instance: Instance;
  /** The start of what the row shows, wall clock in ms; null: unknown. */
  readonly since: number | null;
  readonly heartbeats: Parameters<typeof Heartbeat1>[0]['heartbeats'];
  readonly events: readonly RegistryEvent[];
  readonly targets: readonly TargetEdge[];
}

function InstanceRow({ instance, since, heartbeats, events, targets }: RowProps): VNode {
  const { clock } = useSession();
  const staleSince = useStaleSince();
  const isTrouble = needsAttention(instance);
  const [endpoint] = instance.endpoints;
  const p99Ms = targets.reduce<number | null>((max, target) => maxOf(max, target.p99Ms), null);
  return (
    <tr class={isTrouble ? `tinted ${instance.state}` : ''} data-row data-problem={isTrouble ? '' : undefined}>
      <td>
        {instance.admin !== 'ENABLED' && <b class="block small">{instance.admin}</b>}
        <StateWord instance={instance} />
      </td>
      <td>
        <a class="mono" href={instanceHash(instance.id)}>
          …{tailOf(instance.id)}
        </a>
      </td>
      <td class="w4">
        <Heartbeat1 instance={instance} heartbeats={heartbeats} />
      </td>
      <td class="w5">
        <Heartbeat2 instance={instance} heartbeats={heartbeats} />
      </td>
      <td class="mono w8 rest">
        <Clip text={endpoint === undefined ? '–' : addressOf(endpoint)} />
      </td>
      <td class="mono w7 rest">
        <Clip text={instance.version === '' ? '–' : instance.version} />
      </td>
      <td class="w9 rest">
        <Clip text={instance.zone === '' ? '–' : instance.zone} />
      </td>
      <td class="right w6">
        {targets.length === 0 ? '–' : rateText(targets.reduce((sum, target) => sum + target.callsPerSecond, 0))}
      </td>
      <td class="right w8">{percentText(attemptSuccess(targets))}</td>
      <td class="right nowrap w7">{latencyText(p99Ms)}</td>
      <td class="w10">
        <CircuitMarks circuits={targets.length === 0 ? null : sumOfCircuits(targets.map(({ circuits }) => circuits))} />
      </td>
      <td class="w11">
        <Timeline events={events} now={staleSince ?? clock.now.value} isSmall />
      </td>
      <td class="right nowrap">
        {since === null ? '–' : staleSince === null ? ageText(clock.now.value - since) : clockText(since)}
      </td>
    </tr>
  );
}
