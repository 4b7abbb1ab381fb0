import type { Log, Time } from '@rollcall/core';
import type { FastifyReply, onSendHookHandler } from 'fastify';
import type { ServerResponse } from 'node:http';
import { sourceOf } from '../../instances/quotas.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { peerOf } from '../exchange/request.js';

/**
 * Maximum of unread answers in all, in units of their lengths: about seven answers of a service with 2,000 instances
 * and maximum metadata.
 */
const MAX_UNREAD = 64 * 1_048_576;
/** Answers from this length on take many turns of the event loop to write. */
const LONG_FROM = 65_536;
/** Maximum of bytes of long answers under way at a time: a few milliseconds per turn. */
const MAX_UNDER_WAY = 8 * 1_048_576;
/** An answer not read after this many ms is read slowly, which costs no time. */
const SLOW_MS = 200;

interface LongAnswer {
  readonly since: number;
  readonly bytes: number;
  readonly response: ServerResponse;
}

/**
 * Limits the memory of answers that clients have not read yet. Beyond the limit it cuts the oldest one of the source
 * with the most unread bytes. (Streams have their own limit, see the feed.)
 */
export class Unread {
  readonly #log: ThrottledLog;
  readonly #time: Pick<Time, 'now'>;
  /** Oldest first. */
  readonly #answers = new Map<ServerResponse, { readonly bytes: number; readonly source: string }>();
  readonly #bySource = new Map<string, number>();
  #bytes = 0;
  /** Long answers that may be under way, oldest first. */
  readonly #long: LongAnswer[] = [];

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#log = new ThrottledLog(ports);
    this.#time = ports.time;
  }

  /** True while so much is written that other requests are delayed: then no further long answer should begin. */
  readonly isBusy = (): boolean => {
    const now = this.#time.now();
    const isOver = ({ response, since }: LongAnswer): boolean => response.closed || now - since > SLOW_MS;
    while (this.#long[0] !== undefined && isOver(this.#long[0])) this.#long.shift();
    let bytes = 0;
    for (const one of this.#long) if (!isOver(one)) bytes += one.bytes;
    return bytes > MAX_UNDER_WAY;
  };

  /** The hook `onSend` of Fastify. */
  readonly hook: onSendHookHandler = (request, reply, payload, done) => {
    if (typeof payload === 'string' || payload instanceof Uint8Array) {
      this.#add(reply, payload.length, sourceOf(peerOf(request).address));
    }
    done(null, payload);
  };

  #add({ raw }: FastifyReply, bytes: number, source: string): void {
    // a response without a socket (its connection has ended) emits no `close`
    if (raw.destroyed || raw.socket === null) return;
    this.#answers.set(raw, { bytes, source });
    this.#count(source, bytes);
    if (bytes >= LONG_FROM) this.#long.push({ since: this.#time.now(), bytes, response: raw });
    raw.once('close', () => this.#release(raw));
    while (this.#bytes > MAX_UNREAD && this.#answers.size > 1 && this.#cut()) continue;
  }

  #release(response: ServerResponse): void {
    const held = this.#answers.get(response);
    if (held === undefined) return;
    this.#answers.delete(response);
    this.#count(held.source, -held.bytes);
  }

  #count(source: string, bytes: number): void {
    this.#bytes += bytes;
    const left = (this.#bySource.get(source) ?? 0) + bytes;
    if (left === 0) this.#bySource.delete(source);
    else this.#bySource.set(source, left);
  }

  /** Cuts an answer; false if there is none to cut. */
  #cut(): boolean {
    let max = 0;
    for (const bytes of this.#bySource.values()) max = Math.max(max, bytes);
    for (const [response, { source }] of this.#answers) {
      if (this.#bySource.get(source) !== max) continue;
      this.#release(response);
      this.#log.warn(
        `More than ${MAX_UNREAD / 1_048_576} MiB of answers wait to be read: those that wait longest are cut, now one to ${source}.`,
      );
      response.socket?.destroy();
      return true;
    }
    return false;
  }
}
