import { useComputed } from '@preact/signals';
import { addressOf, ADMIN_STATES, isCallable } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { useMemo } from 'preact/hooks';
import type { VNode } from 'preact';
import type { Circuits, TopologyAnswer } from '../model/live/answers.js';
import { arrivalText } from '../model/live/arrival.js';
import { missingText, valueOf } from '../model/live/known.js';
import { needsAttention, WORST_FIRST } from '../model/live/roll.js';
import { useKnown, useNamespace, useSession, useStaleSince } from '../model/live/session.js';
import { useStableOrder } from '../model/live/stable-order.js';
import { ageText, clockText, countText, plural } from '../model/text/age.js';
import { CIRCUIT_CHOICES, matchesCircuit, circuitsById } from '../model/view/circuits.js';
import { INSTANCE_SORTS, instanceFilter, sortInstances, parseSort } from '../model/view/listing.js';
import type { InstanceSort } from '../model/view/listing.js';
import { withFilter } from '../model/view/route.js';
import { circuitText } from '../parts/charts/circuits.js';
import { DrainListed } from '../parts/admin/drain-listed.js';
import { Choice, TextFilter } from '../parts/filters.js';
import { StateWord } from '../parts/glyph.js';
import { Clip, InstanceLink } from '../parts/name.js';
import { Head } from '../parts/panel.js';
import { Unknown } from '../parts/unknown.js';
import { WindowedRows } from '../parts/window.js';
import { useShownServices } from './shown-services.js';

/** The instances of all services, one row each; filters and order are in the address. */
export function InstancesScreen(): VNode {
  // the clock draws it once a second: so rows that were kept in place are sorted again
  const { roll, route, clock } = useSession();
  const nodes = useShownServices();
  const staleSince = useStaleSince();
  const all = useComputed(() => nodes.value.flatMap((node) => [...node.instances.value.values()]));
  const namespace = encodeURIComponent(useNamespace());
  const topology = useKnown<TopologyAnswer>(`api/v1/topology?namespace=${namespace}`, { everyMs: 10_000 });
  const edges = valueOf(topology)?.edges;
  const circuits = useMemo(() => circuitsById(edges ?? []), [edges]);
  const { filters } = route.value;
  const shown = useMemo(() => {
    const isListed = instanceFilter(filters);
    const fitting = all.value.filter(
      (instance) => isListed(instance) && matchesCircuit(filters, circuits.get(instance.id)),
    );
    return sortInstances(fitting, filters['sort'], circuits);
  }, [all.value, filters, circuits]);
  // without an answer they are unknown, not none
  const isPending = edges === undefined && (filters['circuit'] ?? '') !== '';
  const isFiltered = shown.length < all.value.length;
  const now = clock.now.value;
  const stable = useStableOrder(shown, ({ id }) => id);
  const { value: arrival } = roll.arrival;
  return (
    <>
      <Head
        title="Instances"
        verdict={
          arrival !== null
            ? arrivalText(arrival, staleSince)
            : isPending
              ? `Which circuits are open: ${missingText(topology)}`
              : verdictOf(shown, staleSince)
        }
        sentence={
          !isFiltered
            ? 'ENABLED, and neither CRITICAL nor DEREGISTERING: those may get calls.'
            : `${countText(shown.length)} of ${countText(all.value.length)} ${staleSince === null ? 'fit' : 'fitted'} the filters.`
        }
      >
        {isFiltered && (
          <div class="actions">
            <DrainListed instances={shown} />
          </div>
        )}
      </Head>
      <Filters all={all.value} />
      <section class="panel">
        <table class="one-height" aria-rowcount={stable.rows.length + 1}>
          <SortHeads />
          <WindowedRows
            rows={stable.rows}
            box={stable.ref}
            row={(instance, at) =>
              instanceRow({ instance, circuits: circuits.get(instance.id) ?? null, at, now, staleSince })
            }
          />
        </table>
        {isPending ? (
          <Unknown value={topology} />
        ) : (
          stable.rows.length === 0 && <NoInstances isFiltered={all.value.length > 0} staleSince={staleSince} />
        )}
      </section>
    </>
  );
}

function verdictOf(shown: readonly Instance[], staleSince: number | null): string {
  const callable = `${countText(shown.filter(isCallable).length)} of ${plural(shown.length, 'instance')}`;
  return staleSince === null
    ? `${callable} can be called.`
    : `${callable} could be called at ${clockText(staleSince)}.`;
}

const STATES = [
  ['CRITICAL,UNHEALTHY', 'needs attention'],
  ['REGISTERING,DEREGISTERING', 'on the way'],
  ...WORST_FIRST,
] as const;
/** A list of choices that is longer than this is for the text filter. */
const MAX_CHOICES = 500;

function Filters({ all }: { readonly all: readonly Instance[] }): VNode {
  const namespace = useNamespace();
  const choicesOf = (fieldOf: (instance: Instance) => string): string[] =>
    [...new Set(all.map(fieldOf))]
      .filter((value) => value !== '')
      .toSorted()
      .slice(0, MAX_CHOICES);
  const weights = [...new Set(all.map(({ weight }) => weight))]
    .toSorted((a, b) => a - b)
    .slice(0, MAX_CHOICES)
    .map(String);
  return (
    <div class="chips filters spaced" key={namespace}>
      <TextFilter label="Filter the instances" placeholder="Name, id, address, version …" />
      <Choice name="state" label="state" choices={STATES} />
      <Choice name="admin" label="admin" choices={ADMIN_STATES} />
      <Choice name="callable" label="callable" choices={['yes', 'no']} />
      <Choice name="circuit" label="circuit" choices={CIRCUIT_CHOICES} />
      <Choice name="weight" label="weight" choices={weights} />
      <Choice name="service" label="service" choices={choicesOf(({ service }) => service)} />
      <Choice name="zone" label="zone" choices={choicesOf(({ zone }) => zone)} />
      <Choice name="version" label="version" choices={choicesOf(({ version }) => version)} />
    </div>
  );
}

const COLUMNS: Readonly<Record<InstanceSort, readonly [string, string]>> = {
  state: ['State', ''],
  instance: ['Instance', ''],
  admin: ['Admin', 'w7'],
  callable: ['Callable', 'w5'],
  circuits: ['Circuits', 'w8'],
  version: ['Version', 'w9'],
  zone: ['Zone', 'w10'],
  namespace: ['Namespace', 'w10'],
  address: ['Address', 'w8'],
  since: ['Since', 'right'],
};

/** A click sorts by the column, a second one in the opposite order. */
function SortHeads(): VNode {
  const { route } = useSession();
  const [sort, isDown] = parseSort(INSTANCE_SORTS, route.value.filters['sort']);
  const current = sort ?? 'state';
  return (
    <thead>
      <tr aria-rowindex={1}>
        {INSTANCE_SORTS.map((key) => {
          const [name, only] = COLUMNS[key];
          const isOn = key === current;
          const next = isOn && !isDown ? `-${key}` : key;
          return (
            <th
              key={key}
              scope="col"
              class={`c-${key} ${only}`}
              aria-sort={isOn ? (isDown ? 'descending' : 'ascending') : undefined}
            >
              <a href={withFilter(window.location.hash, 'sort', next)}>
                {name}
                {isOn && <span aria-hidden="true">{isDown ? ' ↑' : ' ↓'}</span>}
              </a>
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

interface RowProps {
  readonly instance: Instance;
  /** To it; null: no caller reports any. */
  readonly circuits: Circuits | null;
  readonly at: number;
  readonly now: number;
  readonly staleSince: number | null;
}

/** A weight other than the default is shown: instances of weight 0 are skipped while there is an equally good one. */
const callableText = (weight: number): string => (weight === DEFAULT_WEIGHT ? 'yes' : `yes, weight ${weight}`);
const DEFAULT_WEIGHT = 100;

/** In short; the title has the whole. No component: see the row. */
function circuitCell(circuits: Circuits | null): VNode {
  const all = circuits === null ? 0 : circuits.closed + circuits.open + circuits.halfOpen;
  if (circuits === null || all === 0) return <span class="faint">–</span>;
  const title = circuitText(circuits);
  if (circuits.open > 0) return <b title={title}>{`${circuits.open}/${all} open`}</b>;
  return circuits.halfOpen > 0 ? (
    <span class="clip" title={title}>{`${circuits.halfOpen} half-open`}</span>
  ) : (
    <span class="faint" title={title}>
      closed
    </span>
  );
}

/** No component, for the reason that the rows of the overview are none. */
function instanceRow({ instance, circuits, at, now, staleSince }: RowProps): VNode {
  const { id, service, namespace, version, zone, admin, endpoints, since, weight } = instance;
  const isTrouble = needsAttention(instance);
  const [endpoint] = endpoints;
  return (
    <tr
      key={id}
      class={isTrouble ? `tinted ${instance.state}` : ''}
      data-row
      data-problem={isTrouble ? '' : undefined}
      aria-rowindex={at + 2}
    >
      <td>
        <StateWord instance={instance} />
      </td>
      <td class="full">
        <InstanceLink id={id} service={service} />
      </td>
      <td class="w7 card">{admin === 'ENABLED' ? <span class="faint">{admin}</span> : admin}</td>
      <td class="w5 card callable">{isCallable(instance) ? callableText(weight) : <b>no</b>}</td>
      <td class="w8">{circuitCell(circuits)}</td>
      <td class="mono w9">
        <Clip text={version === '' ? '–' : version} />
      </td>
      <td class="w10">
        <Clip text={zone === '' ? '–' : zone} />
      </td>
      <td class="w10">
        <Clip text={namespace} />
      </td>
      <td class="mono w8">
        <Clip text={endpoint === undefined ? '–' : addressOf(endpoint)} />
      </td>
      <td class="right since">{staleSince === null ? ageText(now - since) : clockText(since)}</td>
    </tr>
  );
}

interface NoInstancesProps {
  readonly isFiltered: boolean;
  readonly staleSince: number | null;
}

function NoInstances({ isFiltered, staleSince }: NoInstancesProps): VNode {
  const at = staleSince === null ? '' : ` at ${clockText(staleSince)}`;
  const tense = (now: string, past: string): string => (staleSince === null ? now : past);
  return (
    <p class="panel-body faint">
      {isFiltered
        ? `No instance ${tense('fits', 'fitted')}${at}. `
        : `No instance ${tense('is', 'was')} registered here${at}.`}
      {isFiltered && (
        <a class="link" href="#/instances">
          clear filter
        </a>
      )}
    </p>
  );
}
