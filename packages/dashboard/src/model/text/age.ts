/** The texts of durations, times and counts, shared by all screens. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `7 s`, `48 min`, `3 h 12 min`, `2 d 4 h`; unknown is `–`. Never below 0. */
export function ageText(ms: number | null): string {
  if (ms === null) return '–';
  const left = Math.max(0, ms);
  if (left < MINUTE) return `${Math.round(left / SECOND)} s`;
  if (left < HOUR) return `${Math.floor(left / MINUTE)} min`;
  if (left < DAY) return pairText(Math.floor(left / HOUR), 'h', Math.floor((left % HOUR) / MINUTE), 'min');
  return pairText(Math.floor(left / DAY), 'd', Math.floor((left % DAY) / HOUR), 'h');
}

/** To the second, for gaps: `3 min 33 s`. */
export function spanText(ms: number): string {
  if (ms < MINUTE || ms >= HOUR) return ageText(ms);
  return pairText(Math.floor(ms / MINUTE), 'min', Math.round((ms % MINUTE) / SECOND) % 60, 's');
}

function pairText(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** The duration of a call: `1.8 ms`, `24 ms`, `1.2 s`; unknown is `–`. */
export function latencyText(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / SECOND).toFixed(1)} s`;
}

const COUNT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `48,213`; unknown is `–`, never 0. */
export const countText = (count: number | null): string => (count === null ? '–' : COUNT.format(count));

/** Calls per second: `0`, `0.4`, `206`. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return '–';
  return perSecond > 0 && perSecond < 10 ? String(Math.round(perSecond * 10) / 10) : countText(perSecond);
}

/** A share in percent: `100.00`, `99.98`; never rounded up to 100. */
export function percentText(ratio: number | null): string {
  if (ratio === null) return '–';
  return (Math.floor(ratio * 10_000 + 1e-9) / 100).toFixed(2);
}

/** The value with at least `count` digits. */
export const digits = (value: number, count = 2): string => String(value).padStart(count, '0');

/** `14:02:23`, of this browser's zone. */
export function clockText(wall: number): string {
  const date = new Date(wall);
  return `${digits(date.getHours())}:${digits(date.getMinutes())}:${digits(date.getSeconds())}`;
}

/** `14:02:23.604`. */
export function exactText(wall: number): string {
  return `${clockText(wall)}.${digits(new Date(wall).getMilliseconds(), 3)}`;
}

/** Singular or plural: `1 call`, `3 calls`. */
export function plural(count: number, singular: string, pluralForm: string = `${singular}s`): string {
  return `${countText(count)} ${count === 1 ? singular : pluralForm}`;
}
