import { sleep } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { sourceOf, Tally } from './quota.js';

/** Turns a host name into one IP address. */
export type Resolve = (host: string) => Promise<string>;

/** A registration does not wait longer for a name. */
export const LOOKUP_MS = 2_000;
/** Names being looked up at the same time: the kernel asks for few at once, so whoever came after so many would be late anyway. */
export const MOST_LOOKUPS = 64;
/** One source has at most half of them, so that names of its own that nobody answers for keep nobody else out. */
export const MOST_LOOKUPS_OF_ONE = 32;

/** What came of a name: its address, or none (an answer), nothing in time, or too many before it, of all or of one source. */
export type Found = { readonly address: string } | 'nobody' | 'late' | 'busy' | 'greedy';

/** Asks for the addresses of names, each once at a time, however many want it. What is late goes on, and counts until it is over. */
export class Lookups {
  readonly #resolve: Resolve;
  readonly #time: Time;
  readonly #underWay = new Map<string, Promise<Found>>();
  readonly #askers = new Tally();

  constructor(resolve: Resolve, time: Time) {
    this.#resolve = resolve;
    this.#time = time;
  }

  /** `peerAddress`: who wants to know. */
  async find(host: string, peerAddress: string): Promise<Found> {
    const asker = sourceOf(peerAddress);
    const known = this.#underWay.get(host);
    if (known === undefined && this.#underWay.size >= MOST_LOOKUPS) return 'busy';
    if (known === undefined && this.#askers.of(asker) >= MOST_LOOKUPS_OF_ONE) return 'greedy';
    const over = new AbortController();
    const late = sleep(this.#time, LOOKUP_MS, { signal: over.signal }).then((): Found => 'late');
    try {
      return await Promise.race([known ?? this.#begin(host, asker), late]);
    } finally {
      over.abort();
    }
  }

  #begin(host: string, asker: string): Promise<Found> {
    this.#askers.add(asker, 1);
    const asking = this.#ask(host).finally(() => {
      this.#underWay.delete(host);
      this.#askers.add(asker, -1);
    });
    this.#underWay.set(host, asking);
    return asking;
  }

  async #ask(host: string): Promise<Found> {
    try {
      return { address: await this.#resolve(host) };
    } catch {
      return 'nobody';
    }
  }
}
