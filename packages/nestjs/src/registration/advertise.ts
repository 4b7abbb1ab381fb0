import { addressOf, RollcallError } from '@rollcall/core';
import type { AnnouncedEndpoint, Protocol } from '@rollcall/core';
import type { BoundEndpoint } from '../servers/server-adapter.js';

export interface AdvertiseRules {
  /** The configured host, which overrides the bound one. */
  readonly advertiseHost: string | undefined;
  /** The URL of the registry, or a list of URLs. */
  readonly registry: string | readonly string[];
}

/**
 * The host that callers use: the configured one; else the bound one, if it is a single address; else none, and the
 * registry uses the address from which we register. Throws OPTION_INVALID for an address that no other machine can
 * reach.
 */
export function announced({ protocol, host, port, tls }: BoundEndpoint, rules: AdvertiseRules): AnnouncedEndpoint {
  if (rules.advertiseHost !== undefined) return { protocol, host: rules.advertiseHost, port, tls };
  if (isEveryAddress(host)) return { protocol, port, tls };
  const elsewhere = registryElsewhere(rules);
  if (elsewhere === undefined || !isLoopback(host)) return { protocol, host, port, tls };
  const fix = FIXES[protocol](port);
  throw new RollcallError(
    'OPTION_INVALID',
    `Not registered: the ${protocol} server listens on ${addressOf({ host, port })}, which only this machine can reach, and the ` +
      `registry is elsewhere, at ${elsewhere}. Write ${fix} where the server is made, or set the option advertiseHost.`,
  );
}

/**
 * The address of the heartbeat port, which serves the registry alone: loopback if the registry can reach that;
 * undefined for every address of the machine.
 */
export function ownHost(rules: AdvertiseRules): string | undefined {
  return registryElsewhere(rules) === undefined && rules.advertiseHost === undefined ? '127.0.0.1' : undefined;
}

/** A registry that is not on this machine. */
function registryElsewhere({ registry }: AdvertiseRules): string | undefined {
  const registries = typeof registry === 'string' ? [registry] : registry;
  return registries.find((url) => !isLoopback(new URL(url).hostname));
}

/** The code that fixes the address, for each protocol. */
const FIXES: Readonly<Record<Protocol, (port: number) => string>> = {
  tcp: () => `options: { host: '0.0.0.0', … }`,
  http: (port) => `app.listen(${port}, '0.0.0.0')`,
  grpc: (port) => `options: { url: '0.0.0.0:${port}', … }`,
};

function isEveryAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === '';
}

/** For an IP address, as bound or as the URL parser returns it, or a host name. */
function isLoopback(host: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === '[::1]' || host === 'localhost';
}
