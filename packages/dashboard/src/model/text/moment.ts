import { clockText, digits, exactText } from './age.js';

/** Moments of this browser's zone. Wall clock, ms since 1970. */

/** `14:02:23` on the day of `now`, on any other `2026-09-21 14:02:23`. */
export const momentText = (wall: number, now: number): string => datePrefix(wall, now) + clockText(wall);

/** The same to the millisecond. */
export const exactMomentText = (wall: number, now: number): string => datePrefix(wall, now) + exactText(wall);

function datePrefix(wall: number, now: number): string {
  const date = dateText(wall);
  return date === dateText(now) ? '' : `${date} `;
}

/** The value of a field of the type `datetime-local`, to the minute; null is empty. */
export const fieldText = (wall: number | null): string =>
  wall === null ? '' : `${dateText(wall)}T${clockText(wall).slice(0, 5)}`;

/** Null for an empty field. */
export function fieldMoment(text: string): number | null {
  const wall = Date.parse(text);
  return Number.isNaN(wall) ? null : wall;
}

function dateText(wall: number): string {
  const date = new Date(wall);
  return `${digits(date.getFullYear(), 4)}-${digits(date.getMonth() + 1)}-${digits(date.getDate())}`;
}
