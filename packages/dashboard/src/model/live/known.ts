/**
 * A value that is known, or unknown since a time. Screens use it instead of showing “unknown” as “none”.
 */
import { clockText } from '../text/age.js';

/** The result of repeated requests. Times are of this browser’s wall clock. */
export interface Answer<Value> {
  /** The newest answer; null: none yet. */
  readonly value: Value | null;
  /** The error of the newest request; null: it was answered, or is in progress. */
  readonly error: Error | null;
  /** The time of the newest answer; null: none yet. */
  readonly receivedAt: number | null;
  /** The time of the first request. */
  readonly requestedAt: number;
}

export type Known<Value> =
  /** `asOf` null: the value is current. */
  | { readonly kind: 'known'; readonly value: Value; readonly asOf: number | null }
  | { readonly kind: 'pending' }
  | { readonly kind: 'unknown'; readonly since: number; readonly error: Error | null };

/** `staleSince`: the time since which the whole page is old; null: it is live. */
export function knownOf<Value>(answer: Answer<Value>, staleSince: number | null): Known<Value> {
  const { value, error, receivedAt, requestedAt } = answer;
  if (value !== null) return { kind: 'known', value, asOf: error === null && staleSince === null ? null : receivedAt };
  if (error === null && staleSince === null) return { kind: 'pending' };
  return { kind: 'unknown', since: staleSince ?? requestedAt, error };
}

/** The value, however old; null: nothing is known. */
export const valueOf = <Value>(known: Known<Value>): Value | null => (known.kind === 'known' ? known.value : null);

/** The time that the value is from; null: it is current, or unknown. */
export const knownAsOf = (known: Known<unknown>): number | null => (known.kind === 'known' ? known.asOf : null);

/** The known value mapped by `part`. */
export function mapKnown<Value, Part>(known: Known<Value>, part: (value: Value) => Part): Known<Part> {
  return known.kind === 'known' ? { ...known, value: part(known.value) } : known;
}

export const unknownText = (since: number): string => `unknown since ${clockText(since)}`;

/** The text for an unknown value: `–` with its time, never 0. */
export function missingText(known: Known<unknown>): string {
  if (known.kind === 'unknown') return `– ${unknownText(known.since)}`;
  return known.kind === 'pending' ? 'Asking …' : '–';
}
