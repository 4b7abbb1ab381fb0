/** Which heartbeats of the last five minutes were missed: those that the registry itself could not hear are not. */
import type { BeatsAnswer, NotListening } from '../live/answers.js';

export interface Misses {
  /** Rounds of Heartbeat-1 without an answer. */
  readonly heartbeat1: number;
  /** When a Heartbeat-2 should have come and did not, ms ago. */
  readonly heartbeat2: readonly number[];
}

export function missesOf(answer: BeatsAnswer): Misses {
  const { heartbeat1, notListening = [], intervalMs } = answer;
  const isHeard = (agoMs: number): boolean => !notListening.some((span) => isWithin(agoMs, span, intervalMs));
  return {
    heartbeat1: heartbeat1.filter(({ agoMs, roundTripMs }) => roundTripMs === null && isHeard(agoMs)).length,
    heartbeat2: missedArrivals(answer).filter(isHeard),
  };
}

/** Half an interval after its end what was under way comes at once. */
const isWithin = (agoMs: number, { fromAgoMs, toAgoMs }: NotListening, intervalMs: number): boolean =>
  agoMs <= fromAgoMs && agoMs >= toAgoMs - intervalMs / 2;

/** Gaps of more than one and a half intervals. */
function missedArrivals({ heartbeat2, intervalMs }: BeatsAnswer): number[] {
  const missed: number[] = [];
  const arrivals = [...heartbeat2.map(({ agoMs }) => agoMs), 0];
  for (let at = 1; at < arrivals.length; at += 1) {
    const from = arrivals[at - 1] ?? 0;
    const to = arrivals[at] ?? 0;
    for (let ago = from - intervalMs; ago > to + intervalMs / 2; ago -= intervalMs) missed.push(ago);
  }
  return missed;
}
