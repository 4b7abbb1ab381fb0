import type { Instance } from '@rollcall/core';
import { ageText, tripText } from '../terminal/texts.js';

/** The state of one direction. Ages are relative to the time of the request. */
export interface Direction {
  /** Null: never. */
  readonly lastSuccessAgoMs: number | null;
  /** The round trip of the last Heartbeat-1; null for Heartbeat-2, and if there was none. */
  readonly roundTripMs: number | null;
  /** Rounds in a row without success. */
  readonly misses: number;
  /** Verbatim; null if the last one succeeded. */
  readonly error: string | null;
}

/** The measurements of the registry for one instance, which are not part of the feed. */
export interface Heartbeats {
  readonly heartbeat1: Direction;
  readonly heartbeat2: Direction;
  /** Wall clock, ms since 1970. */
  readonly requestedAt: number;
}

const UNKNOWN = '–';

/**
 * The columns →1 (the registry calls: its round trip, or its failure) and ←2 (the instance calls: the age of its last
 * call). Without a measurement, the reason of the state decides.
 */
export function directionTexts(
  instance: Pick<Instance, 'state' | 'reason'>,
  beats: Heartbeats | null,
  now: number,
): { readonly inbound: string; readonly outbound: string } {
  const { code } = instance.reason;
  const isDead = code === 'PROOF_OF_DEATH';
  const outbound = isDead ? 'ended' : code === 'OUTBOUND_SILENT' || code === 'SILENT' ? 'silent' : null;
  const inbound =
    isDead || code === 'INBOUND_REFUSED' ? 'refused' : code === 'INBOUND_SILENT' || code === 'SILENT' ? 'silent' : null;
  if (beats === null) return { inbound: inbound ?? UNKNOWN, outbound: outbound ?? UNKNOWN };
  return {
    inbound: inboundText(beats.heartbeat1),
    outbound: isDead ? 'ended' : outboundText(beats, now),
  };
}

function inboundText({ error, roundTripMs, lastSuccessAgoMs }: Direction): string {
  if (error !== null) return /ECONNREFUSED/.test(error) ? 'refused' : 'failed';
  if (lastSuccessAgoMs === null) return 'due';
  return roundTripMs === null ? UNKNOWN : tripText(roundTripMs);
}

function outboundText({ heartbeat2, requestedAt }: Heartbeats, now: number): string {
  if (heartbeat2.lastSuccessAgoMs === null) return 'due';
  return `${ageText(heartbeat2.lastSuccessAgoMs + Math.max(0, now - requestedAt))} ago`;
}
