import { callableText } from '@rollcall/core';
import type { AwayState, Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { EventsAnswer, RegistryAnswer, TopologyAnswer, TopologySummary } from '../model/live/answers.js';
import { arrivalText } from '../model/live/arrival.js';
import { knownAsOf, valueOf } from '../model/live/known.js';
import type { Known } from '../model/live/known.js';
import { byTrouble, countStates, servicesByTrouble, standingOf, tallyOf } from '../model/live/roll.js';
import type { NameOf, ServiceNode } from '../model/live/roll.js';
import { useKnown, useNamespace, useSession, useStaleSince } from '../model/live/session.js';
import { useStableOrder } from '../model/live/stable-order.js';
import { affectedText } from '../model/text/affected.js';
import { ageText, clockText, countText, latencyText, plural, rateText } from '../model/text/age.js';
import { callableShare } from '../model/text/callable-text.js';
import { tailOf, verdictText, reasonText } from '../model/text/instance-text.js';
import { hasNoneCallable } from '../model/view/listing.js';
import { hashOf, instanceHash } from '../model/view/route.js';
import { Announcer } from '../parts/announcer.js';
import { Counters } from '../parts/charts/counters.js';
import { EventLines } from '../parts/charts/event-lines.js';
import { Preservation } from '../parts/charts/preservation.js';
import { Glyph, StateWord } from '../parts/glyph.js';
import { ServiceLink } from '../parts/name.js';
import { Facts, Head, Panel } from '../parts/panel.js';
import { asOfText, Unknown } from '../parts/unknown.js';
import { Attention } from './attention.js';
import { useShownServices } from './shown-services.js';
import { TrafficPanel } from './traffic.js';
import { Welcome } from './welcome.js';

export function Overview({ registry: known }: { readonly registry: Known<RegistryAnswer> }): VNode {
  const { roll } = useSession();
  const nodes = useShownServices().value;
  const namespace = useNamespace();
  const topology = useKnown<TopologySummary>(`api/v1/topology?summary=true&namespace=${encodeURIComponent(namespace)}`);
  const { value: arrival } = roll.arrival;
  const staleSince = useStaleSince();
  const registry = valueOf(known);
  if (roll.services.value.length === 0 && staleSince === null && arrival === null)
    return <Welcome registry={registry} />;
  const verdict =
    arrival === null ? verdictText(tallyOf(nodes, roll.nameOf), staleSince) : arrivalText(arrival, staleSince);
  return (
    <>
      <Head verdict={verdict} sentence={<Affected nodes={nodes} summary={topology} namespace={namespace} />}>
        <Counters counts={arrival === null ? countStates(nodes) : null} />
      </Head>
      <Announcer text={verdict} />
      <div class="overview">
        <div class="stack">
          <Attention nodes={nodes} topology={valueOf(topology)} namespace={namespace} />
          <Wall nodes={nodes} />
          <TrafficPanel namespace={namespace} summary={topology} />
        </div>
        <div class="stack">
          <RegistryPanel known={known} />
          {registry !== null && <Preservation preservation={registry.preservation} asOf={knownAsOf(known)} />}
          <LastEvents namespace={namespace} />
        </div>
      </div>
    </>
  );
}

interface AffectedProps {
  readonly nodes: readonly ServiceNode[];
  readonly summary: Known<TopologySummary>;
  readonly namespace: string;
}

/** The maximum number of services without a callable instance whose callers are requested. */
const MAX_OUTAGES = 10;

function Affected({ nodes, summary, namespace }: AffectedProps): VNode {
  const { roll } = useSession();
  const out = nodes.filter(hasNoneCallable);
  const query = new URLSearchParams({ targets: 'false', namespace });
  for (const { name } of out.slice(0, MAX_OUTAGES)) query.append('service', name);
  const edges = useKnown<TopologyAnswer>(out.length === 0 ? null : `api/v1/topology?${query.toString()}`);
  const outages = new Set(out.map(({ key }) => key));
  const hasReports = (valueOf(summary)?.edges ?? 0) > 0;
  return (
    <>
      {affectedText({ summary, outages, edges: valueOf(edges)?.edges ?? null, nameOf: roll.nameOf })}{' '}
      {hasReports && (
        <a class="link" href={hashOf('topology', { only: 'unhealthy' })}>
          Topology
        </a>
      )}
    </>
  );
}

/** Services beyond this number are left to the list, which has filters. */
const MAX_WALL_ROWS = 60;

function Wall({ nodes }: { readonly nodes: readonly ServiceNode[] }): VNode {
  const stable = useStableOrder(servicesByTrouble(nodes), ({ key }) => key);
  const { nameOf } = useSession().roll;
  const isOld = useStaleSince() !== null;
  const instances = nodes.reduce((sum, node) => sum + node.instances.value.size, 0);
  return (
    <Panel title="Services" count={nodes.length} aside={`callable of ${plural(instances, 'instance')}, problems first`}>
      <div class="wall" ref={(box: HTMLElement | null) => void (stable.ref.current = box)}>
        {stable.rows.slice(0, MAX_WALL_ROWS).map((node) => wallRow(node, nameOf, isOld))}
      </div>
      {nodes.length > MAX_WALL_ROWS && (
        <p class="panel-foot">
          <a class="link" href={hashOf('services')}>
            All {countText(nodes.length)} services
          </a>
        </p>
      )}
    </Panel>
  );
}

/** Tiles beyond this number are counted. */
const MAX_TILES = 12;

/** No component, for the reason that the rows of `Attention` are none. */
function wallRow(node: ServiceNode, nameOf: NameOf, isOld: boolean): VNode {
  const name = nameOf(node.namespace, node.name);
  const instances = [...node.instances.value.values()].toSorted(byTrouble);
  const { count } = standingOf(node.instances.value);
  return (
    <div key={node.key} class="wall-row" data-row>
      {ServiceLink({ namespace: node.namespace, name: node.name, class: 'wall-name' })}
      <span class={count.callable < count.all ? 'wall-share low' : 'wall-share'} title={callableText(count)}>
        {callableShare(count)}
      </span>
      <span class="tiles">
        {instances.slice(0, MAX_TILES).map((instance) => tileOf(instance, name, isOld))}
        {instances.length > MAX_TILES && <span class="faint small">+ {instances.length - MAX_TILES}</span>}
      </span>
    </div>
  );
}

const TILE_LABELS: Readonly<Record<AwayState, string>> = { DRAINING: 'drains', MAINTENANCE: 'maintenance' };

function tileOf(instance: Instance, service: string, isOld: boolean): VNode {
  const tail = tailOf(instance.id);
  // the visible part is a part of its name
  const visible = instance.admin === 'ENABLED' ? tail : `${tail} ${TILE_LABELS[instance.admin]}`;
  const label = `${service}…${visible}: ${instance.state}, ${reasonText(instance, isOld)}`;
  return (
    <a
      key={instance.id}
      class={`tile ${instance.state}`}
      href={instanceHash(instance.id)}
      title={label}
      aria-label={label}
    >
      <Glyph shape={instance} />
      {tail} {instance.admin !== 'ENABLED' && <span class="tile-admin">{TILE_LABELS[instance.admin]}</span>}
    </a>
  );
}

function RegistryPanel({ known }: { readonly known: Known<RegistryAnswer> }): VNode {
  const { roll, clock } = useSession();
  const staleSince = useStaleSince();
  const registry = valueOf(known);
  const asOf = knownAsOf(known) ?? staleSince;
  const status = roll.status.value;
  const isFine = status.settled && status.degraded === undefined;
  const aside =
    asOf === null ? <StateWord instance={{ state: isFine ? 'HEALTHY' : 'REGISTERING' }} /> : `as of ${clockText(asOf)}`;
  const perSecond = registry === null ? null : (registry.instances * 1_000) / registry.heartbeat.intervalMs;
  return (
    <Panel title="Registry" aside={aside}>
      <Facts
        rows={[
          ['Replica', registry === null ? '–' : <span class="mono">{registry.replica.slice(0, 8)}</span>],
          ['Store', registry === null ? '–' : `${registry.store.name}${registry.store.durable ? '' : ', not kept'}`],
          ['Revision', countText(registry === null ? null : Math.max(registry.revision, roll.revision.value))],
          ['Heartbeats due', perSecond === null ? '–' : `${rateText(perSecond)}/s each way`],
          ['Calls late, p99', latencyText(registry?.calls.p99LateMs ?? null)],
          ['Up', registry === null || asOf !== null ? '–' : ageText(clock.now.value - registry.startedAt)],
        ]}
      />
      {status.degraded !== undefined && <p class="panel-body problem">{status.degraded}</p>}
    </Panel>
  );
}

function LastEvents({ namespace }: { readonly namespace: string }): VNode {
  const path = `api/v1/events?limit=8&namespace=${encodeURIComponent(namespace)}`;
  const known = useKnown<EventsAnswer>(path, { everyMs: 15_000, onChange: true });
  const events = valueOf(known)?.events.toReversed() ?? null;
  return (
    <Panel title="Last events" aside={<a href={hashOf('events')}>All events</a>}>
      {events === null ? (
        <Unknown value={known} />
      ) : events.length === 0 ? (
        <p class="panel-body faint">{asOfText(known) === '' ? 'Nothing has happened yet.' : 'Nothing had happened.'}</p>
      ) : (
        <EventLines events={events} />
      )}
    </Panel>
  );
}
