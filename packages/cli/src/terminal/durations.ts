import { RollcallError } from '@rollcall/core';

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `30m`, `2h`, `1d` or `500ms` as milliseconds, at least 1. Throws OPTION_INVALID that names the flag. */
export function parseDuration(typed: string, flag: string): number {
  const ms = durationIn(typed);
  if (ms !== null) return ms;
  throw new RollcallError(
    'OPTION_INVALID',
    `Option ${flag}: received "${typed}", allowed is a time as in 500ms, 90s, 30m, 2h or 1d.`,
  );
}

/** The same; null for any other text. */
export function durationIn(typed: string): number | null {
  const [, count, unit = ''] = /^(\d{1,9}(?:\.\d+)?)\s?(ms|s|min|m|h|d)$/.exec(typed.trim()) ?? [];
  const ms = Math.round(Number(count) * (UNITS[unit] ?? Number.NaN));
  return ms >= 1 ? ms : null;
}
