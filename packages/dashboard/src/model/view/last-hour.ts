/** The history of an instance on its page: its states, and the actions of operators. */
import type { RegistryEvent } from '../live/answers.js';

const OF_STATE: ReadonlySet<string> = new Set(['registered', 'state', 'moved']);

/** True if the event sets a state. Other events merely carry the state of their instance. */
export const isOfState = ({ kind, state }: RegistryEvent): boolean => state !== null && OF_STATE.has(kind);

export const isOperatorAction = ({ kind }: RegistryEvent): boolean => kind === 'admin';

export interface HistoryRow {
  readonly event: RegistryEvent;
  /** The duration of the state, up to now for the current one, ms; null: the event does not set a state. */
  readonly lastedMs: number | null;
}

/** Newest first. `events` are in order, the oldest first; `now`: the registry's wall clock. */
export function historyOf(events: readonly RegistryEvent[], now: number): readonly HistoryRow[] {
  const rows: HistoryRow[] = [];
  let end = now;
  for (const event of events.toReversed()) {
    const isState = isOfState(event);
    if (isState || isOperatorAction(event)) rows.push({ event, lastedMs: isState ? end - event.at : null });
    if (isState) end = event.at;
  }
  return rows;
}

/**
 * The newest rows, at most `most`; if all of them are actions of operators, the newest state replaces the last of them.
 */
export function newestOf(rows: readonly HistoryRow[], maxRows: number): readonly HistoryRow[] {
  const newest = rows.slice(0, maxRows);
  const state = rows.find(({ lastedMs }) => lastedMs !== null);
  return state === undefined || newest.includes(state) ? newest : [...newest.slice(0, -1), state];
}
