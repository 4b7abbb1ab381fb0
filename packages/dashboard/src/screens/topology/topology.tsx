import type { VNode } from 'preact';
import type { ServiceEdge, TopologyAnswer } from '../../model/live/answers.js';
import { knownAsOf, valueOf } from '../../model/live/known.js';
import type { NameOf } from '../../model/live/roll.js';
import { useFilterLink, useKnown, useNamespace, useSession } from '../../model/live/session.js';
import { clockText, plural } from '../../model/text/age.js';
import { tooManyText } from '../../model/text/instance-text.js';
import { byImpairment, isIdle, isImpaired } from '../../model/view/edge.js';
import { fittingEdges, matchServices, servicesOf, shownEdges } from '../../model/view/edge-filters.js';
import { edgeKey } from '../../model/view/graph.js';
import { withFilter } from '../../model/view/route.js';
import { Announcer } from '../../parts/announcer.js';
import { Code } from '../../parts/copy.js';
import { Head } from '../../parts/panel.js';
import { UnknownScreen } from '../../parts/unknown.js';
import { EdgeTable } from './edge-table.js';
import { TopologyGraph } from './topology-graph.js';

/** A graph of more services is unreadable: it needs a filter first. */
const MAX_NODES = 60;

/** The calls between services, as the callers report them. */
export function TopologyScreen(): VNode {
  const { route, roll } = useSession();
  const namespace = useNamespace();
  const { filters } = route.value;
  const known = useKnown<TopologyAnswer>(`api/v1/topology?targets=false&namespace=${encodeURIComponent(namespace)}`);
  const topology = valueOf(known);
  if (topology === null) return <UnknownScreen title="Topology" what="The calls between services" value={known} />;
  const asOf = knownAsOf(known);
  const all = topology.edges;
  if (all.length === 0) return <NoEdges asOf={asOf} />;
  const onlyImpaired = filters['only'] === 'unhealthy';
  const wanted = filters['service'] ?? '';
  const fitting = fittingEdges(all, filters);
  const shown = shownEdges(fitting, filters);
  const services = servicesOf(shown);
  const isTooLarge = services.length > MAX_NODES && wanted === '';
  const view = filters['view'] === 'table' || isTooLarge ? 'table' : 'graph';
  const impaired = shown.filter(isImpaired).toSorted(byImpairment);
  const verdict = verdictOf({ shown, impaired: impaired.length, onlyImpaired, asOf });
  const selected = shown.find((edge) => edgeKey(edge) === filters['edge']) ?? impaired[0] ?? null;
  return (
    <>
      <Head verdict={verdict} sentence={sentenceOf(impaired, asOf, roll.nameOf)}>
        <ViewChoice view={view} />
      </Head>
      <Announcer text={verdict} />
      <section class="panel">
        <Choices idle={fitting.filter(isIdle).length} wanted={wanted} services={servicesOf(all)} />
        {isTooLarge && <p class="panel-body soft">{tooManyText(plural(services.length, 'service'), onlyImpaired)}</p>}
        {shown.length === 0 ? (
          <p class="panel-body faint">
            No edge fits.{' '}
            <a class="link" href="#/topology?idle=shown">
              clear filter
            </a>
          </p>
        ) : view === 'table' ? (
          <EdgeTable edges={shown} />
        ) : (
          <TopologyGraph edges={shown} all={all} selected={selected} />
        )}
        <Legend />
      </section>
    </>
  );
}

interface VerdictInput {
  /** The edges that pass the filters: the verdict is about these alone. */
  readonly shown: readonly ServiceEdge[];
  readonly impaired: number;
  readonly onlyImpaired: boolean;
  /** Null: the value is current. */
  readonly asOf: number | null;
}

function verdictOf({ shown, impaired, onlyImpaired, asOf }: VerdictInput): string {
  const tense = (now: string, past: string): string => (asOf === null ? now : past);
  const at = asOf === null ? '' : ` at ${clockText(asOf)}`;
  if (shown.length === 0) {
    const fits = tense('fits', 'fitted');
    return onlyImpaired
      ? `No edge that ${fits} ${tense('is', 'was')} impaired${at}.`
      : `No edge ${fits} the filter${at}.`;
  }
  const failed = shown.reduce((sum, { failures }) => sum + failures, 0);
  const calls = failed === 0 ? 'no call failed' : `${plural(failed, 'call')} failed`;
  if (shown.length === 1)
    return `The one edge ${tense('is', 'was')} ${impaired === 0 ? 'fine' : 'impaired'}${at}, ${calls}.`;
  const were = tense('are', 'were');
  if (onlyImpaired) return `${plural(impaired, 'edge')} ${were} impaired${at}, ${calls}.`;
  if (impaired === 0) return `All ${plural(shown.length, 'edge')} ${were} fine${at}, ${calls}.`;
  return `${impaired} of ${plural(shown.length, 'edge')} ${were} impaired${at}, ${calls}.`;
}

function sentenceOf(impaired: readonly ServiceEdge[], asOf: number | null, nameOf: NameOf): string {
  const verb = asOf === null ? 'report' : 'reported';
  if (impaired.length === 0) return `As the callers themselves ${verb}, each of its last five seconds.`;
  const elsewhere = impaired.reduce((sum, { retries }) => sum + retries, 0);
  const pairs = impaired
    .slice(0, 3)
    .map(({ namespace, from, to }) => `${nameOf(namespace, from)} to ${nameOf(namespace, to)}`);
  return `${pairs.join(', ')}${impaired.length > 3 ? ' and others' : ''}. ${plural(elsewhere, 'attempt')} went to another instance, as last reported by the callers.`;
}

function ViewChoice({ view }: { readonly view: 'graph' | 'table' }): VNode {
  const link = useFilterLink();
  return (
    <p class="actions toggle">
      <a href={link('view', '')} aria-current={view === 'graph' ? 'true' : undefined}>
        Graph
      </a>
      <a href={link('view', 'table')} aria-current={view === 'table' ? 'true' : undefined}>
        Table
      </a>
    </p>
  );
}

const set = (key: string, value: string): void =>
  void (window.location.hash = withFilter(window.location.hash, key, value));

interface ChoicesProps {
  readonly idle: number;
  /** The filter `service`, as it is typed. */
  readonly wanted: string;
  readonly services: readonly string[];
}

function Choices({ idle, wanted, services }: ChoicesProps): VNode {
  const { route, roll } = useSession();
  const { filters } = route.value;
  const hasNamespaces = roll.namespaces.value.length > 1;
  const [match = wanted, ...otherMatches] = wanted === '' ? [] : matchServices(wanted, services);
  // a name that several namespaces have is a choice of its own
  const chosen = otherMatches.length > 0 ? wanted : match;
  return (
    <div class="topology-choices">
      <label>
        <input
          type="checkbox"
          checked={filters['only'] === 'unhealthy'}
          onChange={({ currentTarget }) => set('only', currentTarget.checked ? 'unhealthy' : '')}
        />
        Unhealthy only
      </label>
      <label>
        <input
          type="checkbox"
          checked={filters['idle'] !== 'shown'}
          onChange={({ currentTarget }) => set('idle', currentTarget.checked ? '' : 'shown')}
        />
        Hide idle edges <span class="faint">{idle}</span>
      </label>
      <label class="chip">
        service
        <select value={chosen} onChange={({ currentTarget }) => set('service', currentTarget.value)}>
          <option value="">any</option>
          {chosen !== '' && !services.includes(chosen) && <option value={chosen}>{chosen}</option>}
          {services.map((name) => (
            <option key={name} value={name}>
              {hasNamespaces ? name : name.slice(name.indexOf('/') + 1)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Legend(): VNode {
  return (
    <p class="legend">
      <span>
        <i class="thick" /> width: calls/s
      </span>
      <span>
        <i /> attempts 99.9 % or better
      </span>
      <span>
        <i class="unhealthy" /> 99 to 99.9 %
      </span>
      <span>
        <i class="critical" /> under 99 %
      </span>
      <span>
        <i class="cut" /> dashed: a circuit is open
      </span>
      <span>
        <span class="mono">24 ms</span> p99, measured by the callers
      </span>
      <span>a call makes one attempt, and another one at another instance if that fails</span>
    </p>
  );
}

function NoEdges({ asOf }: { readonly asOf: number | null }): VNode {
  const isLive = asOf === null;
  return (
    <>
      <Head
        verdict={isLive ? 'No call has been reported yet.' : `No call had been reported at ${clockText(asOf)}.`}
        sentence="An edge appears here within ten seconds of the first call that goes through Rollcall. Nothing has to be set up."
      />
      <section class="panel panel-body stack">
        <Code
          text={`constructor(@InjectService('orders') private readonly orders: ServiceClient) {}\n\nawait this.orders.call('find', { id: 7 })`}
          what="a call through Rollcall"
        />
      </section>
    </>
  );
}
