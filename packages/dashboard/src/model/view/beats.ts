/** Missed heartbeats of the last five minutes, without those that the registry itself could not receive. */
import type { BeatsAnswer, NotListening } from '../live/answers.js';

export interface VisibleBeats {
  /** Rounds of Heartbeat-1, without those that failed while the registry did not listen. */
  readonly rounds: BeatsAnswer['heartbeat1'];
  /** Rounds of Heartbeat-1 without an answer. */
  readonly missed: number;
  /** The expected times of missed Heartbeat-2, ms ago. */
  readonly missedArrivals: readonly number[];
}

export function visibleBeats(answer: BeatsAnswer): VisibleBeats {
  const { heartbeat1, notListening = [], intervalMs } = answer;
  const wasListening = (agoMs: number): boolean => !notListening.some((span) => isWithin(agoMs, span, intervalMs));
  const rounds = heartbeat1.filter(({ agoMs, roundTripMs }) => roundTripMs !== null || wasListening(agoMs));
  return {
    rounds,
    missed: rounds.filter(({ roundTripMs }) => roundTripMs === null).length,
    missedArrivals: gapsOf(answer).filter(wasListening),
  };
}

/** Half an interval after the end of a pause, heartbeats that were in flight arrive at once. */
const isWithin = (agoMs: number, { fromAgoMs, toAgoMs }: NotListening, intervalMs: number): boolean =>
  agoMs <= fromAgoMs && agoMs >= toAgoMs - intervalMs / 2;

/** Gaps of more than one and a half intervals. */
function gapsOf({ heartbeat2, intervalMs }: BeatsAnswer): number[] {
  const missed: number[] = [];
  const arrivals = [...heartbeat2.map(({ agoMs }) => agoMs), 0];
  for (let at = 1; at < arrivals.length; at += 1) {
    const from = arrivals[at - 1] ?? 0;
    const to = arrivals[at] ?? 0;
    for (let agoMs = from - intervalMs; agoMs > to + intervalMs / 2; agoMs -= intervalMs) missed.push(agoMs);
  }
  return missed;
}
