import { signal, useSignal } from '@preact/signals';
import type { Signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { VNode } from 'preact';
import type { EventsAnswer, RegistryEvent } from '../../model/live/answers.js';
import { mapKnown, knownOf, unknownText } from '../../model/live/known.js';
import type { Answer, Known } from '../../model/live/known.js';
import { isAborted, usePolling, useNamespace, useSession, useStaleSince } from '../../model/live/session.js';
import { clockText, countText, plural, spanText } from '../../model/text/age.js';
import { exactMomentText } from '../../model/text/moment.js';
import { EventPages, eventsPath, exportedLines, lastMinuteText, spanOf, withinSpan } from '../../model/view/events.js';
import type { ShownEvents } from '../../model/view/events.js';
import { EventMark, eventText } from '../../parts/charts/event-lines.js';
import { Problem } from '../../parts/dialog.js';
import { TableHead } from '../../parts/table-head.js';
import { InstanceLink, ServiceLink } from '../../parts/name.js';
import { Head } from '../../parts/panel.js';
import { save } from '../../parts/save.js';
import { Unknown } from '../../parts/unknown.js';
import { EventFilters } from './event-filters.js';

/** Longer gaps are shown. */
const SILENCE_MS = 60_000;

/** The events, newest first. It follows new ones unless it is paused. */
export function EventsScreen(): VNode {
  const { route, clock } = useSession();
  const { filters } = route.value;
  const namespace = useNamespace();
  const isPaused = useSignal(false);
  // a span is requested once: events that grow too old afterwards are left out below
  const path = useMemo(() => eventsPath(namespace, filters, clock.now.peek()), [namespace, filters]);
  const { answer, loadOlder } = useEvents(path, isPaused.value);
  const staleSince = useStaleSince();
  const endsAt = answer.receivedAt === null ? clock.now.peek() : clock.at(answer.receivedAt);
  const known = mapKnown(knownOf(answer, staleSince), (shown) => withinSpan(shown, spanOf(filters), endsAt));
  return (
    <>
      <Head
        title="Events"
        verdict={<Verdict known={known} pausedAt={isPaused.value ? answer.receivedAt : null} />}
        sentence="Changes of state, registrations, circuits and actions, with who and why. Newest first."
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
          <Export path={path} />
        </div>
      </Head>
      <EventFilters filters={filters} />
      {answer.error !== null && <Problem error={answer.error} />}
      {known.kind === 'known' ? (
        <Table
          shown={known.value}
          loadOlder={loadOlder}
          isFiltered={path !== eventsPath(namespace, {}, 0)}
          asOf={known.asOf}
        />
      ) : (
        <section class="panel">
          <Unknown value={known} />
        </section>
      )}
    </>
  );
}

/** Everything that the registry keeps and that matches, whatever the page shows. */
function Export({ path }: { readonly path: string }): VNode {
  const { api, shell } = useSession();
  const isBusy = useSignal(false);
  const run = async (): Promise<void> => {
    isBusy.value = true;
    try {
      const lines = await exportedLines(path, (page) => api.get<EventsAnswer>(page));
      save('rollcall-events.ndjson', lines.map((line) => `${line}\n`).join(''), 'application/x-ndjson');
      shell.notify(`${plural(lines.length, 'event')} exported.`);
    } catch (error) {
      shell.notify(error instanceof Error ? `Nothing was exported: ${error.message}` : 'Nothing was exported.');
    }
    isBusy.value = false;
  };
  return (
    <button
      type="button"
      class="button"
      disabled={isBusy.value}
      title="All events that the registry keeps and that match"
      onClick={() => void run()}
    >
      {isBusy.value ? 'Exporting …' : 'Export NDJSON'}
    </button>
  );
}

interface VerdictProps {
  readonly known: Known<ShownEvents>;
  /** The time of the newest answer if no newer one is requested; null: it continues. */
  readonly pausedAt: number | null;
}

function Verdict({ known, pausedAt }: VerdictProps): VNode {
  const { clock } = useSession();
  if (known.kind === 'pending') return <>Asking what happened …</>;
  if (known.kind === 'unknown') return <>What happened: – {unknownText(known.since)}.</>;
  const { value: shown, asOf } = known;
  if (asOf !== null) {
    const { length } = shown.events;
    return (
      <>
        {plural(length, 'event')} {length === 1 ? 'was' : 'were'} known at {clockText(asOf)}.
      </>
    );
  }
  if (pausedAt === null) return <LastMinute shown={shown} />;
  return (
    <>
      {upperFirst(lastMinuteText(shown, clock.at(pausedAt)))} in the minute before {clockText(pausedAt)}.
    </>
  );
}

const upperFirst = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** A component of its own, as it counts again each second: nothing else has to be drawn for that. */
function LastMinute({ shown }: { readonly shown: ShownEvents }): VNode {
  const now = useSession().clock.now.value;
  return <>{upperFirst(lastMinuteText(shown, now))} in the last minute.</>;
}

interface Events {
  readonly answer: Answer<ShownEvents>;
  /** Reads the page before the oldest shown one. */
  readonly loadOlder: () => Promise<void>;
}

interface EventSource {
  readonly pages: EventPages;
  readonly answer: Signal<Answer<ShownEvents>>;
}

/** The events of other filters are unknown yet. */
function createEventSource(path: string): EventSource {
  return {
    pages: new EventPages(path),
    answer: signal<Answer<ShownEvents>>({ value: null, error: null, receivedAt: null, requestedAt: Date.now() }),
  };
}

/** The newest page, later events, and older pages on request. */
function useEvents(path: string, isPaused: boolean): Events {
  const { api } = useSession();
  const { pages, answer } = useMemo(() => createEventSource(path), [path]);
  const read = async (action: () => Promise<void>): Promise<void> => {
    try {
      await action();
      answer.value = { ...answer.peek(), value: pages.isRead ? pages.now : null, error: null, receivedAt: Date.now() };
    } catch (cause) {
      if (!isAborted(cause)) answer.value = { ...answer.peek(), error: cause as Error };
    }
  };
  // a pause keeps an answer: without one, one is requested
  usePolling(isPaused && answer.value.value !== null ? null : path, { everyMs: 5_000, onChange: true }, (abortSignal) =>
    read(() => pages.update((page) => api.get<EventsAnswer>(page, abortSignal))),
  );
  const loadOlder = (): Promise<void> => read(() => pages.loadOlder((page) => api.get<EventsAnswer>(page)));
  return { answer: answer.value, loadOlder };
}

interface TableProps {
  readonly shown: ShownEvents;
  readonly loadOlder: () => Promise<void>;
  readonly isFiltered: boolean;
  /** Null: they are current. */
  readonly asOf: number | null;
}

function Table({ shown, loadOlder, isFiltered, asOf }: TableProps): VNode {
  const { events, missed } = shown;
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
      {missed > 0 && <p class="panel-foot">{plural(missed, 'event')} came and went meanwhile.</p>}
      <table class="lines">
        <TableHead columns={['Time', 'Kind', 'Subject@w5', 'What happened', '>Revision@w8']} />
        <tbody>
          {events.flatMap((event, at) => [<Row key={event.seq} event={event} />, ...gapAfter(event, events[at + 1])])}
        </tbody>
      </table>
      <Foot shown={shown} loadOlder={loadOlder} />
    </section>
  );
}

/** The events besides these rows. */
function Foot({ shown, loadOlder }: Pick<TableProps, 'shown' | 'loadOlder'>): VNode | null {
  const { older, isFull, dropped, events } = shown;
  const isBusy = useSignal(false);
  if (!older && dropped === 0) return null;
  const read = async (): Promise<void> => {
    isBusy.value = true;
    await loadOlder();
    isBusy.value = false;
  };
  return (
    <p class="panel-foot">
      {older && !isFull && (
        <button type="button" class="button" disabled={isBusy.value} onClick={() => void read()}>
          Older events
        </button>
      )}{' '}
      {older && isFull && `The page shows ${countText(events.length)} events: filter them, or export all. `}
      {dropped > 0 && `${plural(dropped, 'older event')} are no longer kept.`}
    </p>
  );
}

/** The row for a gap without events. */
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
      <td class="mono faint nowrap">{exactMomentText(event.at, Date.now())}</td>
      <td class="nowrap">
        <span class={isState ? `state ${event.state ?? ''}` : 'kind'}>
          <EventMark event={event} />
          {isState ? event.state : event.kind}
        </span>
      </td>
      <td class="mono nowrap rest subject">
        <Subject event={event} />
      </td>
      <td class="wide">
        {event.by === 'operator' && <b>operator: </b>}
        {eventText(event)}
      </td>
      <td class="right mono faint w8">{countText(event.revision)}</td>
    </tr>
  );
}

function Subject({ event }: { readonly event: RegistryEvent }): VNode {
  const { instance, service, namespace } = event;
  if (instance !== null) return <InstanceLink id={instance} service={service ?? ''} namespace={namespace} />;
  if (service === null) return <span>registry</span>;
  return <ServiceLink namespace={namespace ?? 'default'} name={service} />;
}
