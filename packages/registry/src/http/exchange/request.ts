import {
  DEFAULT_NAMESPACE,
  isWhy,
  MAX_NAMES_PER_REQUEST,
  NAME_PATTERN,
  SECRET_PATTERN,
  WHY_ALLOWED,
} from '@rollcall/core';
import type { FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import type { Outcome, Peer } from '../../registry-api.js';
import { flawed } from './problem.js';

const NAME_TEXT = 'a DNS label (1 to 63 of a-z, 0-9 and -, neither first nor last a -)';

/** The address of the sender, in the notation of endpoints: `::ffff:10.0.0.5` is `10.0.0.5`. */
export function peerOf(request: { readonly socket: Pick<Socket, 'remoteAddress'> }): Peer {
  const address = request.socket.remoteAddress ?? '';
  return { address: address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address };
}

/** The bearer token of a request: `Authorization: Bearer <token>`. */
export function bearerOf(request: Pick<FastifyRequest, 'headers'>): string | null {
  return /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/** The secret of an instance; null if there is none, or it cannot be one. */
export function secretOf(request: Pick<FastifyRequest, 'headers'>): string | null {
  const bearer = bearerOf(request);
  return bearer !== null && SECRET_PATTERN.test(bearer) ? bearer : null;
}

/**
 * On an open registry, every client on loopback is an operator if it sends this header, which a foreign web page cannot
 * send without a preflight request.
 */
export function isOperator(request: FastifyRequest): boolean {
  return request.headers['x-rollcall-operator'] === '1' && isLoopback(peerOf(request).address);
}

/** True if only this machine can reach this address or host name. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** All values of a query parameter, in order. */
export function listOf(request: FastifyRequest, parameter: string): readonly string[] {
  const { query } = request;
  if (typeof query !== 'object' || query === null) return [];
  const value: unknown = Reflect.get(query, parameter);
  return [value].flat().filter((one) => typeof one === 'string');
}

/** The namespace; `default` if omitted, `*` for all. */
export function namespaceOf(request: FastifyRequest): Outcome<string> {
  const [namespace = DEFAULT_NAMESPACE] = listOf(request, 'namespace');
  if (namespace === '*' || NAME_PATTERN.test(namespace)) return { ok: true, value: namespace };
  return { ok: false, problem: flawed('namespace', namespace, `${NAME_TEXT}, or *`) };
}

export function checkName(parameter: string, name: string): Outcome<string> {
  if (NAME_PATTERN.test(name)) return { ok: true, value: name };
  return { ok: false, problem: flawed(parameter, name, NAME_TEXT) };
}

/** Names of services, or `*`, from a repeatable parameter with at most `MAX_NAMES_PER_REQUEST` values. */
export function namesOf(request: FastifyRequest, parameter: string): Outcome<readonly string[]> {
  const names = [...new Set(listOf(request, parameter))];
  if (names.length > MAX_NAMES_PER_REQUEST) {
    const allowed = `at most ${MAX_NAMES_PER_REQUEST} names of services, or one *, which is all of them`;
    return { ok: false, problem: flawed(parameter, `${names.length} names`, allowed) };
  }
  const wrong = names.find((name) => name !== '*' && !NAME_PATTERN.test(name));
  if (wrong === undefined) return { ok: true, value: names };
  return { ok: false, problem: flawed(parameter, wrong, `${NAME_TEXT}, or *`) };
}

/** A whole number from 0 to `max`; null if omitted. */
export function numberOf(request: FastifyRequest, parameter: string, max: number): Outcome<number | null> {
  const [text] = listOf(request, parameter);
  if (text === undefined) return { ok: true, value: null };
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Infinity;
  if (value <= max) return { ok: true, value };
  return { ok: false, problem: flawed(parameter, text, `a whole number from 0 to ${max}`) };
}

/** All values of a repeatable parameter, each one of the known values, in their order. */
export function enumOf<Word extends string>(
  request: FastifyRequest,
  parameter: string,
  known: readonly Word[],
): Outcome<readonly Word[]> {
  const given = listOf(request, parameter);
  const wrong = given.find((word) => !known.some((one) => one === word));
  if (wrong !== undefined) return { ok: false, problem: flawed(parameter, wrong, `one of ${known.join(', ')}`) };
  return { ok: true, value: known.filter((word) => given.includes(word)) };
}

const USUAL_LIMIT = 100;
/** The maximum number of items in one answer. */
export const LARGEST_LIMIT = 1_000;

/** The number of items in one answer: `limit`, from 1 to `LARGEST_LIMIT`. */
export function limitOf(request: FastifyRequest): Outcome<number> {
  const limit = numberOf(request, 'limit', LARGEST_LIMIT);
  if (!limit.ok) return limit;
  if (limit.value !== 0) return { ok: true, value: limit.value ?? USUAL_LIMIT };
  return { ok: false, problem: flawed('limit', '0', `a whole number from 1 to ${LARGEST_LIMIT}`) };
}

/** `true` or `false`; `otherwise` when omitted. */
export function flagOf(request: FastifyRequest, parameter: string, defaultValue = false): Outcome<boolean> {
  const [text = String(defaultValue)] = listOf(request, parameter);
  if (text === 'true' || text === 'false') return { ok: true, value: text === 'true' };
  return { ok: false, problem: flawed(parameter, text, 'true or false') };
}

/** The reason an operator gives; empty if omitted. */
export function reasonOf(request: FastifyRequest): Outcome<string> {
  const [reason = ''] = listOf(request, 'reason');
  return isWhy(reason) ? { ok: true, value: reason } : { ok: false, problem: flawed('reason', reason, WHY_ALLOWED) };
}

/** A name from an optional parameter; null if omitted. */
export function nameOf(request: FastifyRequest, parameter: string): Outcome<string | null> {
  const [name] = listOf(request, parameter);
  return name === undefined ? { ok: true, value: null } : checkName(parameter, name);
}
