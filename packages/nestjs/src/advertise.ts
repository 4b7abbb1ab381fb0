import { addressOf } from '@rollcall/core';
import type { AnnouncedEndpoint, Result } from '@rollcall/core';
import type { BoundEndpoint } from './door.js';

export interface AdvertiseRules {
  /** What the user said: it beats whatever was bound. */
  readonly advertise: string | null;
  /** URLs of the registries. */
  readonly registries: readonly string[];
}

/**
 * The address others are told: the one that was set, else the one that was bound if it is a single one, else none, and then it
 * is the address the registry sees us come from. The problem is a sentence for the log.
 */
export function announced(bound: BoundEndpoint, rules: AdvertiseRules): Result<AnnouncedEndpoint, string> {
  const { protocol, port, tls } = bound;
  if (rules.advertise !== null) return { ok: true, value: { protocol, host: rules.advertise, port, tls } };
  if (isEveryAddress(bound.host)) return { ok: true, value: { protocol, port, tls } };
  const elsewhere = rules.registries.find((url) => !isLoopback(new URL(url).hostname));
  if (isLoopback(bound.host) && elsewhere !== undefined) return { ok: false, problem: problemOf(bound, elsewhere) };
  return { ok: true, value: { protocol, host: bound.host, port, tls } };
}

function problemOf(bound: BoundEndpoint, registry: string): string {
  const fix = bound.protocol === 'http' ? `app.listen(${bound.port}, '0.0.0.0')` : `options: { host: '0.0.0.0', … }`;
  return (
    `Not registered: the ${bound.protocol} server listens on ${addressOf(bound)}, which only this machine can reach, and the ` +
    `registry is elsewhere, at ${registry}. Write ${fix} where the server is made, or set the option advertise.`
  );
}

function isEveryAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === '';
}

/** Of an IP address, as it was bound or as the URL parser gives it, or of a host name. */
function isLoopback(host: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === '[::1]' || host === 'localhost';
}
