import { sleep } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { sourceOf, Tally } from '../instances/quotas.js';

/** Resolves a host name to one IP address. Each call must settle, as few are under way at a time. */
export type Resolve = (host: string) => Promise<string>;

/** Maximum time for which a registration waits for a name, ms. */
export const LOOKUP_MS = 2_000;
/**
 * Concurrent lookups. Node's `lookup` runs two at a time in order of arrival (libuv allows slow work half of its 4
 * threads): with more, requests would wait in its queue, which knows no sources, instead of this one.
 */
const MAX_UNDER_WAY = 2;
/** Maximum of lookups that wait, are under way, or are answered and not fetched yet, in all. */
export const MAX_LOOKUPS = 1_024;
/** The same for one source. */
export const MAX_LOOKUPS_PER_SOURCE = 32;
/** Time for which a late answer is kept for the retry, ms. */
export const KEPT_MS = 60_000;

/** The outcome for a name: its address, or no such name, a timeout, or too many lookups in all or of one source. */
export type Found = { readonly address: string } | 'not-found' | 'late' | 'busy' | 'greedy';

/** A lookup of a name for one source. */
interface Lookup {
  readonly key: string;
  readonly host: string;
  readonly source: string;
  readonly answer: Promise<Found>;
  readonly settle: (found: Found) => void;
  /** Number of requests that wait for it. */
  waiting: number;
}

/**
 * Looks up names, two at a time. Sources take turns, and no source has both places while another one waits, or when one
 * of its names recently took too long: names that never resolve delay others at most once, for as long as one of them
 * takes. A late lookup keeps its turn, and its answer is kept for the retry.
 */
export class DnsLookups {
  readonly #resolve: Resolve;
  readonly #time: Time;
  /** All lookups by source and host: a name queued by one source does not make another one wait there. */
  readonly #lookups = new Map<string, Lookup>();
  /** Lookups that have not started, by source, in the order of their turns. */
  readonly #queues = new Map<string, Lookup[]>();
  readonly #underWay = new Tally();
  #countUnderWay = 0;
  /** Answers without a waiter, and since when (monotonic ms), oldest first. */
  readonly #kept = new Map<Lookup, number>();
  readonly #bySource = new Tally();
  /** Sources with a name that took longer than `LOOKUP_MS`, and when (monotonic ms), oldest first: a few a minute. */
  readonly #slow = new Map<string, number>();

  constructor(resolve: Resolve, time: Time) {
    this.#resolve = resolve;
    this.#time = time;
  }

  /** Looks up a host for `peerAddress`. Takes at most `LOOKUP_MS`. */
  async find(host: string, peerAddress: string): Promise<Found> {
    this.#dropOld(this.#time.now());
    const source = sourceOf(peerAddress);
    const key = `${source} ${host}`;
    const known = this.#lookups.get(key);
    if (known === undefined && this.#lookups.size >= MAX_LOOKUPS) return 'busy';
    if (known === undefined && this.#bySource.of(source) >= MAX_LOOKUPS_PER_SOURCE) return 'greedy';
    const lookup = known ?? this.#enqueue(key, host, source);
    if (this.#kept.has(lookup)) this.#drop(lookup);
    return this.#inTime(lookup);
  }

  async #inTime(lookup: Lookup): Promise<Found> {
    const over = new AbortController();
    const late = sleep(this.#time, LOOKUP_MS, { signal: over.signal }).then((): Found => 'late');
    lookup.waiting += 1;
    try {
      return await Promise.race([lookup.answer, late]);
    } finally {
      lookup.waiting -= 1;
      over.abort();
    }
  }

  #enqueue(key: string, host: string, source: string): Lookup {
    let settle: Lookup['settle'] = nothing;
    const answer = new Promise<Found>((resolve) => {
      settle = resolve;
    });
    const lookup: Lookup = { key, host, source, answer, settle, waiting: 0 };
    this.#lookups.set(key, lookup);
    this.#bySource.add(source, 1);
    const queue = this.#queues.get(source);
    if (queue === undefined) this.#queues.set(source, [lookup]);
    else queue.push(lookup);
    this.#startNext();
    return lookup;
  }

  #startNext(): void {
    while (this.#countUnderWay < MAX_UNDER_WAY) {
      const next = this.#next();
      if (next === undefined) return;
      void this.#run(next);
    }
  }

  /**
   * The next lookup of the source whose turn it is, which then comes last. A source with a lookup under way gets
   * another one only if no other source waits and its names resolve fast.
   */
  #next(): Lookup | undefined {
    const sources = [...this.#queues.keys()];
    const isFree = (source: string): boolean => this.#underWay.of(source) === 0;
    const source = sources.find(isFree) ?? sources.find((each) => !this.#slow.has(each));
    if (source === undefined) return undefined;
    const queue = this.#queues.get(source) ?? [];
    const next = queue.shift();
    this.#queues.delete(source);
    if (queue.length > 0) this.#queues.set(source, queue);
    return next;
  }

  async #run(lookup: Lookup): Promise<void> {
    const { host, source } = lookup;
    const begun = this.#time.now();
    this.#count(source, 1);
    lookup.settle(await this.#answerFor(host));
    this.#count(source, -1);
    const now = this.#time.now();
    this.#dropOld(now);
    if (lookup.waiting > 0) this.#drop(lookup);
    else this.#kept.set(lookup, now);
    if (now - begun >= LOOKUP_MS) this.#markSlow(source, now);
    this.#startNext();
  }

  #markSlow(source: string, now: number): void {
    this.#slow.delete(source);
    this.#slow.set(source, now);
  }

  async #answerFor(host: string): Promise<Found> {
    try {
      return { address: await this.#resolve(host) };
    } catch {
      return 'not-found';
    }
  }

  #count(source: string, by: 1 | -1): void {
    this.#underWay.add(source, by);
    this.#countUnderWay += by;
  }

  #dropOld(now: number): void {
    const oldest = now - KEPT_MS;
    for (const [source, since] of this.#slow) {
      if (since > oldest) break;
      this.#slow.delete(source);
    }
    for (const [lookup, since] of this.#kept) {
      if (since > oldest) return;
      this.#drop(lookup);
    }
  }

  #drop(lookup: Lookup): void {
    this.#kept.delete(lookup);
    this.#lookups.delete(lookup.key);
    this.#bySource.add(lookup.source, -1);
  }
}

function nothing(): void {}
