import type { FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { codingOf, MIN_CODED_BYTES } from './content-coding.js';
import { JSON_TYPE } from './problem.js';

/** gzip level: a tenth of the size in 4 ms per MB, about what building the JSON takes. */
const LEVEL = 4;

/** The text of an answer and its encodings, each built once: one text may be sent thousands of times. */
export class AnswerText {
  readonly text: string;
  #tag: string | null = null;
  #gzip: Buffer | null = null;

  constructor(text: string) {
    this.text = text;
  }

  /** The `ETag` of the content, independent of its encoding. */
  get tag(): string {
    this.#tag ??= `W/"${createHash('sha1').update(this.text).digest('base64url')}"`;
    return this.#tag;
  }

  get gzip(): Buffer {
    this.#gzip ??= gzipSync(this.text, { level: LEVEL });
    return this.#gzip;
  }

  /** Approximate memory, in bytes and characters. */
  get size(): number {
    return this.text.length + (this.#gzip?.length ?? 0);
  }
}

/**
 * The payload of a successful answer to a GET: nothing (304) if the client has it already, gzip on request, else the
 * text. JSON has an `ETag`. Sets headers and status of `reply`.
 */
function payloadOf(request: FastifyRequest, reply: FastifyReply, answer: AnswerText): string | Buffer | null {
  void reply.header('vary', 'accept-encoding');
  if (String(reply.getHeader('content-type')).startsWith('application/json')) {
    void reply.header('etag', answer.tag);
    if (holds(request.headers['if-none-match'], answer.tag)) {
      void reply.code(304).removeHeader('content-type');
      return null;
    }
  }
  if (answer.text.length < MIN_CODED_BYTES || codingOf(request.headers['accept-encoding']) === 'identity')
    return answer.text;
  void reply.header('content-encoding', 'gzip');
  return answer.gzip;
}

const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');

/** Uses the weak comparison (RFC 9110, 13.1.2). */
function holds(tags: string | undefined, tag: string): boolean {
  if (tags === undefined) return false;
  return tags.trim() === '*' || tags.split(',').some((one) => opaque(one) === opaque(tag));
}

/** As `reply.send`, for a JSON text shared by several answers. */
export function sendShared(request: FastifyRequest, reply: FastifyReply, answer: AnswerText): FastifyReply {
  void reply.type(JSON_TYPE);
  return reply.send(payloadOf(request, reply, answer));
}

/** The hook `onSend` of Fastify: encodes text answers to GET as requested. Add it before hooks that count bytes. */
export const codingHook: onSendHookHandler = (request, reply, payload, done) => {
  const isDone = reply.hasHeader('etag') || reply.hasHeader('content-encoding');
  if (typeof payload !== 'string' || request.method !== 'GET' || reply.statusCode !== 200 || isDone) {
    done(null, payload);
    return;
  }
  done(null, payloadOf(request, reply, new AnswerText(payload)));
};
