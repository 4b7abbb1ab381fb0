import { PROBLEMS } from '@rollcall/core';
import type { Flaw, Log, Problem, ProblemCode, ProblemDocument } from '@rollcall/core';
import type { FastifyReply } from 'fastify';
import { withoutTokens } from '../../access/tokens.js';
import type { Outcome } from '../../registry-api.js';
import { SECURITY_HEADERS } from './security-headers.js';

/** The content type of every answer that is not a refusal. */
export const JSON_TYPE = 'application/json; charset=utf-8';
const MEDIA_TYPE = 'application/problem+json; charset=utf-8';

const TITLES: Record<ProblemCode, string> = {
  INVALID: 'The request is not valid',
  UNAUTHORIZED: 'The token or secret is wrong, or no credentials were sent',
  TOKEN_LAPSED: 'The token or certificate of the registration is not valid any more, or not shown',
  CERTIFICATE_UNTRUSTED: 'The client certificate is not trusted',
  FORBIDDEN: 'This is not allowed',
  NOT_FOUND: 'Not known here',
  METHOD_NOT_ALLOWED: 'This route has no such method',
  TOO_SLOW: 'The request took too long to arrive',
  ID_HELD: 'The instance id belongs to another process',
  LEAVING: 'The instance is leaving',
  ADDRESS_TAKEN: 'The address answers for another instance',
  ENDED: 'This instance id has ended for good',
  TOO_LARGE: 'The request is too large',
  UNSUPPORTED_MEDIA_TYPE: 'The body is not JSON',
  MISDIRECTED: 'The request names a host that is not this registry',
  ADDRESS_NOT_ALLOWED: 'The address may not be registered from there',
  TOO_MANY: 'Too many requests',
  INTERNAL: 'The registry failed',
  NOT_READY: 'The registry is not ready',
};

/** The prefix of all problem types, by which a program on a port is recognised as a registry even when it refuses. */
export const PROBLEM_URN = 'urn:rollcall:problem:';

export function problemDocument(problem: Problem): ProblemDocument {
  const { code, flaws, ...rest } = problem;
  const detail = withoutTokens(problem.detail);
  const document = {
    type: `${PROBLEM_URN}${code}`,
    title: TITLES[code],
    status: PROBLEMS[code],
    code,
    ...rest,
    detail,
  };
  return flaws === undefined ? document : { ...document, flaws: flaws.map(flawWithoutTokens) };
}

/** Clients log refusals, so a token sent in the wrong place must not be repeated. */
function flawWithoutTokens({ path, received, allowed }: Flaw): Flaw {
  return { path: withoutTokens(path), received: withoutTokens(received), allowed };
}

/** The headers of a refusal. */
export function problemHeaders({ code, retryAfterMs }: Problem): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': MEDIA_TYPE };
  if (PROBLEMS[code] === 401) headers['www-authenticate'] = 'Bearer';
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  return headers;
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const document = problemDocument(problem);
  return reply.code(document.status).headers(problemHeaders(problem)).send(document);
}

/** A complete HTTP response for a request that could not be parsed. */
export function rawProblem(problem: Problem, more: Readonly<Record<string, string>> = {}): string {
  const { status, title } = problemDocument(problem);
  const body = JSON.stringify(problemDocument(problem));
  const length = String(Buffer.byteLength(body));
  const own = { 'content-type': MEDIA_TYPE, 'content-length': length };
  const headers = { ...own, ...more, ...SECURITY_HEADERS, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} ${title}\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** Sends the outcome of the engine; `null` has no body. */
export function sendOutcome(reply: FastifyReply, status: number, outcome: Outcome<unknown>): FastifyReply {
  if (!outcome.ok) return sendProblem(reply, outcome.problem);
  reply.code(status);
  return outcome.value === null ? reply.send() : reply.send(outcome.value);
}

/** The problem for one invalid part of a path, a query or a header. */
export function flawed(path: string, received: string, allowed: string): Problem {
  return {
    code: 'INVALID',
    detail: `${path} is not valid.`,
    fix: `Send ${path} as ${allowed}.`,
    flaws: [{ path, received: shown(received), allowed }],
  };
}

export function unknownRoute(method: string, url: string): Problem {
  return {
    code: 'NOT_FOUND',
    detail: `No such route: ${method} ${shown(pathOf(url))}.`,
    fix: 'GET /openapi.json lists every route.',
  };
}

export function wrongMethod(method: string, url: string, allowed: readonly string[]): Problem {
  return {
    code: 'METHOD_NOT_ALLOWED',
    detail: `${shown(pathOf(url))} does not take ${method}.`,
    fix: `Use ${allowed.join(' or ')}.`,
  };
}

/**
 * Maps an error of Fastify, Node or a handler to a problem. Null: a fault of the registry, which is logged and not
 * answered.
 */
export function problemOfError(error: unknown): Problem | null {
  if (error instanceof RefusedBody) return error.problem;
  const known = THROWN[codeOf(error)];
  if (known !== undefined) return known;
  const isTheirs = statusOf(error) >= 400 && statusOf(error) < 500;
  return isTheirs ? UNREADABLE : null;
}

/** Maps an error during `what` to a refusal; a fault of the registry is only logged. */
export function problemOfThrown(error: unknown, what: string, log: Log): Problem {
  const problem = problemOfError(error);
  if (problem !== null) return problem;
  log.error(`${what} failed: ${error instanceof Error ? error.stack : String(error)}`);
  return FAILED;
}

const FAILED: Problem = {
  code: 'INTERNAL',
  detail: 'The registry failed to process this request; its log says why.',
  fix: 'Try again; if it persists, report the line of the log.',
};

export const UNREADABLE: Problem = {
  code: 'INVALID',
  detail: 'The request could not be read.',
  fix: 'Send a complete HTTP request; GET /openapi.json shows each one.',
};

/** By the codes of Node, Fastify and the body parser. */
const THROWN: Readonly<Record<string, Problem>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'TOO_LARGE',
    detail: 'The body has more than 16 KiB.',
    fix: 'Send less: a registration, with all its metadata, fits into 16 KiB.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'UNSUPPORTED_MEDIA_TYPE',
    detail: 'A body is read only as JSON.',
    fix: 'Send the header `Content-Type: application/json`.',
  },
  FST_ERR_MAX_PARAM_LENGTH: {
    ...UNREADABLE,
    detail: 'A name or id in the path has more than 128 characters.',
    fix: 'Send it as it was registered.',
  },
  FST_ERR_BAD_URL: {
    ...UNREADABLE,
    detail: 'The path could not be decoded.',
    fix: 'Percent-encode the path as UTF-8.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    code: 'TOO_SLOW',
    detail: 'The headers have not come within 5 s, or not all of the request within 10 s.',
    fix: 'Send the whole request at once.',
  },
  HPE_HEADER_OVERFLOW: {
    code: 'TOO_LARGE',
    detail: 'The headers, with the address, have more than 16 KiB.',
    fix: 'Send less: `service=*` watches everything without naming it.',
  },
};

/** The error by which the body parser refuses, as Fastify accepts only errors. */
export class RefusedBody extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

function statusOf(error: unknown): number {
  return typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}

/** Short and printable, as this repeats input of clients. */
function shown(text: string): string {
  const printable = text.replaceAll(/[^\x20-\x7e]/g, '?');
  return printable.length <= 100 ? printable : `${printable.slice(0, 99)}…`;
}
