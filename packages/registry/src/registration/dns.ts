import { sleep } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { sourceOf, Tally } from '../instances/quotas.js';

/** Turns a host name into one IP address. Each call must come to an end, well or badly: few are under way at a time. */
export type Resolve = (host: string) => Promise<string>;

/** A registration does not wait longer for a name. */
export const LOOKUP_MS = 2_000;
/**
 * Names being asked for at the same time. Node's `lookup` asks for two at a time, in the order in which they came (libuv gives slow work half
 * of its 4 threads): whoever hands it more has its queue, which knows no sources, instead of the one here.
 */
const MOST_UNDER_WAY = 2;
/** Names that wait, are under way, or are answered and not yet fetched: of all. */
export const MOST_LOOKUPS = 1_024;
/** The same of one source. */
export const MOST_LOOKUPS_OF_ONE = 32;
/** An answer that came too late for who waited is kept for so long: he is told to come again. */
export const KEPT_MS = 60_000;

/** What came of a name: its address, or none (an answer), nothing in time, or too many before it, of all or of one source. */
export type Found = { readonly address: string } | 'nobody' | 'late' | 'busy' | 'greedy';

/** A name that one source wants. */
interface Lookup {
  readonly key: string;
  readonly host: string;
  readonly source: string;
  readonly answer: Promise<Found>;
  readonly settle: (found: Found) => void;
  /** How many wait for it now. */
  waiting: number;
}

/**
 * Asks for the addresses of names, two at a time. Sources take turns, and none has both places while another waits,
 * or when a name of its took too long lately: so names that nobody answers for keep others out once, for as long as one of them takes. What is late keeps its turn, and its answer is kept for who
 * comes again.
 */
export class DnsLookups {
  readonly #resolve: Resolve;
  readonly #time: Time;
  /** All of them, by source and host: a name in the queue of one source is no reason for another to wait there. */
  readonly #lookups = new Map<string, Lookup>();
  /** Those without an answer yet that nobody has asked for, by source: whose turn is next comes first. */
  readonly #queues = new Map<string, Lookup[]>();
  readonly #underWay = new Tally();
  #countUnderWay = 0;
  /** Answers that nobody waited for, and since when (monotonic ms), the oldest first. */
  readonly #kept = new Map<Lookup, number>();
  readonly #bySource = new Tally();
  /** Sources whose name took longer than anybody waits, and when (monotonic ms), the oldest first: a few a minute. */
  readonly #slow = new Map<string, number>();

  constructor(resolve: Resolve, time: Time) {
    this.#resolve = resolve;
    this.#time = time;
  }

  /** `peerAddress`: who wants to know. Takes at most `LOOKUP_MS`. */
  async find(host: string, peerAddress: string): Promise<Found> {
    this.#dropOld(this.#time.now());
    const source = sourceOf(peerAddress);
    const key = `${source} ${host}`;
    const known = this.#lookups.get(key);
    if (known === undefined && this.#lookups.size >= MOST_LOOKUPS) return 'busy';
    if (known === undefined && this.#bySource.of(source) >= MOST_LOOKUPS_OF_ONE) return 'greedy';
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
    this.#goOn();
    return lookup;
  }

  #goOn(): void {
    while (this.#countUnderWay < MOST_UNDER_WAY) {
      const next = this.#next();
      if (next === undefined) return;
      void this.#ask(next);
    }
  }

  /** Of the source whose turn it is, which then comes last; of one that has a place already only when no other waits, and it is quick. */
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

  async #ask(lookup: Lookup): Promise<void> {
    const { host, source } = lookup;
    const begun = this.#time.now();
    this.#count(source, 1);
    lookup.settle(await this.#answerFor(host));
    this.#count(source, -1);
    const now = this.#time.now();
    this.#dropOld(now);
    if (lookup.waiting > 0) this.#drop(lookup);
    else this.#kept.set(lookup, now);
    if (now - begun >= LOOKUP_MS) this.#noteSlow(source, now);
    this.#goOn();
  }

  #noteSlow(source: string, now: number): void {
    this.#slow.delete(source);
    this.#slow.set(source, now);
  }

  async #answerFor(host: string): Promise<Found> {
    try {
      return { address: await this.#resolve(host) };
    } catch {
      return 'nobody';
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
