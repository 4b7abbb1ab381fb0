import { isOutage } from '@rollcall/core';
import type { Instance, Override } from '@rollcall/core';
import type { VNode } from 'preact';
import type { EventsAnswer, InstanceListAnswer, RegistryAnswer, TopologySummary } from '../model/live/answers.js';
import { arrivalText } from '../model/live/arrival.js';
import { asOfOf, valueOf } from '../model/live/known.js';
import type { Known } from '../model/live/known.js';
import {
  attentionOf,
  byTrouble,
  countStates,
  needsAttention,
  servicesByTrouble,
  standingOf,
  tallyOf,
} from '../model/live/roll.js';
import type { NameOf, Placed, ServiceNode } from '../model/live/roll.js';
import { useAnswer, useKnown, useNamespace, useSession, useStaleSince } from '../model/live/session.js';
import { useSteady } from '../model/live/steady.js';
import { affectedText } from '../model/text/affected.js';
import { ageText, clockText, countText, latencyText, plural, rateText } from '../model/text/age.js';
import { awaySince, awayText, awayUntilText, keptAwayText, standingText } from '../model/text/callable-words.js';
import { evidenceOf, nextText, shareText, tailOf, verdictText, whyText } from '../model/text/words.js';
import { hashOf, instanceHash } from '../model/view/route.js';
import type { Filters } from '../model/view/route.js';
import { Announcer } from '../parts/announcer.js';
import { Counters } from '../parts/charts/counters.js';
import { EventLines } from '../parts/charts/event-lines.js';
import { Preservation } from '../parts/charts/preservation.js';
import { Glyph, StateWord } from '../parts/glyph.js';
import { InstanceLink, ServiceLink } from '../parts/name.js';
import { Facts, Head, Panel } from '../parts/panel.js';
import { asOfText, Unknown } from '../parts/unknown.js';
import { useShownServices } from './shown.js';
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
  const outages = new Set(
    nodes.filter(({ instances }) => isOutage(standingOf(instances.value).count)).map(({ key }) => key),
  );
  const verdict =
    arrival === null ? verdictText(tallyOf(nodes, roll.nameOf), staleSince) : arrivalText(arrival, staleSince);
  return (
    <>
      <Head verdict={verdict} sentence={affectedText(topology, roll.nameOf, outages)}>
        <Counters counts={arrival === null ? countStates(nodes) : null} />
      </Head>
      <Announcer text={verdict} />
      <div class="overview">
        <div class="stack">
          <Attention nodes={nodes} topology={valueOf(topology)} namespace={namespace} />
          <Wall nodes={nodes} />
          <TrafficPanel namespace={namespace} />
        </div>
        <div class="stack">
          <RegistryPanel of={known} />
          {registry !== null && <Preservation of={registry.preservation} asOf={asOfOf(known)} />}
          <LastEvents namespace={namespace} />
        </div>
      </div>
    </>
  );
}

interface AttentionProps {
  readonly nodes: readonly ServiceNode[];
  readonly topology: TopologySummary | null;
  readonly namespace: string;
}

/** More rows than this are a list of their own. */
const MOST_ROWS = 12;
const MORE = ['more instance', 'more instances'] as const;

function Attention({ nodes, topology, namespace }: AttentionProps): VNode {
  const { clock } = useSession();
  const staleSince = useStaleSince();
  const { trouble, onTheWay } = attentionOf(nodes);
  const steady = useSteady(trouble, ({ instance }) => instance.id);
  const isAway = trouble.some(({ instance }) => instance.admin !== 'ENABLED');
  const path = `api/v1/instances?admin=DRAINING&admin=MAINTENANCE&limit=500&namespace=${encodeURIComponent(namespace)}`;
  const list = useAnswer<InstanceListAnswer>(isAway ? path : null, { everyMs: 15_000, onNews: true }).value.value;
  const overrides = new Map(list?.instances.map(({ id, override = null }) => [id, override]));
  const rest = steady.rows.slice(MOST_ROWS);
  // these may be in any state
  const away = rest.filter(({ instance }) => !needsAttention(instance)).length;
  const failures = new Map(
    topology?.called.map(({ namespace: ns, service, failures: failed }) => [`${ns}/${service}`, failed]),
  );
  const now = clock.now.value;
  const row = (placed: Placed): VNode =>
    attentionRow({
      ...placed,
      override: overrides.get(placed.instance.id) ?? null,
      failures: failures.get(placed.node.key) ?? null,
      now,
      staleSince,
    });
  return (
    <section
      class="panel scroll"
      tabIndex={0}
      aria-label="What needs attention"
      ref={(box: HTMLElement | null) => void (steady.ref.current = box)}
    >
      <table class="attention">
        <thead>
          <tr>
            <th scope="col">
              <h2>Needs attention</h2> <span class="faint">{trouble.length}</span>
            </th>
            <th scope="col">Why</th>
            <th scope="col" class="right">
              Since
            </th>
            <th scope="col">Next</th>
          </tr>
        </thead>
        <tbody>
          {trouble.length === 0 && (
            <tr>
              <td colSpan={4} class="faint">
                {staleSince === null
                  ? 'Nothing. Who is UNHEALTHY or CRITICAL, or keeps a service from being called, is listed here, the worst first.'
                  : `Nothing did at ${clockText(staleSince)}.`}
              </td>
            </tr>
          )}
          {steady.rows.slice(0, MOST_ROWS).map(row)}
          <More count={rest.length - away} what={MORE} filters={{ state: 'CRITICAL,UNHEALTHY' }} />
          <More
            count={away}
            what={['more that is kept away', 'more that are kept away']}
            filters={{ callable: 'no' }}
          />
        </tbody>
        {onTheWay.length > 0 && (
          <tbody>
            <tr class="group">
              <th scope="rowgroup" colSpan={4}>
                <h2>On the way</h2> <span class="faint">{onTheWay.length}</span>{' '}
                <span class="faint">{staleSince === null ? 'nothing to do' : `as of ${clockText(staleSince)}`}</span>
              </th>
            </tr>
            {onTheWay.slice(0, MOST_ROWS).map(row)}
            <More count={onTheWay.length - MOST_ROWS} what={MORE} filters={{ state: 'REGISTERING,DEREGISTERING' }} />
          </tbody>
        )}
      </table>
    </section>
  );
}

interface MoreProps {
  readonly count: number;
  readonly what: readonly [string, string];
  /** Of the list that has them. */
  readonly filters: Filters;
}

function More({ count, what: [one, several], filters }: MoreProps): VNode | null {
  if (count <= 0) return null;
  return (
    <tr>
      <td colSpan={4}>
        <a class="link" href={hashOf('instances', filters)}>
          {plural(count, one, several)}
        </a>
      </td>
    </tr>
  );
}

/**
 * Rows and tiles of this page are made by functions, and are no components: a component that reads a signal and is handed the same again is
 * passed over by @preact/signals, and what Preact 10.29 then keeps of it holds on to the page that was there before, and that to the one
 * before it. `npm run bench -- dashboard` shows it as a heap that grows; it looks at this page alone, the others are not measured.
 */
interface AttentionRow extends Placed {
  /** What an operator set of it; null: nothing, or not known. */
  readonly override: Override | null;
  readonly failures: number | null;
  readonly now: number;
  readonly staleSince: number | null;
}

function attentionRow({ node, instance, alike, override, failures, now, staleSince }: AttentionRow): VNode {
  const standing = standingOf(node.instances.value);
  const next = nextText(instance, staleSince === null ? now : null, staleSince ?? now);
  const isAway = instance.admin !== 'ENABLED';
  const isTrouble = needsAttention(instance) || (isAway && isOutage(standing.count));
  const colour = isAway && isTrouble ? 'CRITICAL' : instance.state;
  const isOld = staleSince !== null;
  const detail = { override };
  const since = awaySince(instance, override) ?? (isAway ? null : instance.since);
  const evidence = evidenceOf(instance);
  const facts = [
    ...(instance.version === '' || isTrouble ? [] : [`version ${instance.version}`]),
    standingText(standing),
    ...(failures === null || !isTrouble ? [] : [`${plural(failures, 'call')} failed`]),
  ];
  return (
    <tr
      key={instance.id}
      class={isTrouble ? `tinted ${colour}` : ''}
      data-row
      data-problem={isTrouble ? '' : undefined}
    >
      <td>
        {isAway && <b>{instance.admin} </b>}
        {alike === 1 && <StateWord of={instance} />}
        {alike === 1 ? (
          <InstanceLink id={instance.id} service={node.name} namespace={node.namespace} />
        ) : (
          <>
            {ServiceLink({ namespace: node.namespace, name: node.name, class: 'strong' })}{' '}
            <a class="link" href={hashOf('instances', { callable: 'no', q: node.name })}>
              {plural(alike, 'instance')}
            </a>
          </>
        )}
      </td>
      <td>
        <p class="why">
          {isAway
            ? keptAwayText({ instance, detail, now, isOld }) || awayText(instance, isOld)
            : whyText(instance, isOld)}
        </p>
        <p class="sub">
          {evidence !== '' && <span class="mono">{evidence}</span>}
          {evidence !== '' && ' · '}
          {facts.join(' · ')}
        </p>
      </td>
      <td class="right nowrap since">
        {since === null ? '–' : staleSince === null ? ageText(now - since) : clockText(since)}
      </td>
      <td class="next">
        {isAway ? awayUntilText(override, now) : next.what}
        {next.unless !== '' && <p class="sub">{next.unless}</p>}
        {next.ratio !== null && isTrouble && (
          <span
            class={`countdown ${next.state === 'REMOVED' ? 'DEREGISTERING' : (next.state ?? '')}`}
            aria-hidden="true"
          >
            <i style={{ width: `${Math.round(next.ratio * 100)}%` }} />
          </span>
        )}
      </td>
    </tr>
  );
}

/** Services beyond so many are shown by the list, which has filters. */
const MOST_WALL = 60;

function Wall({ nodes }: { readonly nodes: readonly ServiceNode[] }): VNode {
  const steady = useSteady(servicesByTrouble(nodes), ({ key }) => key);
  const { nameOf } = useSession().roll;
  const isOld = useStaleSince() !== null;
  const instances = nodes.reduce((sum, node) => sum + node.instances.value.size, 0);
  return (
    <Panel title="Services" count={nodes.length} aside={`${plural(instances, 'instance')}, problems first`}>
      <div class="wall" ref={(box: HTMLElement | null) => void (steady.ref.current = box)}>
        {steady.rows.slice(0, MOST_WALL).map((node) => wallRow(node, nameOf, isOld))}
      </div>
      {nodes.length > MOST_WALL && (
        <p class="panel-foot">
          <a class="link" href={hashOf('services')}>
            All {countText(nodes.length)} services
          </a>
        </p>
      )}
    </Panel>
  );
}

/** Tiles beyond so many are counted. */
const MOST_TILES = 12;

function wallRow(node: ServiceNode, nameOf: NameOf, isOld: boolean): VNode {
  const name = nameOf(node.namespace, node.name);
  const instances = [...node.instances.value.values()].toSorted(byTrouble);
  const { healthy, all } = standingOf(node.instances.value);
  return (
    <div key={node.key} class="wall-row" data-row>
      {ServiceLink({ namespace: node.namespace, name: node.name, class: 'wall-name' })}
      <span class={healthy < all ? 'wall-share low' : 'wall-share'}>{shareText(healthy, all)}</span>
      <span class="tiles">
        {instances.slice(0, MOST_TILES).map((instance) => tile(instance, name, isOld))}
        {instances.length > MOST_TILES && <span class="faint small">+ {instances.length - MOST_TILES}</span>}
      </span>
    </div>
  );
}

function tile(instance: Instance, service: string, isOld: boolean): VNode {
  const tail = tailOf(instance.id);
  // what is seen of it is a part of its name
  const admin = instance.admin === 'DRAINING' ? 'drains' : 'maintenance';
  const seen = instance.admin === 'ENABLED' ? tail : `${tail} ${admin}`;
  const label = `${service}…${seen}: ${instance.state}, ${whyText(instance, isOld)}`;
  return (
    <a
      key={instance.id}
      class={`tile ${instance.state}`}
      href={instanceHash(instance.id)}
      title={label}
      aria-label={label}
    >
      <Glyph of={instance} />
      {tail} {instance.admin !== 'ENABLED' && <span class="tile-admin">{admin}</span>}
    </a>
  );
}

function RegistryPanel({ of }: { readonly of: Known<RegistryAnswer> }): VNode {
  const { roll, clock } = useSession();
  const staleSince = useStaleSince();
  const registry = valueOf(of);
  const asOf = asOfOf(of) ?? staleSince;
  const status = roll.status.value;
  const isFine = status.settled && status.degraded === undefined;
  const aside =
    asOf === null ? <StateWord of={{ state: isFine ? 'HEALTHY' : 'REGISTERING' }} /> : `as of ${clockText(asOf)}`;
  const perSecond = registry === null ? null : (registry.instances * 1_000) / registry.heartbeat.intervalMs;
  return (
    <Panel title="Registry" aside={aside}>
      <Facts
        of={[
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
  const known = useKnown<EventsAnswer>(path, { everyMs: 15_000, onNews: true });
  const events = valueOf(known)?.events.toReversed() ?? null;
  return (
    <Panel title="Last events" aside={<a href={hashOf('events')}>All events</a>}>
      {events === null ? (
        <Unknown of={known} />
      ) : events.length === 0 ? (
        <p class="panel-body faint">{asOfText(known) === '' ? 'Nothing has happened yet.' : 'Nothing had happened.'}</p>
      ) : (
        <EventLines of={events} />
      )}
    </Panel>
  );
}
