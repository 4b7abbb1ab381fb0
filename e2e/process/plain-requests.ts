import { start } from './spawn.js';
import type { Child } from './spawn.js';

/** A service whose registrations are sent as plain requests: no process answers at its address. */
export const SERVICE = 'ledgers';
const SECRET = 'a-secret-of-132-bits-22';

/** `rollcall up`; `port` 0 is any free one. */
export function startRegistry(intervalMs: number, args: readonly string[], port = 0): Child {
  return start('rollcall', ['up', '--json', '--port', String(port), '--interval', String(intervalMs), ...args]);
}

/** Resolves with its URL as soon as it serves. */
export async function urlOf(registry: Child): Promise<string> {
  const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
  return url;
}

const ports = new Map<string, number>();

/** A port of its own, as an address may have few instances: from 1 on, where no process listens on loopback. */
function portFor(id: string): number {
  const port = ports.get(id) ?? (ports.size % 1_000) + 1;
  ports.set(id, port);
  return port;
}

/** Registering again with another version replaces the record. */
export function register(url: string, id: string, version = ''): Promise<Response> {
  const endpoints = [{ protocol: 'tcp', port: portFor(id) }];
  return fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, service: SERVICE, secret: SECRET, endpoints, version }),
  });
}

const ownerHeaders = { authorization: `Bearer ${SECRET}` };

/** Deregisters an instance, with its own secret; or an operator removes it. */
export function remove(url: string, id: string, by: 'instance' | 'operator' = 'instance'): Promise<Response> {
  const headers = by === 'instance' ? ownerHeaders : { 'x-rollcall-operator': '1' };
  return fetch(`${url}/api/v1/instances/${id}`, { method: 'DELETE', headers });
}

/** The instance starts to drain. */
export function drain(url: string, id: string): Promise<Response> {
  return fetch(`${url}/api/v1/instances/${id}/drain`, { method: 'POST', headers: ownerHeaders });
}

let beats = 0;

/** A Heartbeat-2 of an instance. */
export function beat(url: string, id: string): Promise<Response> {
  beats += 1;
  return fetch(`${url}/api/v1/instances/${id}/heartbeat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...ownerHeaders },
    body: JSON.stringify({ nonce: null, seq: beats }),
  });
}

/** An operator sets the weight of an instance. */
export function setWeight(url: string, id: string, weight: number): Promise<Response> {
  return fetch(`${url}/api/v1/instances/${id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
    body: JSON.stringify({ weight }),
  });
}

/** The fields of a listed instance that tests read. */
export interface Listed {
  readonly id: string;
  readonly version: string;
  readonly state: string;
  readonly weight: number;
}

/** The listed instances, by id. */
export async function fetchListed(url: string, service = SERVICE): Promise<ReadonlyMap<string, Listed>> {
  const { instances = [] } = (await (await fetch(`${url}/api/v1/services/${service}`)).json()) as {
    instances?: Listed[];
  };
  return new Map(instances.map((one) => [one.id, one]));
}

/** The versions of the listed instances, by id. */
export async function fetchVersions(url: string, service = SERVICE): Promise<ReadonlyMap<string, string>> {
  return new Map([...(await fetchListed(url, service))].map(([id, { version }]) => [id, version]));
}

/** The ids of the listed instances. */
export async function fetchIds(url: string, service = SERVICE): Promise<ReadonlySet<string>> {
  return new Set((await fetchVersions(url, service)).keys());
}
