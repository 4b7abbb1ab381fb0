import { countText, printable, successText, tripText } from 'rollcall';
import type { CallsSum } from 'rollcall';
import type { Calls } from './tally.js';

/** The results of the demo's own calls, and how many of them went elsewhere. */
export interface Traffic extends Calls {
  /** Up to 10 s old: callers report it with their heartbeats. */
  readonly elsewhere: number;
}

/** For the view of the terminal. */
export function sumOf({ calls, failed, perSecond, p99Ms, elsewhere }: Traffic): CallsSum {
  return { perSecond, calls, failures: failed, retries: elsewhere, p99Ms };
}

/** `calls 40/s  success 100.00 %  went elsewhere 31  p99 42 ms` */
export function trafficText(traffic: Traffic): string {
  const { perSecond, p99Ms, elsewhere } = traffic;
  const rate = perSecond < 10 ? perSecond.toFixed(1) : countText(Math.round(perSecond));
  const p99 = p99Ms === null ? '–' : tripText(p99Ms);
  return `calls ${rate}/s  success ${successText(sumOf(traffic))}  went elsewhere ${countText(elsewhere)}  p99 ${p99}`;
}

/** Null where nothing failed. The error is verbatim, except for characters that could control a terminal. */
export function failureText({ failed, firstError }: Traffic): string | null {
  if (firstError === null) return null;
  return `${countText(failed)} ${failed === 1 ? 'call' : 'calls'} failed, the first with: ${printable(firstError)}`;
}

/** `4,321 calls, 0 failed.` */
export function totalText({ calls, failed }: Traffic): string {
  return `${countText(calls)} calls, ${countText(failed)} failed.`;
}
