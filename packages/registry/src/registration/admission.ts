import { isIP, isIPv6, SocketAddress } from 'node:net';
import { addressOf, isHost } from '@rollcall/core';
import type { Endpoint, Problem, Registration, Result, Time } from '@rollcall/core';
import type { LimitRefusals } from '../access/refusals.js';
import { sourceOf } from '../instances/quotas.js';
import { LOOKUP_MS, DnsLookups, MAX_LOOKUPS, MAX_LOOKUPS_PER_SOURCE } from './dns.js';
import type { Found, Resolve } from './dns.js';
import { Networks } from './networks.js';

export type { Resolve } from './dns.js';

export interface AdmissionRules {
  /** Called once, at registration, so that a name cannot resolve differently later. */
  readonly resolve: Resolve;
  /**
   * Networks (CIDR) that may be registered besides the peer's own address; a wide one does not include special
   * addresses: networks.ts.
   */
  readonly allowedNetworks: readonly string[];
  /** The registry's own port, which is never an endpoint, or it would call itself. */
  readonly ownPort: () => number | null;
}

/** The endpoints of a registration: as published, and as called (host resolved). */
export interface Admitted {
  readonly endpoints: readonly Endpoint[];
  readonly targets: readonly Endpoint[];
}

export interface AdmissionPorts {
  readonly time: Time;
  readonly refusals: LimitRefusals;
}

/** Retry-After if too many lookups are under way, ms. */
const BUSY_RETRY_MS = 1_000;

/**
 * Checks the endpoints of a registration. The registry connects there, so the address must be the peer's own or
 * allowed.
 */
export class Admission {
  readonly #rules: AdmissionRules;
  readonly #refusals: LimitRefusals;
  readonly #lookups: DnsLookups;
  readonly #networks: Networks;

  /** Throws RangeError for an invalid network. */
  constructor(rules: AdmissionRules, { time, refusals }: AdmissionPorts) {
    this.#rules = rules;
    this.#refusals = refusals;
    this.#lookups = new DnsLookups(rules.resolve, time);
    this.#networks = new Networks(rules.allowedNetworks);
  }

  /** Takes at most 2 s for any number of names. */
  async admit(registration: Registration, peerAddress: string): Promise<Result<Admitted, Problem>> {
    const hosts = new Set(registration.endpoints.map(({ host = peerAddress }) => host));
    const found = new Map(
      await Promise.all([...hosts].map(async (host) => [host, await this.#find(host, peerAddress)] as const)),
    );
    const outcomes = [...found.values()];
    if (outcomes.includes('busy')) return this.#tooManyLookups(MAX_LOOKUPS, '');
    if (outcomes.includes('greedy')) return this.#tooManyLookups(MAX_LOOKUPS_PER_SOURCE, sourceOf(peerAddress));
    for (const [host, outcome] of found) if (outcome === 'late') return this.#tooLate(host);
    const endpoints: Endpoint[] = [];
    const targets: Endpoint[] = [];
    for (const [index, announced] of registration.endpoints.entries()) {
      const host = announced.host ?? peerAddress;
      const endpoint = { protocol: announced.protocol, host, port: announced.port, tls: announced.tls ?? false };
      if (endpoints.some((other) => nameOf(other) === nameOf(endpoint))) {
        return { ok: false, problem: twice(`endpoints[${index}]`, endpoint) };
      }
      const place = found.get(host) ?? 'not-found';
      const refusal = this.#refusalOf(endpoint, place, peerAddress);
      if (refusal !== null) return { ok: false, problem: notAllowed(`endpoints[${index}].host`, endpoint, refusal) };
      endpoints.push(endpoint);
      targets.push({ ...endpoint, host: typeof place === 'object' ? place.address : host });
    }
    // copies have no spare capacity, which for one endpoint exceeds the rest of its memory
    return { ok: true, value: { endpoints: endpoints.slice(), targets: targets.slice() } };
  }

  #tooManyLookups(max: number, subject: string): Result<never, Problem> {
    return this.#refusals.refuse({ limit: 'lookups', max, count: max, subject, retryAfterMs: BUSY_RETRY_MS });
  }

  #tooLate(host: string): Result<never, Problem> {
    const excess = { max: LOOKUP_MS, count: LOOKUP_MS, subject: host, retryAfterMs: BUSY_RETRY_MS };
    return this.#refusals.refuse({ limit: 'lookupTime', ...excess });
  }

  async #find(host: string, peerAddress: string): Promise<Found> {
    if (isIP(host) !== 0) return { address: plain(host) };
    const found = await this.#lookups.find(host, peerAddress);
    if (typeof found !== 'object') return found;
    return isIP(found.address) === 0 ? 'not-found' : { address: plain(found.address) };
  }

  /** The reason for which it may not be called there; null: it may. */
  #refusalOf(endpoint: Endpoint, found: Found, peerAddress: string): string | null {
    if (typeof found !== 'object') return `${endpoint.host} does not resolve to an address`;
    const { address } = found;
    if (!isHost(endpoint.host))
      return `${endpoint.host} is an address of one link only, which callers elsewhere cannot use`;
    if (endpoint.port === this.#rules.ownPort()) return `${endpoint.port} is the registry's own port`;
    if (isOwnAddress(address, peerAddress) || this.#networks.has(address)) return null;
    // the address of a name is not disclosed: that would open the registry's resolver to everyone
    const subject = isIP(endpoint.host) === 0 ? `what ${endpoint.host} resolves to` : address;
    return `${subject} is neither the address this registration comes from (${peerAddress}) nor in allowedNetworks`;
  }
}

/** The canonical text of an address: IPv6 in canonical form, and an embedded IPv4 address as IPv4. */
function plain(address: string): string {
  if (!isIPv6(address)) return address;
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  return canonical.startsWith('::ffff:') && canonical.includes('.') ? canonical.slice(7) : canonical;
}

const nameOf = (endpoint: Endpoint): string => `${endpoint.protocol} ${addressOf(endpoint)}`;

/** True if this is an address of the peer's host. All of loopback is this machine. */
export function isOwnAddress(address: string, peerAddress: string): boolean {
  return address === peerAddress || (isLoopback(address) && isLoopback(peerAddress));
}

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

function notAllowed(path: string, endpoint: Endpoint, why: string): Problem {
  return {
    code: 'ADDRESS_NOT_ALLOWED',
    detail: `The registry does not call ${addressOf(endpoint)}: ${why}.`,
    fix: 'Leave out the host, so that the address of the connection is used; or allow the network in the registry.',
    flaws: [{ path, received: endpoint.host, allowed: 'the own address of the service, or one in allowedNetworks' }],
  };
}

function twice(path: string, endpoint: Endpoint): Problem {
  return {
    code: 'INVALID',
    detail: `${nameOf(endpoint)} is announced twice.`,
    fix: 'Announce each endpoint once; nothing was stored.',
    flaws: [{ path, received: `${nameOf(endpoint)} again`, allowed: 'each endpoint once' }],
  };
}
