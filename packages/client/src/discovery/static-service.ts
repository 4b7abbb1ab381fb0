import { addressOf, DEFAULT_WEIGHT, isHost, PROTOCOLS, RollcallError } from '@rollcall/core';
import type { Instance, Protocol } from '@rollcall/core';
import type { ServiceView } from './catalog.js';

/** The address of an instance that no registry knows. */
export interface StaticEndpoint {
  readonly protocol: Protocol;
  /** An IP address or a host name, without port. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
  /** Default false. */
  readonly tls?: boolean | undefined;
}

/** The identity of a static service, and the time of its definition. */
export interface StaticTerms {
  readonly service: string;
  readonly namespace: string;
  /** Monotonic ms, and the wall clock. */
  readonly now: number;
  readonly wall: number;
}

/**
 * A service of fixed addresses. Each is an instance of its own that counts as HEALTHY; only the results of our own calls affect it.
 * Connections do not check its identity, since the process may run without Rollcall. Throws OPTION_INVALID with the flaw.
 */
export function staticService(endpoints: readonly StaticEndpoint[], terms: StaticTerms): ServiceView {
  if (endpoints.length === 0) throw invalid(terms.service, 'it has no address; give at least one, or omit `static`');
  const instances = endpoints.map((endpoint) => instanceAt(endpoint, terms));
  const ids = new Set(instances.map(({ id }) => id));
  if (ids.size < instances.length) throw invalid(terms.service, 'an address occurs twice; give each once');
  return {
    service: terms.service,
    status: 'known',
    instances,
    answers: 0,
    answeredAt: -Infinity,
    changedAt: terms.now,
    statusAt: terms.now,
    confirmedAt: terms.now,
    stale: false,
    isWatched: false,
    onChange: () => () => {},
  };
}

function instanceAt(endpoint: StaticEndpoint, { service, namespace, wall }: StaticTerms): Instance {
  const { protocol, host, port, tls = false } = endpoint;
  if (!PROTOCOLS.includes(protocol)) throw invalid(service, `protocol ${protocol} is not tcp, http or grpc`);
  if (typeof host !== 'string' || host === '' || !isHost(host))
    throw invalid(service, `host ${host} is not an IP address or host name without port`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw invalid(service, `port ${port} is not a whole number from 1 to 65535`);
  return {
    id: `${service}-static-${protocol}-${addressOf({ host, port })}`,
    service,
    namespace,
    endpoints: [{ protocol, host, port, tls }],
    version: '',
    zone: '',
    weight: DEFAULT_WEIGHT,
    metadata: {},
    state: 'HEALTHY',
    reason: { code: 'NEW', text: 'a fixed address: no registry watches it' },
    since: wall,
    next: null,
    admin: 'ENABLED',
    source: 'api',
    registeredAt: wall,
    revision: 0,
  };
}

function invalid(service: string, flaw: string): RollcallError {
  return new RollcallError('OPTION_INVALID', `Option static of the service ${service}: ${flaw}.`);
}
