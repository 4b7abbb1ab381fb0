import type { Problem } from '@rollcall/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { sendProblem } from '../exchange/problem.js';

/** Returns why a request with these headers is refused; null: it is not. */
export type Guard = (headers: IncomingHttpHeaders) => Problem | null;

/**
 * Creates the check that runs before every route and keeps foreign web pages out. A page whose own name resolves to
 * this address (DNS rebinding) is same-origin to its browser, but its `Host` is that name: 421. A page of another
 * origin sends `Origin`: 403; if its browser sends none (an image, a script), `Sec-Fetch-Site`: 403, unless the user
 * follows a link. `names` are the host names, besides IP addresses and localhost, of this registry.
 */
export function createGuard(names: readonly string[]): Guard {
  const known = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  return (headers) => {
    const { host = '', origin } = headers;
    if (!isOurs(host, known)) return MISDIRECTED;
    if (origin !== undefined && !isSameOrigin(origin, host)) return FOREIGN;
    return isLoadedElsewhere(headers) ? FOREIGN : null;
  };
}

/** The guard as Fastify's hook `onRequest`. */
export function guardHook(guard: Guard): (request: FastifyRequest, reply: FastifyReply, next: () => void) => void {
  return (request, reply, next) => {
    const problem = guard(request.headers);
    if (problem === null) next();
    else sendProblem(reply, problem);
  };
}

const MISDIRECTED: Problem = {
  code: 'MISDIRECTED',
  detail: 'The Host header names neither an IP address, nor localhost, nor a name this registry was given.',
  fix: 'Use its IP address, or start the registry with this name among its `names`.',
};

const FOREIGN: Problem = {
  code: 'FORBIDDEN',
  detail: 'The request comes from a web page of another origin.',
  fix: 'Use the pages that this registry serves itself, or a program that is not a browser.',
};

const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d{1,5})?$/i;

function isOurs(host: string, known: ReadonlySet<string>): boolean {
  const [, bracketed, plain] = HOST.exec(host) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  return plain !== undefined && (isIP(plain) === 4 || known.has(plain.toLowerCase()));
}

/**
 * True if a page of another origin, even on this machine, loads something from here:
 * https://www.w3.org/TR/fetch-metadata/
 */
function isLoadedElsewhere(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  return headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document';
}

/** The scheme may differ: a proxy may terminate TLS. */
function isSameOrigin(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
