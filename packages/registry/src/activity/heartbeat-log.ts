import { noMeter } from '@rollcall/core';
import type { BeatAnswer, BeatsAnswer, Counter, Histogram, Meter, Time } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import { ListeningGaps } from './listening-gaps.js';
import type { ListeningGap } from './listening-gaps.js';

/** The answer to a heartbeat: the state; if not HEALTHY, also the reason and the next transition, counted from now. */
export function beatAnswer({ record, vitals }: Entry, now: number): BeatAnswer {
  const { state, revision, reason, next } = record;
  if (state === 'HEALTHY') return { state, revision };
  const afterMs = Math.max(0, Math.round(vitals.since + (next?.afterMs ?? 0) - now));
  return { state, revision, reason, next: next === null ? null : { ...next, afterMs } };
}

/** The maximum of heartbeats kept per direction: nearly five minutes at 5 s. */
const MAX_ROUNDS = 58;
const KEPT_MS = 300_000;
/**
 * The unit of the gaps between two heartbeats, ms. The greatest gap, eleven minutes, stands for every longer one, and
 * for no earlier heartbeat.
 */
const UNIT_MS = 10;
const MAX_GAP = 65_535;
/** Gaps before the newest of Heartbeat-1 and those of Heartbeat-2. */
const GAPS = 2 * MAX_ROUNDS;
/** The minimum gap between two prioritized Heartbeats-2, as a fraction of the heartbeat interval. */
const MIN_GAP_RATIO = 0.25;
/** Number of instances per page. */
const PAGE = 64;

/** The heartbeats of the instances of one page: 298 bytes for each instance. */
interface Page {
  /** The time of the newest round of Heartbeat-1; the time of Heartbeat-2 is in `Entry`. */
  readonly lastAt: Float64Array;
  readonly gaps: Uint16Array;
  readonly roundTrips: Uint8Array;
}

/**
 * The results of both heartbeats of all instances, for people: the last success or error, and the last 58 rounds of
 * each direction. Instances share pages, as the overhead of a typed array of its own would equal its content.
 */
export class HeartbeatLog {
  readonly #time: Pick<Time, 'now'>;
  readonly #rounds: Counter<['outcome']>;
  readonly #roundTrips: Histogram;
  readonly #beats: Counter;
  readonly #pages: Page[] = [];
  readonly #free: number[] = [];
  readonly #gaps = new ListeningGaps();
  #taken = 0;

  constructor(time: Pick<Time, 'now'>, meter: Meter = noMeter) {
    this.#time = time;
    this.#rounds = meter.counter(
      'rollcall_registry_heartbeat1_rounds_total',
      'Completed calls of an instance on all its endpoints, by outcome: answered, missed.',
      ['outcome'],
    );
    this.#roundTrips = meter.histogram(
      'rollcall_registry_heartbeat1_round_trip_seconds',
      'Time until the slowest endpoint of an instance had answered.',
    );
    this.#beats = meter.counter('rollcall_registry_heartbeat2_total', 'Heartbeats of instances that were accepted.');
  }

  /** Records a round of Heartbeat-1 that all endpoints answered, with the time of the slowest. */
  recordAnswer(entry: Entry, roundTripMs: number): void {
    const { heartbeat1 } = entry;
    this.#rounds.add(1, 'answered');
    this.#roundTrips.record(roundTripMs / 1_000);
    heartbeat1.lastAt = this.#time.now();
    heartbeat1.roundTripMs = roundTripMs;
    heartbeat1.misses = 0;
    heartbeat1.error = null;
    this.#noteRound(entry, roundTripMs);
  }

  /** Records a round of Heartbeat-1 that at least one endpoint did not answer. */
  recordMiss(entry: Entry, error: string): void {
    this.#rounds.add(1, 'missed');
    entry.heartbeat1.misses += 1;
    entry.heartbeat1.error = error;
    this.#noteRound(entry, null);
  }

  /**
   * True if a Heartbeat-2 of it may pass ahead of others now, at most once in a quarter of an interval: each true uses
   * up the allowance.
   */
  admits(entry: Entry, intervalMs: number): boolean {
    const now = this.#time.now();
    if (now < entry.beatDueAt) return false;
    entry.beatDueAt = now + intervalMs * MIN_GAP_RATIO;
    return true;
  }

  /** Records a Heartbeat-2. */
  recordHeartbeat2(entry: Entry): void {
    const { heartbeat2 } = entry;
    this.#beats.add(1);
    const now = this.#time.now();
    const gapMs = heartbeat2.lastAt === null ? Infinity : now - heartbeat2.lastAt;
    heartbeat2.lastAt = now;
    heartbeat2.misses = 0;
    heartbeat2.error = null;
    const { page, slot } = this.#placeOf(entry);
    const from = slot * GAPS + MAX_ROUNDS;
    page.gaps.copyWithin(from + 1, from, from + MAX_ROUNDS - 1);
    page.gaps[from] = gapOf(gapMs);
  }

  /** Frees the place of a removed instance. */
  release(entry: Entry): void {
    if (entry.beatSlot === null) return;
    this.#free.push(entry.beatSlot);
    entry.beatSlot = null;
  }

  /** Records a span in which the registry itself could not listen. */
  couldNotListen(gap: ListeningGap, intervalMs: number): void {
    this.#gaps.add(gap, intervalMs);
  }

  of(entry: Entry): Pick<BeatsAnswer, 'heartbeat1' | 'heartbeat2' | 'notListening'> {
    const now = this.#time.now();
    const notListening = this.#gaps.read(now);
    if (entry.beatSlot === null) return { heartbeat1: [], heartbeat2: [], notListening };
    const { page, slot } = this.#placeOf(entry);
    const rounds = agesOf(
      page.gaps.subarray(slot * GAPS, slot * GAPS + MAX_ROUNDS),
      now - (page.lastAt[slot] ?? -Infinity),
    );
    const beats = agesOf(
      page.gaps.subarray(slot * GAPS + MAX_ROUNDS, (slot + 1) * GAPS),
      entry.heartbeat2.lastAt === null ? Infinity : now - entry.heartbeat2.lastAt,
    );
    const tripOf = (place: number): number | null => roundTripIn(page.roundTrips[slot * MAX_ROUNDS + place] ?? 0);
    const heartbeat1 = rounds.map((agoMs, place) => ({ agoMs, roundTripMs: tripOf(place) }));
    const heartbeat2 = beats.map((agoMs) => ({ agoMs }));
    return { heartbeat1: heartbeat1.toReversed(), heartbeat2: heartbeat2.toReversed(), notListening };
  }

  #noteRound(entry: Entry, roundTripMs: number | null): void {
    const { page, slot } = this.#placeOf(entry);
    const now = this.#time.now();
    const gaps = slot * GAPS;
    page.gaps.copyWithin(gaps + 1, gaps, gaps + MAX_ROUNDS - 1);
    page.gaps[gaps] = gapOf(now - (page.lastAt[slot] ?? -Infinity));
    page.lastAt[slot] = now;
    const trips = slot * MAX_ROUNDS;
    page.roundTrips.copyWithin(trips + 1, trips, trips + MAX_ROUNDS - 1);
    page.roundTrips[trips] = codeOf(roundTripMs);
  }

  /** The place of an instance, which it gets with its first heartbeat. */
  #placeOf(entry: Entry): { readonly page: Page; readonly slot: number } {
    const known = entry.beatSlot;
    const at = known ?? this.#free.pop() ?? this.#taken;
    if (at === this.#taken) this.#taken += 1;
    const page = (this.#pages[Math.floor(at / PAGE)] ??= blankPage());
    const slot = at % PAGE;
    if (known === null) {
      entry.beatSlot = at;
      page.lastAt[slot] = -Infinity;
      page.gaps.fill(MAX_GAP, slot * GAPS, (slot + 1) * GAPS);
    }
    return { page, slot };
  }
}

function blankPage(): Page {
  return {
    lastAt: new Float64Array(PAGE),
    gaps: new Uint16Array(PAGE * GAPS),
    roundTrips: new Uint8Array(PAGE * MAX_ROUNDS),
  };
}

const gapOf = (ms: number): number => Math.min(MAX_GAP, Math.round(ms / UNIT_MS));

/** Ages in ms, newest first, from the age of the newest and the gaps before each. */
function agesOf(gaps: Uint16Array, newestMs: number): number[] {
  const ages: number[] = [];
  let agoMs = newestMs;
  for (const gap of gaps) {
    if (agoMs > KEPT_MS) break;
    ages.push(Math.round(agoMs));
    agoMs = gap === MAX_GAP ? Infinity : agoMs + gap * UNIT_MS;
  }
  return ages;
}

/** Round trips are kept in a byte, 16 steps for each doubling from 0.1 ms on: at most 2.2 % off. 0: unanswered. */
const STEPS = 16;
const SMALLEST_MS = 0.1;

function codeOf(ms: number | null): number {
  if (ms === null) return 0;
  const step = Math.round(Math.log2(Math.max(ms, SMALLEST_MS) / SMALLEST_MS) * STEPS);
  return Math.min(255, step + 1);
}

function roundTripIn(code: number): number | null {
  return code === 0 ? null : Math.round(SMALLEST_MS * 2 ** ((code - 1) / STEPS) * 10) / 10;
}
