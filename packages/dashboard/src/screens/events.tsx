import { useComputed, useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { VNode } from 'preact';
import { clockText, countText, exactText, plural, spanText } from '../model/age.js';
import type { EventsAnswer, RegistryEvent } from '../model/answers.js';
import { instanceHash, serviceHash, withFilter } from '../model/route.js';
import { knownOf, unknownText } from '../model/known.js';
import type { Known } from '../model/known.js';
import { isGone, useAsking, useNamespace, useSession, useStaleSince } from '../model/session.js';
import { EventMark, happenedText, subjectOf } from '../parts/event-lines.js';
import { Problem } from '../parts/dialog.js';
import { Heads } from '../parts/heads.js';
import { Head } from '../parts/panel.js';
import { save } from '../parts/save.js';
import { Unknown } from '../parts/unknown.js';
import { useShownServices } from './shown.js';

/** What one chip lets through; the registry's own words for kinds. */
const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['State changes', ['state', 'moved']],
  ['Registrations', ['registered', 're-registered', 'removed']],
  ['Actions', ['admin']],
  ['Self-preservation', ['preservation']],
  ['Registry', ['registry']],
];

const PAGE = 200;
/** More rows than this are not kept on the page; the export has them. */
const MOST_ROWS = 2_000;
/** A gap longer than this is told. */
const SILENCE_MS = 60_000;

/** What happened, newest first. It goes on by itself unless it is paused. */
export function EventsScreen(): VNode {
  const { route } = useSession();
  const { kind, service, instance } = route.value.filters;
  const namespace = useNamespace();
  const isPaused = useSignal(false);
  const query = queryOf(namespace, kind, service);
  const { events, missed, ...asked } = useEvents(query, isPaused.value);
  const shown = instance === undefined ? events : events.filter((event) => event.instance === instance);
  const staleSince = useStaleSince();
  const known = knownOf({ ...asked, value: asked.heardAt === null ? null : shown }, staleSince);
  return (
    <>
      <Head
        title="Events"
        verdict={<Verdict of={known} staleSince={staleSince} />}
        sentence="Changes of state, registrations and actions, with who and why. Newest first."
      >
        <div class="actions">
          <button
            type="button"
            class="button"
            data-pause
            aria-pressed={isPaused.value}
            onClick={() => (isPaused.value = !isPaused.value)}
          >
            {isPaused.value ? 'Go on' : 'Pause'}
          </button>
          <button type="button" class="button" onClick={() => exportLines(shown)}>
            Export NDJSON
          </button>
        </div>
      </Head>
      <Filters kind={kind} service={service} instance={instance} />
      {asked.error !== null && <Problem of={asked.error} />}
      {known.kind === 'known' ? (
        <Table
          events={shown}
          missed={missed}
          isFiltered={instance !== undefined || query !== queryOf(namespace, undefined, undefined)}
          asOf={known.asOf}
        />
      ) : (
        <section class="panel">
          <Unknown of={known} />
        </section>
      )}
    </>
  );
}

function queryOf(namespace: string, kind: string | undefined, service: string | undefined): string {
  const kinds = GROUPS.find(([name]) => name === kind)?.[1] ?? [];
  const words = new URLSearchParams({ namespace, limit: String(PAGE) });
  for (const one of kinds) words.append('kind', one);
  if (service !== undefined) words.append('service', service);
  return `api/v1/events?${words.toString()}`;
}

interface Events {
  /** Newest first. */
  readonly events: readonly RegistryEvent[];
  /** So many came and went unseen. */
  readonly missed: number;
  readonly error: Error | null;
  /** As of an `Answer`. */
  readonly heardAt: number | null;
  readonly askedAt: number;
}

interface VerdictProps {
  readonly of: Known<readonly RegistryEvent[]>;
  readonly staleSince: number | null;
}

function Verdict({ of, staleSince }: VerdictProps): VNode {
  if (of.kind === 'asked') return <>Asking what happened …</>;
  if (of.kind === 'unknown') return <>What happened: – {unknownText(of.since)}.</>;
  if (staleSince === null) return <LastMinute events={of.value} />;
  const { length } = of.value;
  return (
    <>
      {plural(length, 'event')} {length === 1 ? 'was' : 'were'} known at {clockText(of.asOf ?? staleSince)}.
    </>
  );
}

/** Apart, since it counts anew each second: nothing else has to be drawn for that. */
function LastMinute({ events }: { readonly events: readonly RegistryEvent[] }): VNode {
  const now = useSession().clock.now.value;
  return <>{plural(events.filter(({ at }) => at > now - SILENCE_MS).length, 'event')} in the last minute.</>;
}

/** The newest page, and from then on what came after it. */
function useEvents(path: string, isPaused: boolean): Events {
  const { api } = useSession();
  const state = useSignal<Events>({ events: [], missed: 0, error: null, heardAt: null, askedAt: Date.now() });
  const position = useRef<{ readonly path: string; readonly epoch: string; readonly last: number } | null>(null);
  useAsking(isPaused ? null : path, { everyMs: 5_000, onNews: true }, async (gone) => {
    const known = position.current?.path === path ? position.current : null;
    try {
      const answer = await api.get<EventsAnswer>(known === null ? path : `${path}&after=${known.last}`, gone);
      if (gone.aborted) return;
      const goesOn = known !== null && known.epoch === answer.epoch;
      // another life of the registry counts anew
      position.current = known !== null && !goesOn ? null : { path, epoch: answer.epoch, last: answer.last };
      const before = goesOn ? state.peek() : { events: [], missed: 0 };
      const events = [...answer.events.toReversed(), ...before.events].slice(0, MOST_ROWS);
      const { askedAt } = state.peek();
      const sum = goesOn ? before.missed + answer.missed : 0;
      state.value = { events, missed: sum, error: null, heardAt: Date.now(), askedAt };
    } catch (error) {
      if (!isGone(error)) state.value = { ...state.peek(), error: error as Error };
    }
  });
  return state.value;
}

const link = (key: string, value: string): string => withFilter(window.location.hash, key, value);

interface FiltersProps {
  readonly kind: string | undefined;
  readonly service: string | undefined;
  readonly instance: string | undefined;
}

function Filters({ kind, service, instance }: FiltersProps): VNode {
  const nodes = useShownServices();
  const names = useComputed(() => [...new Set(nodes.value.map(({ name }) => name))].toSorted());
  return (
    <div class="chips spaced">
      <a class="chip" href={link('kind', '')} aria-current={kind === undefined ? 'true' : undefined}>
        All
      </a>
      {GROUPS.map(([name]) => (
        <a key={name} class="chip" href={link('kind', name)} aria-current={kind === name ? 'true' : undefined}>
          {name}
        </a>
      ))}
      <label class="chip">
        service
        <select
          value={service ?? ''}
          onChange={({ currentTarget }) => void (window.location.hash = link('service', currentTarget.value))}
        >
          <option value="">any</option>
          {service !== undefined && !names.value.includes(service) && <option value={service}>{service}</option>}
          {names.value.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {instance !== undefined && (
        <a class="chip" href={link('instance', '')} aria-current="true" title="any instance">
          instance …{instance.slice(-4)} ×
        </a>
      )}
    </div>
  );
}

interface TableProps {
  readonly events: readonly RegistryEvent[];
  readonly missed: number;
  readonly isFiltered: boolean;
  /** Null: they are of now. */
  readonly asOf: number | null;
}

function Table({ events, missed, isFiltered, asOf }: TableProps): VNode {
  if (events.length === 0) {
    return (
      <p class="panel panel-body faint">
        {isFiltered
          ? `No event ${asOf === null ? 'fits' : 'fitted'}. `
          : asOf === null
            ? 'Nothing has happened since the registry started.'
            : `Nothing had happened at ${clockText(asOf)}.`}
        {isFiltered && (
          <a class="link" href="#/events">
            clear filter
          </a>
        )}
      </p>
    );
  }
  return (
    <section class="panel scroll" tabIndex={0} aria-label="Events, newest first">
      {missed > 0 && (
        <p class="panel-foot">{plural(missed, 'event')} came and went meanwhile: the registry keeps the last 10,000.</p>
      )}
      <table>
        <Heads of={['Time', 'Kind', 'Subject', 'What happened', '>Revision']} />
        <tbody>
          {events.flatMap((event, at) => [<Row key={event.seq} event={event} />, ...gapAfter(event, events[at + 1])])}
        </tbody>
      </table>
    </section>
  );
}

/** Silence is news, too. */
function gapAfter(event: RegistryEvent, before: RegistryEvent | undefined): VNode[] {
  if (before === undefined || event.at - before.at < SILENCE_MS) return [];
  return [
    <tr key={`gap ${event.seq}`} class="gap">
      <td colSpan={5}>{spanText(event.at - before.at)} without an event</td>
    </tr>,
  ];
}

function Row({ event }: { readonly event: RegistryEvent }): VNode {
  const isState =
    event.state !== null && (event.kind === 'state' || event.kind === 'registered' || event.kind === 'moved');
  return (
    <tr data-row>
      <td class="mono faint nowrap">{exactText(event.at)}</td>
      <td class="nowrap">
        <span class={isState ? `state ${event.state ?? ''}` : 'kind'}>
          <EventMark of={event} />
          {isState ? event.state : event.kind}
        </span>
      </td>
      <td class="mono nowrap">
        <Subject event={event} />
      </td>
      <td class="wide">
        {event.by === 'operator' && <b>operator: </b>}
        {happenedText(event)}
      </td>
      <td class="right mono faint">{countText(event.revision)}</td>
    </tr>
  );
}

function Subject({ event }: { readonly event: RegistryEvent }): VNode {
  if (event.instance !== null) return <a href={instanceHash(event.instance)}>{subjectOf(event)}</a>;
  if (event.service !== null)
    return <a href={serviceHash(event.namespace ?? 'default', event.service)}>{event.service}</a>;
  return <span>registry</span>;
}

/** One JSON object a line, oldest first, as other programs like it. */
function exportLines(events: readonly RegistryEvent[]): void {
  const lines = events.toReversed().map((event) => JSON.stringify(event));
  save('rollcall-events.ndjson', `${lines.join('\n')}\n`, 'application/x-ndjson');
}
