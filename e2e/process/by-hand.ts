import { start } from './spawn.js';
import type { Child } from './spawn.js';

/** Services that are but requests, sent by hand: nobody answers at their address. */
export const SERVICE = 'ledgers';
const SECRET = 'a-secret-of-132-bits-22';

/** `rollcall up`; `port` 0 is any free one. */
export function startRegistry(intervalMs: number, args: readonly string[], port = 0): Child {
  return start('rollcall', ['up', '--json', '--port', String(port), '--interval', String(intervalMs), ...args]);
}

/** Resolves as soon as it serves. */
export async function urlOf(registry: Child): Promise<string> {
  const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
  return url;
}

const ports = new Map<string, number>();

/** One of its own, for an address may have few: from 1 on, where nobody listens on loopback. */
function portOf(id: string): number {
  const port = ports.get(id) ?? (ports.size % 1_000) + 1;
  ports.set(id, port);
  return port;
}

/** Once more with another version replaces what was said before. */
export function register(url: string, id: string, version = ''): Promise<Response> {
  const endpoints = [{ protocol: 'tcp', port: portOf(id) }];
  return fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, service: SERVICE, secret: SECRET, endpoints, version }),
  });
}

const proof = { authorization: `Bearer ${SECRET}` };

/** The goodbye of an instance, with its own secret; or an operator removes it. */
export function remove(url: string, id: string, who: 'instance' | 'operator' = 'instance'): Promise<Response> {
  const headers = who === 'instance' ? proof : { 'x-rollcall-operator': '1' };
  return fetch(`${url}/api/v1/instances/${id}`, { method: 'DELETE', headers });
}

/** The instance says that it drains. */
export function drain(url: string, id: string): Promise<Response> {
  return fetch(`${url}/api/v1/instances/${id}/drain`, { method: 'POST', headers: proof });
}

let beats = 0;

/** A Heartbeat-2 of an instance. */
export function beat(url: string, id: string): Promise<Response> {
  beats += 1;
  return fetch(`${url}/api/v1/instances/${id}/heartbeat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...proof },
    body: JSON.stringify({ nonce: null, seq: beats }),
  });
}

/** An operator says which weight an instance has. */
export function weigh(url: string, id: string, weight: number): Promise<Response> {
  return fetch(`${url}/api/v1/instances/${id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
    body: JSON.stringify({ weight }),
  });
}

/** What a test looks at in an instance that the registry lists. */
export interface Listed {
  readonly id: string;
  readonly version: string;
  readonly state: string;
  readonly weight: number;
}

/** Those that the registry lists, by their ids. */
export async function listedAt(url: string, service = SERVICE): Promise<ReadonlyMap<string, Listed>> {
  const { instances = [] } = (await (await fetch(`${url}/api/v1/services/${service}`)).json()) as {
    instances?: Listed[];
  };
  return new Map(instances.map((one) => [one.id, one]));
}

/** The versions of those that the registry lists, by their ids. */
export async function versionsAt(url: string, service = SERVICE): Promise<ReadonlyMap<string, string>> {
  return new Map([...(await listedAt(url, service))].map(([id, { version }]) => [id, version]));
}

/** Those that the registry lists. */
export async function idsAt(url: string, service = SERVICE): Promise<ReadonlySet<string>> {
  return new Set((await versionsAt(url, service)).keys());
}
