import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type {
  EventsAnswer,
  RegistryEvent,
  ServiceDetailAnswer,
  ServiceEdge,
  TargetEdge,
  TopologyAnswer,
  TrafficAnswer,
} from '../../model/live/answers.js';
import { knownAs, missingText, valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { byTrouble, needsAttention, standingOf, WORST_FIRST } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useAnswer, useKnown, useSession, useStaleSince } from '../../model/live/session.js';
import { useSteady } from '../../model/live/steady.js';
import { ageText, clockText, latencyText, percentText, plural, rateText } from '../../model/text/age.js';
import { standingText } from '../../model/text/callable-words.js';
import { serviceSentence, serviceVerdict } from '../../model/text/service-words.js';
import { tailOf } from '../../model/text/words.js';
import { maxOf } from '../../model/view/edge.js';
import { hashOf, instanceHash, serviceHash, withFilter } from '../../model/view/route.js';
import { Announcer } from '../../parts/announcer.js';
import { CircuitMarks, circuitText, circuitWord, sumOfCircuits } from '../../parts/charts/circuits.js';
import { Heartbeat1, Heartbeat2 } from '../../parts/charts/directions.js';
import { Spark } from '../../parts/charts/spark.js';
import { Timeline } from '../../parts/charts/timeline.js';
import { Glyph, StateWord } from '../../parts/glyph.js';
import { Heads } from '../../parts/heads.js';
import { Clip } from '../../parts/name.js';
import { InNamespace } from '../../parts/namespace.js';
import { Head, Panel } from '../../parts/panel.js';
import { asOfText } from '../../parts/unknown.js';
import { KeptAway } from './kept-away.js';
import { NoService } from './no-service.js';
import { ServiceChanges } from './service-changes.js';
import { ServiceEdges } from './service-edges.js';

interface ServiceProps {
  readonly namespace: string;
  readonly name: string;
}

/** One service: how it stands, its instances, who calls it and whom it calls, what happened last. */
export function ServiceScreen({ namespace, name }: ServiceProps): VNode {
  const { roll } = useSession();
  // a service that comes or goes changes the list
  const node = roll.services.value.find((one) => one.name === name && one.namespace === namespace);
  const query = new URLSearchParams({ namespace, service: name });
  const topology = useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`);
  const staleSince = useStaleSince();
  const crumbs = (
    <>
      <a href={hashOf('services')}>Services</a> /{' '}
      <span>
        <InNamespace of={namespace} />
        {name}
      </span>
    </>
  );
  if (node === undefined) return <NoService {...{ crumbs, namespace, name, staleSince }} />;
  const verdict = serviceVerdict(node, staleSince);
  const callers = knownAs(topology, ({ edges }) => edges.filter((edge) => edge.to === name));
  const callees = knownAs(topology, ({ edges }) => edges.filter((edge) => edge.from === name));
  return (
    <>
      <Head crumbs={crumbs} verdict={verdict} sentence={serviceSentence(node, callers, staleSince)} />
      <Announcer text={verdict} />
      <Stats node={node} callers={callers} />
      <div class="stack">
        <KeptAway node={node} />
        <Instances node={node} callers={valueOf(callers) ?? []} />
        <div class="two-columns">
          <ServiceEdges title="Called by" edges={callers} other="from" />
          <ServiceEdges title="Calls" edges={callees} other="to" />
        </div>
        <ServiceChanges namespace={namespace} name={name} />
      </div>
    </>
  );
}

type Callers = Known<readonly ServiceEdge[]>;

function Stats({ node, callers: known }: { readonly node: ServiceNode; readonly callers: Callers }): VNode {
  const callers = valueOf(known) ?? [];
  const none = known.kind === 'known' ? 'no callers' : missingText(known);
  const path = `api/v1/traffic?namespace=${encodeURIComponent(node.namespace)}&to=${encodeURIComponent(node.name)}`;
  const lately = useKnown<TrafficAnswer>(path);
  const traffic = valueOf(lately);
  const asOf = asOfText(known) || asOfText(lately);
  const points = traffic?.points ?? [];
  const perSecond = callers.reduce((sum, edge) => sum + edge.callsPerSecond, 0);
  const calls = callers.reduce((sum, edge) => sum + edge.calls, 0);
  const failures = callers.reduce((sum, edge) => sum + edge.failures, 0);
  const elsewhere = callers.reduce((sum, edge) => sum + edge.retries, 0);
  const p99Ms = callers.reduce<number | null>((most, edge) => maxOf(most, edge.p99Ms), null);
  const p50Ms = callers.reduce<number | null>((most, edge) => maxOf(most, edge.p50Ms), null);
  const circuits = sumOfCircuits(callers.map((edge) => edge.circuits));
  const standing = standingOf(node.instances.value);
  const { healthy, all } = standing;
  const inFlight = callers.reduce((sum, edge) => sum + edge.inFlight, 0);
  return (
    <div class="panel stats">
      <div>
        <span class="label">Success</span>
        <b>
          {calls === 0 ? '–' : `${percentText(1 - failures / calls)} %`}{' '}
          <small>{callers.length === 0 ? '–' : elsewhere} elsewhere</small>
        </b>
        <Spark
          points={points.map((point) => (point.calls === 0 ? null : 1 - point.failures / point.calls))}
          min={0.98}
          max={1}
          label="Success over the last 15 minutes"
        />
      </div>
      <div>
        <span class="label">Calls/s</span>
        <b>{callers.length === 0 ? '–' : rateText(perSecond)}</b>
        <Spark points={points.map((point) => point.calls)} label="Calls over the last 15 minutes" />
      </div>
      <div>
        <span class="label">p99</span>
        <b>
          {latencyText(p99Ms)} <small>p50 {latencyText(p50Ms)}</small>
        </b>
        <Spark points={points.map((point) => point.p99Ms)} label="p99 over the last 15 minutes" />
      </div>
      <div>
        <span class="label">Circuit</span>
        <b>{circuitWord(circuits, callers.length)}</b>
        <p class="faint small">{callers.length === 0 ? none : circuitText(circuits)}</p>
      </div>
      <div>
        <span class="label">Capacity</span>
        <b>{all === 0 ? '–' : `${Math.floor((100 * healthy) / all)} %`}</b>
        <p class="faint small">
          {callers.length === 0 || healthy === 0 ? standingText(standing) : `${inFlight} in flight`}
        </p>
      </div>
      {asOf !== '' && <p class="stats-age">Calls {asOf}.</p>}
    </div>
  );
}

interface InstancesProps {
  readonly node: ServiceNode;
  readonly callers: readonly ServiceEdge[];
}

function Instances({ node, callers }: InstancesProps): VNode {
  const { route } = useSession();
  const { filters } = route.value;
  const query = `namespace=${encodeURIComponent(node.namespace)}&heartbeats=true`;
  const known = useKnown<ServiceDetailAnswer>(`api/v1/services/${encodeURIComponent(node.name)}?${query}`, {
    everyMs: 2_000,
  });
  // how long ago a heartbeat came is known of now only
  const detail = known.kind === 'known' && known.asOf === null ? known.value : null;
  const heartbeats = new Map(detail?.instances.map((instance) => [instance.id, instance.heartbeats ?? null]));
  const all = [...node.instances.value.values()];
  const shown = all.filter(
    (instance) =>
      fits(filters['state'], instance.state) &&
      fits(filters['version'], instance.version) &&
      fits(filters['zone'], instance.zone),
  );
  const steady = useSteady(shown.toSorted(byTrouble), ({ id }) => id);
  const events = useEventsByInstance(node);
  const targets = byInstance(callers);
  return (
    <Panel title="Instances" class="scroll" count={<Chips all={all} filters={filters} />} aside={<CircuitLegend />}>
      <table ref={(box: HTMLElement | null) => void (steady.ref.current = box)} class="tight">
        <Heads
          of={[
            'State',
            'Instance',
            'Heartbeat-1@w4',
            'Heartbeat-2@w5',
            'Address@w8',
            'Version@w7 tenth',
            'Zone@w9 tenth',
            '>Calls/s@w6',
            '>Success %@w8',
            '>p99@w7',
            'Circuits@w10',
            'Last hour@w11',
            '>Since',
          ]}
        />
        <tbody>
          {steady.rows.slice(0, MOST_ROWS).map((instance) => (
            <InstanceRow
              key={instance.id}
              instance={instance}
              heartbeats={heartbeats.get(instance.id) ?? null}
              events={events.get(instance.id) ?? []}
              targets={targets.get(instance.id) ?? []}
            />
          ))}
        </tbody>
      </table>
      {shown.length > MOST_ROWS && (
        <p class="panel-foot">
          <a class="link" href={hashOf('instances', { service: node.name, ns: node.namespace })}>
            {plural(shown.length - MOST_ROWS, 'more instance')}
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

/** More rows than this are for filters, or for `rollcall ls`. */
const MOST_ROWS = 200;

/** What all callers tell of each instance. */
function byInstance(callers: readonly ServiceEdge[]): ReadonlyMap<string, readonly TargetEdge[]> {
  const targets = new Map<string, TargetEdge[]>();
  for (const target of callers.flatMap((edge) => edge.targets ?? [])) {
    const known = targets.get(target.instance);
    if (known === undefined) targets.set(target.instance, [target]);
    else known.push(target);
  }
  return targets;
}

/** Events beyond so many are not looked at: the instance itself shows all of its own. */
const MOST_EVENTS = 500;

/** What changed the states of its instances, by instance. */
function useEventsByInstance(node: ServiceNode): ReadonlyMap<string, readonly RegistryEvent[]> {
  const query = new URLSearchParams({ namespace: node.namespace, service: node.name, limit: String(MOST_EVENTS) });
  for (const kind of ['registered', 'state', 'moved']) query.append('kind', kind);
  const answer = useAnswer<EventsAnswer>(`api/v1/events?${query.toString()}`, { everyMs: 30_000, onNews: true });
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
  readonly filters: Readonly<Record<string, string>>;
}

/** Filters live in the address: what one sees can be sent to somebody. */
function Chips({ all, filters }: ChipsProps): VNode {
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
              <Glyph of={{ state }} />
              {state} {all.filter((instance) => instance.state === state).length}
            </>,
          ),
        )}
      {versions.length > 1 &&
        versions.slice(0, 4).map((version) => chip('version', version, <Clip of={`version ${version}`} />))}
      {zones.length > 1 && zones.slice(0, 4).map((zone) => chip('zone', zone, <Clip of={`zone ${zone}`} />))}
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

/** Callers tell of windows this long. */
const WINDOW_S = 5;

/** Of the attempts that came to it; null: there were none. */
function successHere(targets: readonly TargetEdge[]): number | null {
  const attempts = targets.reduce((sum, target) => sum + target.callsPerSecond * WINDOW_S, 0);
  const failures = targets.reduce((sum, target) => sum + target.failures, 0);
  return attempts === 0 ? null : Math.max(0, 1 - failures / attempts);
}

interface RowProps {
  readonly instance: Instance;
  readonly heartbeats: Parameters<typeof Heartbeat1>[0]['heartbeats'];
  readonly events: readonly RegistryEvent[];
  readonly targets: readonly TargetEdge[];
}

function InstanceRow({ instance, heartbeats, events, targets }: RowProps): VNode {
  const { clock } = useSession();
  const staleSince = useStaleSince();
  const isTrouble = needsAttention(instance);
  const [endpoint] = instance.endpoints;
  const p99Ms = targets.reduce<number | null>((most, target) => maxOf(most, target.p99Ms), null);
  return (
    <tr class={isTrouble ? `tinted ${instance.state}` : ''} data-row data-problem={isTrouble ? '' : undefined}>
      <td>
        {instance.admin !== 'ENABLED' && <b class="block small">{instance.admin}</b>}
        <StateWord of={instance} />
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
        <Clip of={endpoint === undefined ? '–' : addressOf(endpoint)} />
      </td>
      <td class="mono w7 rest">
        <Clip of={instance.version === '' ? '–' : instance.version} />
      </td>
      <td class="w9 rest">
        <Clip of={instance.zone === '' ? '–' : instance.zone} />
      </td>
      <td class="right w6">
        {targets.length === 0 ? '–' : rateText(targets.reduce((sum, target) => sum + target.callsPerSecond, 0))}
      </td>
      <td class="right w8">{percentText(successHere(targets))}</td>
      <td class="right nowrap w7">{latencyText(p99Ms)}</td>
      <td class="w10">
        <CircuitMarks of={targets.length === 0 ? null : sumOfCircuits(targets.map(({ circuits }) => circuits))} />
      </td>
      <td class="w11">
        <Timeline events={events} now={staleSince ?? clock.now.value} isSmall />
      </td>
      <td class="right nowrap">
        {staleSince === null ? ageText(clock.now.value - instance.since) : clockText(instance.since)}
      </td>
    </tr>
  );
}
