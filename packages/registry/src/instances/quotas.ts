import type { Result } from '@rollcall/core';
import { isIPv6, SocketAddress } from 'node:net';
import type { Excess, Limits } from './limits.js';

/** A place comes free when somebody leaves, which nobody can foretell. */
const PLACE_RETRY_MS = 10_000;
/** A source that has used its whole allowance of new instances has it back after this: a fleet may be rolled out anew each minute. */
const REFILL_MS = 60_000;
/** A source that may have few instances may still restart them often: under development, at each change of a file. */
const LEAST_BURST = 100;
/** So many sources are remembered with what is left of their allowance; the one that was quiet longest is forgotten first. */
const MOST_SOURCES = 10_000;

/**
 * One sender, as quotas count it: an IPv4 address; of an IPv6 address its /64, since whoever has one of those addresses has them all.
 */
export function sourceOf(address: string): string {
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain) || plain === '::1') return address;
  const [head = '', tail] = new SocketAddress({ address: plain, family: 'ipv6' }).address.split('::');
  const before = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - before.length - tail.split(':').filter((group) => group !== '').length;
  const groups = [...before, ...Array<string>(missing).fill('0'), ...(tail ?? '').split(':')];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** How many of each there are. Keeps nothing of what there is none of. */
export class Tally {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, by: 1 | -1): void {
    const count = this.of(key) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

/** How many new instances a source may register: `burst` at once, and again as many in each minute. A token bucket each. */
export class Allowances {
  readonly #burst: number;
  /** The one that was quiet longest first. */
  readonly #left = new Map<string, { readonly tokens: number; readonly at: number }>();

  constructor(burst: number) {
    this.#burst = burst;
  }

  /** How many sources are remembered: those with an allowance that is not full. */
  get size(): number {
    return this.#left.size;
  }

  /** Takes one, at monotonic `now`. 0: taken; else in how many ms there is one. */
  take(source: string, now: number): number {
    this.#forgetFull(now);
    const tokens = this.#tokens(source, now);
    if (tokens < 1) return Math.ceil(((1 - tokens) * REFILL_MS) / this.#burst);
    this.#put(source, tokens - 1, now);
    return 0;
  }

  /** Gives back one that served nobody. */
  giveBack(source: string, now: number): void {
    this.#put(source, Math.min(this.#burst, this.#tokens(source, now) + 1), now);
  }

  #tokens(source: string, now: number): number {
    const known = this.#left.get(source);
    if (known === undefined) return this.#burst;
    return Math.min(this.#burst, known.tokens + ((now - known.at) * this.#burst) / REFILL_MS);
  }

  #put(source: string, tokens: number, at: number): void {
    this.#left.delete(source);
    this.#left.set(source, { tokens, at });
  }

  #forgetFull(now: number): void {
    for (const [source, { at }] of this.#left) {
      if (now - at < REFILL_MS && this.#left.size < MOST_SOURCES) return;
      this.#left.delete(source);
    }
  }
}

/** Who is registered now, counted. */
export interface Occupancy {
  readonly size: number;
  sizeOf(source: string): number;
  /** How many registered last with the token of this id. */
  heldBy(token: string): number;
  service(key: string): { readonly members: { readonly size: number } } | undefined;
}

/** Somebody who wants onto the roll. */
export interface Applicant {
  readonly source: string;
  readonly serviceKey: string;
  /** The id of the access token that it came with; null: none was asked for. */
  readonly token: string | null;
  /** False for an id that was registered before and may come back: it costs nothing of the allowance. */
  readonly isNew: boolean;
}

/** A place that is kept for an applicant while it is looked at and stored: so that those under way at the same time count. */
export interface Place {
  /** The applicant is registered, or refused. */
  free(): void;
  /** It was refused through no fault of its own: it did not use its allowance. Before `free`. */
  refund(now: number): void;
}

/** Who may still be registered. Counts those that are on the roll, and those on the way there. */
export class Quota {
  readonly #limits: Limits;
  readonly #occupancy: Occupancy;
  readonly #burst: number;
  readonly #allowances: Allowances;
  readonly #sources = new Tally();
  readonly #services = new Tally();
  readonly #tokens = new Tally();
  /** What each token may still send. */
  readonly #pace: Allowances;
  #total = 0;

  constructor(limits: Limits, occupancy: Occupancy) {
    this.#limits = limits;
    this.#occupancy = occupancy;
    this.#burst = Math.max(LEAST_BURST, limits.maxInstancesPerSource);
    this.#allowances = new Allowances(this.#burst);
    this.#pace = new Allowances(limits.maxRegistrationsPerToken);
  }

  /** One more registration with this token, of whomever: why it comes too soon; null when it does not. `now`: monotonic ms. */
  hurried(token: string | null, now: number): Excess | null {
    const retryAfterMs = token === null ? 0 : this.#pace.take(token, now);
    if (token === null || retryAfterMs === 0) return null;
    const most = this.#limits.maxRegistrationsPerToken;
    return { limit: 'maxRegistrationsPerToken', most, count: most, whose: token, retryAfterMs };
  }

  /** Why this token may not hold one more; null when it may. */
  crowded(token: string | null): Excess | null {
    const count = token === null ? 0 : this.#occupancy.heldBy(token) + this.#tokens.of(token);
    const most = this.#limits.maxInstancesPerToken;
    if (token === null || count < most) return null;
    return { limit: 'maxInstancesPerToken', most, count, whose: token, retryAfterMs: PLACE_RETRY_MS };
  }

  /** Keeps a place, or says which limit stands in the way. `now`: monotonic ms. */
  reserve(applicant: Applicant, now: number): Result<Place, Excess> {
    const { source, serviceKey, token, isNew } = applicant;
    const full = this.#full(applicant);
    if (full !== null) return { ok: false, problem: { ...full, retryAfterMs: PLACE_RETRY_MS } };
    const crowded = this.crowded(token);
    if (crowded !== null) return { ok: false, problem: crowded };
    const waitMs = isNew ? this.#allowances.take(source, now) : 0;
    if (waitMs > 0) {
      const most = this.#burst;
      return { ok: false, problem: { limit: 'newcomers', most, count: most, whose: source, retryAfterMs: waitMs } };
    }
    this.#count(applicant, 1);
    return {
      ok: true,
      value: {
        free: () => this.#count({ source, serviceKey, token }, -1),
        refund: (at) => {
          if (isNew) this.#allowances.giveBack(source, at);
        },
      },
    };
  }

  #full({ source, serviceKey }: Applicant): Omit<Excess, 'retryAfterMs'> | null {
    const { maxInstances, maxInstancesPerService, maxInstancesPerSource } = this.#limits;
    const inAll = this.#occupancy.size + this.#total;
    if (inAll >= maxInstances) return { limit: 'maxInstances', most: maxInstances, count: inAll, whose: '' };
    const ofSource = this.#occupancy.sizeOf(source) + this.#sources.of(source);
    if (ofSource >= maxInstancesPerSource) {
      return { limit: 'maxInstancesPerSource', most: maxInstancesPerSource, count: ofSource, whose: source };
    }
    const members = this.#occupancy.service(serviceKey)?.members.size ?? 0;
    const ofService = members + this.#services.of(serviceKey);
    if (ofService < maxInstancesPerService) return null;
    return { limit: 'maxInstancesPerService', most: maxInstancesPerService, count: ofService, whose: serviceKey };
  }

  #count({ source, serviceKey, token }: Omit<Applicant, 'isNew'>, by: 1 | -1): void {
    this.#total += by;
    this.#sources.add(source, by);
    this.#services.add(serviceKey, by);
    if (token !== null) this.#tokens.add(token, by);
  }
}
