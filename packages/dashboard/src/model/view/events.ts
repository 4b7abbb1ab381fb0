import { STATES } from '@rollcall/core';
import type { EventsAnswer, RegistryEvent } from '../live/answers.js';
import { plural } from '../text/age.js';
import type { Filters } from './route.js';

/** The kinds of one chip, in the registry's terms. */
export const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['State changes', ['state', 'moved']],
  ['Registrations', ['registered', 're-registered', 'removed']],
  ['Circuits', ['circuit']],
  ['Actions', ['admin']],
  ['Self-preservation', ['preservation']],
  ['Registry', ['registry']],
];

const PAGE = 200;
const EXPORT_PAGE = 1_000;
/** The page keeps at most this number of rows; the export has all. */
const MAX_ROWS = 2_000;

/** Spans that the filter `last` chooses, with their length in ms. */
export const SPANS: readonly (readonly [string, number])[] = [
  ['10 min', 600_000],
  ['1 h', 3_600_000],
];

/** The length of the span that the filters choose, ms; null: none, all events are shown. */
export const spanOf = ({ last }: Filters): number | null => SPANS.find(([name]) => name === last)?.[1] ?? null;

/**
 * The request for the events of a screen, without its page: every filter is applied by the registry. `now`: the
 * registry's wall clock, at which the span of `last` ends; it replaces `from` and `to`.
 */
export function eventsPath(namespace: string, filters: Filters, now: number): string {
  const { kind, service = '', instance = '', state = '' } = filters;
  const spanMs = spanOf(filters);
  const { from = '', to = '' } = spanMs === null ? filters : { from: String(Math.round(now - spanMs)) };
  const query = new URLSearchParams({ namespace });
  for (const kindName of GROUPS.find(([name]) => name === kind)?.[1] ?? []) query.append('kind', kindName);
  if (service !== '') query.append('service', service);
  if (instance !== '') query.append('instance', instance);
  if (STATES.some((known) => known === state)) query.append('state', state);
  if (isMoment(from)) query.append('from', from);
  if (isMoment(to)) query.append('to', to);
  return `api/v1/events?${query.toString()}`;
}

const isMoment = (text: string): boolean => /^\d{1,15}$/.test(text);

export interface ShownEvents {
  /** Newest first. */
  readonly events: readonly RegistryEvent[];
  /** The number of events that were dropped before they were read. */
  readonly missed: number;
  /** True if the registry keeps older ones that match. */
  readonly older: boolean;
  /** The number of all events that are no longer kept. */
  readonly dropped: number;
  /** True if the registry has newer ones that are not read yet. */
  readonly newer: boolean;
  /** True if the page has its maximum number of rows. */
  readonly isFull: boolean;
}

const NO_EVENTS: ShownEvents = { events: [], missed: 0, older: false, dropped: 0, newer: false, isFull: false };

/** Drops events that are older than `spanMs` (null: none) at `now`, the registry's wall clock. */
export function withinSpan(shown: ShownEvents, spanMs: number | null, now: number): ShownEvents {
  if (spanMs === null) return shown;
  const events = shown.events.filter(({ at }) => at >= now - spanMs);
  // events of the registry before the oldest remaining one are older, too
  return events.length === shown.events.length ? shown : { ...shown, events, older: false };
}

const MINUTE_MS = 60_000;

/**
 * `12 events`, `at least 200 events`: those of the minute before `now`, as far as they were read. `now`: the registry's
 * wall clock.
 */
export function lastMinuteText({ events, older, newer }: ShownEvents, now: number): string {
  const since = now - MINUTE_MS;
  const count = events.filter(({ at }) => at > since).length;
  // whatever was not read may be of this minute, too
  const isAtLeast = newer || (older && count === events.length);
  return `${isAtLeast ? 'at least ' : ''}${plural(count, 'event')}`;
}

/** Asks the registry: `Api.get`. */
export type Get = (path: string) => Promise<EventsAnswer>;

/** The events of a screen: the newest page, newer events, and the older pages that were requested. */
export class EventPages {
  readonly path: string;
  readonly #page: number;
  readonly #maxRows: number;
  #now: ShownEvents = NO_EVENTS;
  #position: { readonly epoch: string; readonly last: number } | null = null;

  constructor(path: string, page: number = PAGE, maxRows: number = MAX_ROWS) {
    this.path = path;
    this.#page = page;
    this.#maxRows = maxRows;
  }

  /** True if the shown events are an answer. False before the first one, and after a restart of the registry. */
  get isRead(): boolean {
    return this.#position !== null;
  }

  get now(): ShownEvents {
    return this.#now;
  }

  /**
   * Reads the events after the last answer, page by page, up to the maximum number of rows; the rest is read the next
   * time. The first time, and after a restart of the registry, it reads the newest page. Rejects as `get` does, and
   * keeps the pages that arrived.
   */
  async update(get: Get): Promise<void> {
    for (let read = 0; read < this.#maxRows; read += this.#page) {
      if (!(await this.#updateOnce(get))) return;
    }
  }

  /** True if more events exist already. */
  async #updateOnce(get: Get): Promise<boolean> {
    const known = this.#position;
    const answer = await get(this.#pathOf(known === null ? {} : { after: known.last }));
    const { epoch, last, more, dropped = 0, older = false } = answer;
    if (known !== null && known.epoch !== epoch) {
      // the numbers start again: the answer is not the newest page
      this.#position = null;
      this.#now = NO_EVENTS;
      return false;
    }
    this.#position = { epoch, last };
    const before = this.#now;
    const events = [...answer.events.toReversed(), ...before.events];
    this.#keep({
      events,
      missed: known === null ? 0 : before.missed + answer.missed,
      older: known === null ? older : before.older,
      dropped,
      newer: more,
    });
    return more;
  }

  /** Reads the page before the oldest event that is shown. Rejects as `get` does. */
  async loadOlder(get: Get): Promise<void> {
    const position = this.#position;
    const oldest = this.#now.events.at(-1);
    if (position === null || oldest === undefined) return;
    const answer = await get(this.#pathOf({ before: oldest.seq }));
    if (answer.epoch !== this.#position?.epoch) return;
    const { missed, newer } = this.#now;
    const { older = false, dropped = 0 } = answer;
    this.#keep({ events: [...this.#now.events, ...answer.events.toReversed()], missed, older, dropped, newer });
  }

  #keep({ events, older, ...counts }: Omit<ShownEvents, 'isFull'>): void {
    const isFull = events.length >= this.#maxRows;
    this.#now = {
      ...counts,
      events: events.slice(0, this.#maxRows),
      older: older || events.length > this.#maxRows,
      isFull,
    };
  }

  #pathOf(page: { readonly after?: number; readonly before?: number }): string {
    return withPage(this.path, { limit: this.#page, ...page });
  }
}

/**
 * Every kept event that matches, oldest first, as one JSON object per line. Rejects as `get` does.
 */
export async function exportedLines(path: string, get: Get): Promise<readonly string[]> {
  const lines: string[] = [];
  for (let after = 0; ;) {
    const { events, more, last } = await get(withPage(path, { limit: EXPORT_PAGE, after }));
    for (const event of events) lines.push(JSON.stringify(event));
    if (!more) return lines;
    after = last;
  }
}

function withPage(path: string, page: Readonly<Record<string, number>>): string {
  return `${path}${Object.entries(page)
    .map(([key, value]) => `&${key}=${value}`)
    .join('')}`;
}
