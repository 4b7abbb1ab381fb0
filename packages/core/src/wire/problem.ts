import type { Reason } from '../lifecycle/reason.js';
import { integer, list, openEnum, text } from '../options/kinds.js';
import type { Flaw, Message } from '../options/schema.js';
import { message, optional, required } from '../options/schema.js';
import { printableText } from '../runtime/redact.js';
import { reasonMessage } from './protocol.js';

/** The stable codes of RFC 9457 problem documents, each with its HTTP status. */
export const PROBLEMS = {
  INVALID: 400,
  UNAUTHORIZED: 401,
  TOKEN_LAPSED: 401,
  CERTIFICATE_UNTRUSTED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  TOO_SLOW: 408,
  ID_HELD: 409,
  LEAVING: 409,
  ADDRESS_TAKEN: 409,
  ENDED: 410,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  MISDIRECTED: 421,
  ADDRESS_NOT_ALLOWED: 422,
  TOO_MANY: 429,
  INTERNAL: 500,
  NOT_READY: 503,
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** A refusal of the registry; the HTTP layer adds `type`, `title` and `status` (RFC 9457). */
export interface Problem {
  readonly code: ProblemCode;
  /** The problem and its cause, as one plain sentence. */
  readonly detail: string;
  /** What to do. */
  readonly fix: string;
  readonly flaws?: readonly Flaw[];
  readonly retryAfterMs?: number;
  /** With `NOT_FOUND`: why the instance was removed, if known. */
  readonly reason?: Reason;
}

/** A refusal on the wire, `application/problem+json`. */
export interface ProblemDocument extends Problem {
  /** A URI reference that identifies the kind of problem. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
}

const CODES = Object.keys(PROBLEMS) as ProblemCode[];

export const flawMessage: Message<Flaw> = message<Flaw>('Flaw', 'One flaw of a message.', {
  path: required(text({ max: 1_000, allowed: 'text' }), 'where: `endpoints[0].port`; empty for the whole message'),
  received: required(text({ max: 200, allowed: 'text' }), 'what was received, shortened and printable'),
  allowed: required(text({ max: 1_000, allowed: 'text' }), 'what is allowed'),
});

const fields = {
  code: required(openEnum(CODES), 'a stable code for programs'),
  detail: required(text({ max: 4_000, allowed: 'text' }), 'the problem and its cause, one plain sentence'),
  fix: required(text({ max: 4_000, allowed: 'text' }), 'the fix'),
  flaws: optional(list(flawMessage, 0, 100), 'with `INVALID`: each flaw, at most 10'),
  retryAfterMs: optional(integer(0, 86_400_000), 'when to retry, in ms; the `Retry-After` header has it in seconds'),
  reason: optional(reasonMessage, 'with `NOT_FOUND`: why the instance was removed, if known'),
};

const problemMessage = message<Problem>('Problem', 'A refusal.', fields);

export const problemDocumentMessage: Message<ProblemDocument> = message<ProblemDocument>(
  'ProblemDocument',
  'A refusal in the format of RFC 9457: `application/problem+json`.',
  {
    type: required(text({ max: 500, allowed: 'URI reference' }), 'identifies the kind of problem'),
    title: required(text({ max: 500, allowed: 'text' }), 'the kind of problem as text'),
    status: required(integer(400, 599), 'the HTTP status'),
    ...fields,
  },
);

/**
 * The maximum length of `detail` and `fix`; longer texts are truncated. Those of the registry are shorter unless they list very many
 * services.
 */
const MAX_SENTENCE = 2_000;
const MAX_FLAWS = 10;
const MAX_PATH = 200;
const MAX_RECEIVED = 100;

/** An answer that may not come from a registry. */
export interface ReceivedAnswer {
  readonly status: number;
  /** Its content-type; empty if it has none. */
  readonly type: string;
  readonly text: string;
}

/** The maximum number of shown characters of such an answer. */
const MAX_EXCERPT = 80;

/** A description of the answer for logs, printable and truncated: `status 404, text/html, beginning with "<!DOCTYPE html> <html>…"`. */
export function answerText(answer: ReceivedAnswer): string {
  const { status, type } = answer;
  const named = type === '' ? 'no content-type' : printableText(type, MAX_EXCERPT);
  const start = answer.text.slice(0, MAX_SENTENCE).replaceAll(/\s+/g, ' ').trim();
  const shown = start === '' ? 'empty' : `beginning with "${printableText(start, MAX_EXCERPT)}"`;
  return `status ${status}, ${named}, ${shown}`;
}

/**
 * The problem in an unsuccessful answer, with printable, truncated texts, since they are logged. Never throws: if the body is not a problem
 * document (a proxy, another program), the code follows from the status and `detail` describes the answer; an unknown code of a newer
 * registry becomes the one of its status.
 */
export function problemFrom(status: number, body: unknown, answer: Partial<ReceivedAnswer> = {}): Problem {
  const read = problemMessage.parse(body);
  if (read.ok) return printableProblem(read.value, status);
  return {
    code: codeOf(status),
    detail: `The answer is not a problem document, so it may not come from a registry: ${receivedText(status, answer)}.`,
    fix: 'Check that the address is that of a registry and that no proxy answers in its place.',
  };
}

function printableProblem({ code, detail, fix, flaws, ...rest }: Problem, status: number): Problem {
  return {
    ...rest,
    code: Object.hasOwn(PROBLEMS, code) ? code : codeOf(status),
    detail: printableText(detail, MAX_SENTENCE),
    fix: printableText(fix, MAX_SENTENCE),
    ...(flaws === undefined ? {} : { flaws: flaws.slice(0, MAX_FLAWS).map(printableFlaw) }),
  };
}

function printableFlaw({ path, received, allowed }: Flaw): Flaw {
  return {
    path: printableText(path, MAX_PATH),
    received: printableText(received, MAX_RECEIVED),
    allowed: printableText(allowed),
  };
}

function receivedText(status: number, { type, text: body }: Partial<ReceivedAnswer>): string {
  return type === undefined || body === undefined ? `status ${status}` : answerText({ status, type, text: body });
}

function codeOf(status: number): ProblemCode {
  if (status === 502 || status === 504) return 'NOT_READY';
  return CODES.find((code) => PROBLEMS[code] === status) ?? (status >= 500 ? 'INTERNAL' : 'INVALID');
}
