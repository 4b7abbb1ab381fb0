import { RollcallError } from '@rollcall/core';

const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
/** Headers of the connection, which the client sets itself. */
const CONNECTION_HEADERS = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers as they are typed: `name: value`. Throws OPTION_INVALID, also for a message over TCP, which has no headers. A
 * value is never repeated in an error: it may be a secret.
 */
export function parseHeaders(typed: readonly string[], isHttp: boolean): Headers {
  if (typed.length > 0 && !isHttp) {
    const text = '--header is for requests over HTTP (METHOD /path): a Nest message over TCP carries no headers.';
    throw new RollcallError('OPTION_INVALID', text);
  }
  const headers = new Headers();
  for (const line of typed) {
    const [, name = '', value = ''] = HEADER.exec(line) ?? [];
    if (name === '') throw invalidHeader("write it as --header 'name: value', the value in Latin-1 and on one line");
    if (CONNECTION_HEADERS.has(name.toLowerCase())) throw invalidHeader(`${name} is set by the connection itself`);
    headers.append(name, value);
  }
  return headers;
}

const invalidHeader = (why: string): RollcallError =>
  new RollcallError('OPTION_INVALID', `A header cannot be sent: ${why}.`);

/** A body is JSON unless a header declares another type. */
export function requestInit(method: string, body: string | null, headers: Headers): RequestInit {
  if (body !== null && !headers.has('content-type')) headers.set('content-type', 'application/json');
  // a redirect is shown, not followed
  return { method, headers, redirect: 'manual', ...(body === null ? {} : { body }) };
}
