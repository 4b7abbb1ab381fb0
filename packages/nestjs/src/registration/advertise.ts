import { addressOf, RollcallError } from '@rollcall/core';
import type { AnnouncedEndpoint, Protocol } from '@rollcall/core';
import type { BoundEndpoint } from '../servers/server-adapter.js';

export interface AdvertiseRules {
  /** What the user said: it beats whatever was bound. */
  readonly advertiseHost: string | undefined;
  /** Its URL, or those of several. */
  readonly registry: string | readonly string[];
}

/**
 * The address others are told: the one that was set, else the one that was bound if it is a single one, else none, and then it
 * is the address the registry sees us come from. Throws OPTION_INVALID for an address that no other machine can reach.
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
 * Where the own port of an application is opened, for the registry alone: on loopback if the registry can come over that. Undefined:
 * on every address.
 */
export function ownHost(rules: AdvertiseRules): string | undefined {
  return registryElsewhere(rules) === undefined && rules.advertiseHost === undefined ? '127.0.0.1' : undefined;
}

/** One that is not on this machine. */
function registryElsewhere({ registry }: AdvertiseRules): string | undefined {
  const registries = typeof registry === 'string' ? [registry] : registry;
  return registries.find((url) => !isLoopback(new URL(url).hostname));
}

/** What to write where the server is made. */
const FIXES: Readonly<Record<Protocol, (port: number) => string>> = {
  tcp: () => `options: { host: '0.0.0.0', … }`,
  http: (port) => `app.listen(${port}, '0.0.0.0')`,
  grpc: (port) => `options: { url: '0.0.0.0:${port}', … }`,
};

function isEveryAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === '';
}

/** Of an IP address, as it was bound or as the URL parser gives it, or of a host name. */
function isLoopback(host: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === '[::1]' || host === 'localhost';
}
