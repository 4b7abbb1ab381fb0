import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';
import { addressOf, isHost } from '@rollcall/core';
import type { Endpoint, Problem, Registration, Result } from '@rollcall/core';

/** Turns a host name into one IP address: asked once, at registration, so that a name cannot change its mind later. */
export type Resolve = (host: string) => Promise<string>;

export interface AdmissionRules {
  readonly resolve: Resolve;
  /** Networks (CIDR) that may be registered besides the peer's own address. */
  readonly allowedNetworks: readonly string[];
  /** The registry's own port: never an endpoint, or it would call itself. */
  readonly ownPort: () => number | null;
}

/** What a registration's endpoints come to: as published, and as called (host resolved). */
export interface Admitted {
  readonly endpoints: readonly Endpoint[];
  readonly targets: readonly Endpoint[];
}

/** Checks where a registration wants to be called. The registry connects there, so the address must be the peer's own. */
export class Admission {
  readonly #rules: AdmissionRules;
  readonly #networks = new BlockList();

  /** Throws a RangeError for a network that is none. */
  constructor(rules: AdmissionRules) {
    this.#rules = rules;
    for (const network of rules.allowedNetworks) {
      const [address = '', prefix] = network.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      if (isIP(address) === 0) throw new RangeError(`allowedNetworks: ${network} is no network such as 10.0.0.0/8.`);
      this.#networks.addSubnet(address, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family);
    }
  }

  async admit(registration: Registration, peerAddress: string): Promise<Result<Admitted, Problem>> {
    const endpoints: Endpoint[] = [];
    const targets: Endpoint[] = [];
    for (const [index, announced] of registration.endpoints.entries()) {
      const host = announced.host ?? peerAddress;
      const endpoint = { protocol: announced.protocol, host, port: announced.port, tls: announced.tls ?? false };
      if (endpoints.some((other) => nameOf(other) === nameOf(endpoint))) {
        return { ok: false, problem: twice(`endpoints[${index}]`, endpoint) };
      }
      const address = isIP(host) === 0 ? await this.#resolved(host) : plain(host);
      const refusal = this.#refusalOf(endpoint, address, peerAddress);
      if (refusal !== null) return { ok: false, problem: notAllowed(`endpoints[${index}].host`, endpoint, refusal) };
      endpoints.push(endpoint);
      targets.push({ ...endpoint, host: address ?? host });
    }
    return { ok: true, value: { endpoints, targets } };
  }

  async #resolved(host: string): Promise<string | null> {
    try {
      return plain(await this.#rules.resolve(host));
    } catch {
      return null;
    }
  }

  /** Why it may not be called there; null when it may. */
  #refusalOf(endpoint: Endpoint, address: string | null, peerAddress: string): string | null {
    if (address === null) return `${endpoint.host} does not resolve to an address`;
    if (!isHost(endpoint.host))
      return `${endpoint.host} is an address of one link only, which callers elsewhere cannot use`;
    if (endpoint.port === this.#rules.ownPort()) return `${endpoint.port} is the registry's own port`;
    const own = address === peerAddress || (isLoopback(address) && isLoopback(peerAddress));
    if (own || this.#networks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) return null;
    return `${address} is neither the address this registration comes from (${peerAddress}) nor in allowedNetworks`;
  }
}

/** One address, one text: IPv6 in its canonical form, and an IPv4 address in it as IPv4. */
function plain(address: string): string {
  if (!isIPv6(address)) return address;
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  return canonical.startsWith('::ffff:') && canonical.includes('.') ? canonical.slice(7) : canonical;
}

const nameOf = (endpoint: Endpoint): string => `${endpoint.protocol} ${addressOf(endpoint)}`;

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
