import type { Flaw, Message, Problem } from '@rollcall/core';
import type { FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import type { Outcome } from '../../registry-api.js';
import { RefusedBody } from './problem.js';

/** Maximum size of a request body, bytes: a whole registration fits. */
export const BODY_LIMIT = 16 * 1024;

const UTF_8 = new TextDecoder('utf-8', { fatal: true });
/** Keys that reach the prototype of an object when it is copied carelessly. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);
/** A cheap pre-check without false negatives: such a key is written out or contains an escape. */
const SUSPICIOUS = /__proto__|constructor|prototype|\\u/;
/** Maximum length of a path in an answer. */
const MAX_PATH = 100;

/** Fastify's parser for `application/json`. */
export function parseBody(
  { headers }: Pick<FastifyRequest, 'headers'>,
  bytes: Buffer,
  done: (error: Error | null, body?: unknown) => void,
): void {
  const unread = unreadableBy(headers);
  const parsed: Outcome<unknown> = unread === null ? readBody(bytes) : { ok: false, problem: unread };
  if (parsed.ok) done(null, parsed.value);
  else done(new RefusedBody(parsed.problem));
}

const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]*)/i;
/** Charsets that are UTF-8 or a subset of it. */
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii']);

/** Returns a problem if the headers would let another program decode the JSON body differently; otherwise null. */
function unreadableBy({
  'content-type': type = '',
  'content-encoding': encoding,
}: IncomingHttpHeaders): Problem | null {
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return ENCODED;
  const charset = CHARSET.exec(type)?.[1]?.toLowerCase() ?? 'utf-8';
  return CHARSETS.has(charset) ? null : NOT_UTF_8;
}

const ENCODED: Problem = {
  code: 'UNSUPPORTED_MEDIA_TYPE',
  detail: 'A body must be neither compressed nor encoded otherwise.',
  fix: 'Send the JSON itself, without the header `Content-Encoding`.',
};

const NOT_UTF_8: Problem = {
  code: 'UNSUPPORTED_MEDIA_TYPE',
  detail: 'A body is read only in UTF-8.',
  fix: 'Send UTF-8, with the header `Content-Type: application/json`.',
};

/** Parses a JSON body. An empty body is `undefined`, which the messages accept or reject. */
export function readBody(bytes: Buffer): Outcome<unknown> {
  if (bytes.length === 0) return { ok: true, value: undefined };
  let text: string;
  let value: unknown;
  try {
    text = UTF_8.decode(bytes);
  } catch {
    const flaw = { path: '', received: 'other bytes', allowed: 'UTF-8' };
    return refused('The body is not valid UTF-8.', 'Send JSON encoded as UTF-8.', flaw);
  }
  try {
    value = JSON.parse(text);
  } catch {
    const flaw = { path: '', received: 'another text', allowed: 'one JSON object' };
    return refused('The body is not valid JSON.', 'Send one complete JSON object.', flaw);
  }
  const path = SUSPICIOUS.test(text) ? forbiddenIn(value) : null;
  if (path === null) return { ok: true, value };
  return refused('The body has a key that is refused everywhere.', 'Leave that key out.', {
    path: path.length <= MAX_PATH ? path : `…${path.slice(-MAX_PATH)}`,
    received: 'this key',
    allowed: `any key but ${[...FORBIDDEN].join(', ')}`,
  });
}

/** Validates a body as a message of the wire. */
export function bodyOf<Value>(message: Message<Value>, body: unknown): Outcome<Value> {
  const parsed = message.parse(body);
  if (parsed.ok) return parsed;
  return {
    ok: false,
    problem: {
      code: 'INVALID',
      detail: `The body is not a valid ${message.name}.`,
      fix: 'Correct what `flaws` lists; nothing was stored.',
      flaws: parsed.problem,
    },
  };
}

/** The path of the first forbidden key, at any depth. Iterative, as 16 KiB can nest 16,000 levels. */
function forbiddenIn(body: unknown): string | null {
  const todo: { readonly value: unknown; readonly path: string }[] = [{ value: body, path: '' }];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { value, path } = next;
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      const here = Array.isArray(value) ? `${path}[${key}]` : `${path}${path === '' ? '' : '.'}${key}`;
      if (FORBIDDEN.has(key)) return here;
      todo.push({ value: inner, path: here });
    }
  }
  return null;
}

function refused(detail: string, fix: string, flaw: Flaw): Outcome<never> {
  return { ok: false, problem: { code: 'INVALID', detail, fix, flaws: [flaw] } };
}
