/** Prints and parses moments. Wall clock, ms since 1970, in the time zone of the reader. */
import { RollcallError } from '@rollcall/core';
import { durationIn } from './durations.js';
import { clockText } from './texts.js';

/** `14:02:23` on the day of `now`, on any other day `2026-09-21 14:02:23`. */
export function momentText(wallMs: number, now: number): string {
  const date = dateText(wallMs);
  return date === dateText(now) ? clockText(wallMs) : `${date} ${clockText(wallMs)}`;
}

/** `2026-09-21T14:02:23.604+02:00`, for logs: they outlast the day and are read elsewhere. */
export function isoText(wallMs: number): string {
  const date = new Date(wallMs);
  const eastMin = -date.getTimezoneOffset();
  const offset = `${eastMin < 0 ? '-' : '+'}${digits(Math.abs(eastMin) / 60)}:${digits(Math.abs(eastMin) % 60)}`;
  return `${dateText(wallMs)}T${clockText(wallMs)}.${digits(date.getMilliseconds(), 3)}${offset}`;
}

function dateText(wallMs: number): string {
  const date = new Date(wallMs);
  return `${digits(date.getFullYear(), 4)}-${digits(date.getMonth() + 1)}-${digits(date.getDate())}`;
}

const digits = (value: number, count = 2): string => String(Math.floor(value)).padStart(count, '0');

const CLOCK = /^\d{2}:\d{2}(:\d{2})?$/;
const DATE = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * `30m` (that long before `now`), `14:00` (today), `2026-09-21`, `2026-09-21T14:00`, `2026-09-21T14:00:00+02:00`. Throws
 * OPTION_INVALID that names the flag.
 */
export function parseMoment(typed: string, flag: string, now: number): number {
  const text = typed.trim();
  const ageMs = durationIn(text);
  if (ageMs !== null) return now - ageMs;
  const [, date, clock = '00:00', zone = ''] = DATE.exec(CLOCK.test(text) ? `${dateText(now)}T${text}` : text) ?? [];
  const wallMs = date === undefined ? Number.NaN : Date.parse(`${date}T${clock}${zone}`);
  if (!Number.isNaN(wallMs)) return wallMs;
  throw new RollcallError(
    'OPTION_INVALID',
    `Option ${flag}: received "${typed}", allowed is an age as in 90s, 30m, 2h or 1d, a time of today as in 14:00, or a date as in 2026-09-21 or 2026-09-21T14:00.`,
  );
}
