import type { Result } from '@rollcall/core';
import { isIPv6, SocketAddress } from 'node:net';
import type { Excess, Limits } from './limits.js';

/** Retry-After for a place, which frees when an instance leaves; that cannot be predicted. */
const PLACE_RETRY_MS = 10_000;
/** Time in which a used-up allowance of new instances refills, ms: a fleet may be rolled out again each minute. */
const REFILL_MS = 60_000;
/**
 * Minimum allowance: even a source with few instances may restart them often, as in development at each change of a
 * file.
 */
const MIN_BURST = 100;
/** Maximum of remembered allowances; the source that was quiet longest is dropped first. */
const MAX_SOURCES = 10_000;

/**
 * The source of an address, as quotas count it: an IPv4 address, or the /64 of an IPv6 address, as its owner controls
 * all of that.
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

/** Counts by key. A count of zero uses no memory. */
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

/** A token bucket per source: `burst` new instances at once, and as many again each minute. */
export class Allowances {
  readonly #burst: number;
  /** The source that was quiet longest first. */
  readonly #left = new Map<string, { readonly tokens: number; readonly at: number }>();

  constructor(burst: number) {
    this.#burst = burst;
  }

  /** The number of remembered sources: those whose allowance is not full. */
  get size(): number {
    return this.#left.size;
  }

  /** Takes one at monotonic `now`. 0: taken; else the time until one is available, ms. */
  take(source: string, now: number): number {
    this.#forgetFull(now);
    const tokens = this.#tokens(source, now);
    if (tokens < 1) return Math.ceil(((1 - tokens) * REFILL_MS) / this.#burst);
    this.#put(source, tokens - 1, now);
    return 0;
  }

  /** Returns one that was not used. */
  refund(source: string, now: number): void {
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
      if (now - at < REFILL_MS && this.#left.size < MAX_SOURCES) return;
      this.#left.delete(source);
    }
  }
}

/** The counts of registered instances. */
export interface Occupancy {
  readonly size: number;
  sizeOf(source: string): number;
  /** The number of instances whose last registration had the token of this id. */
  countByToken(token: string): number;
  service(key: string): { readonly members: { readonly size: number } } | undefined;
}

/** The registration of an instance. */
export interface QuotaRequest {
  readonly source: string;
  readonly serviceKey: string;
  /** The id of its access token; null: none was required. */
  readonly token: string | null;
  /** False for an id that was registered before and may return: it uses no allowance. */
  readonly isNew: boolean;
}

/** A place reserved for a registration while it is checked and stored, so that concurrent registrations count. */
export interface Place {
  /** Frees the place once the instance is registered or refused. */
  free(): void;
  /** Returns its allowance if it was refused through no fault of its own. Call it before `free`. */
  refund(now: number): void;
}

/** Decides whether an instance may register. Counts registered instances and reserved places. */
export class Quota {
  readonly #limits: Limits;
  readonly #occupancy: Occupancy;
  readonly #burst: number;
  readonly #allowances: Allowances;
  readonly #sources = new Tally();
  readonly #services = new Tally();
  readonly #tokens = new Tally();
  /** The remaining registrations of each token. */
  readonly #rates: Allowances;
  #total = 0;

  constructor(limits: Limits, occupancy: Occupancy) {
    this.#limits = limits;
    this.#occupancy = occupancy;
    this.#burst = Math.max(MIN_BURST, limits.maxInstancesPerSource);
    this.#allowances = new Allowances(this.#burst);
    this.#rates = new Allowances(limits.maxRegistrationsPerToken);
  }

  /** Counts a registration with this token. Returns the excess if it comes too soon, else null. `now`: monotonic ms. */
  rateExcess(token: string | null, now: number): Excess | null {
    const retryAfterMs = token === null ? 0 : this.#rates.take(token, now);
    if (token === null || retryAfterMs === 0) return null;
    const max = this.#limits.maxRegistrationsPerToken;
    return { limit: 'maxRegistrationsPerToken', max, count: max, subject: token, retryAfterMs };
  }

  /** The excess if this token may not hold one more instance, else null. */
  tokenExcess(token: string | null): Excess | null {
    const count = token === null ? 0 : this.#occupancy.countByToken(token) + this.#tokens.of(token);
    const max = this.#limits.maxInstancesPerToken;
    if (token === null || count < max) return null;
    return { limit: 'maxInstancesPerToken', max, count, subject: token, retryAfterMs: PLACE_RETRY_MS };
  }

  /** Reserves a place, or returns the exceeded limit. `now`: monotonic ms. */
  reserve(quotaRequest: QuotaRequest, now: number): Result<Place, Excess> {
    const { source, serviceKey, token, isNew } = quotaRequest;
    const full = this.#full(quotaRequest);
    if (full !== null) return { ok: false, problem: { ...full, retryAfterMs: PLACE_RETRY_MS } };
    const tokenExcess = this.tokenExcess(token);
    if (tokenExcess !== null) return { ok: false, problem: tokenExcess };
    const waitMs = isNew ? this.#allowances.take(source, now) : 0;
    if (waitMs > 0) {
      const max = this.#burst;
      return { ok: false, problem: { limit: 'newcomers', max, count: max, subject: source, retryAfterMs: waitMs } };
    }
    this.#count(quotaRequest, 1);
    return {
      ok: true,
      value: {
        free: () => this.#count({ source, serviceKey, token }, -1),
        refund: (at) => {
          if (isNew) this.#allowances.refund(source, at);
        },
      },
    };
  }

  #full({ source, serviceKey }: QuotaRequest): Omit<Excess, 'retryAfterMs'> | null {
    const { maxInstances, maxInstancesPerService, maxInstancesPerSource } = this.#limits;
    const inAll = this.#occupancy.size + this.#total;
    if (inAll >= maxInstances) return { limit: 'maxInstances', max: maxInstances, count: inAll, subject: '' };
    const ofSource = this.#occupancy.sizeOf(source) + this.#sources.of(source);
    if (ofSource >= maxInstancesPerSource) {
      return { limit: 'maxInstancesPerSource', max: maxInstancesPerSource, count: ofSource, subject: source };
    }
    const members = this.#occupancy.service(serviceKey)?.members.size ?? 0;
    const ofService = members + this.#services.of(serviceKey);
    if (ofService < maxInstancesPerService) return null;
    return { limit: 'maxInstancesPerService', max: maxInstancesPerService, count: ofService, subject: serviceKey };
  }

  #count({ source, serviceKey, token }: Omit<QuotaRequest, 'isNew'>, by: 1 | -1): void {
    this.#total += by;
    this.#sources.add(source, by);
    this.#services.add(serviceKey, by);
    if (token !== null) this.#tokens.add(token, by);
  }
}
