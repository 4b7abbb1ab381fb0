import type { Log, Time } from '@rollcall/core';
import type { FastifyReply, onSendHookHandler } from 'fastify';
import type { ServerResponse } from 'node:http';
import { sourceOf } from '../../instances/quotas.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { peerOf } from '../exchange/request.js';

/** All that is not taken together, in the units of their lengths: some seven answers with a service of 2,000 instances, whose metadata are as long as may be. */
const MOST_UNREAD = 64 * 1_048_576;
/** Answers from this length on are handed over in many turns of the event loop. */
const LONG = 65_536;
/** So much of those is handed over at a time, bytes: a few milliseconds of a turn. */
const MOST_UNDER_WAY = 8 * 1_048_576;
/** Whoever has not taken one by now takes it slowly, which costs no time. */
const SLOW_MS = 200;

interface LongAnswer {
  readonly since: number;
  readonly bytes: number;
  readonly response: ServerResponse;
}

/**
 * Answers that are made and not yet taken by those who asked, which fill the memory. When they are too much, the one is cut that waits
 * longest of the source that has most of them. (Streams have their own bound, see the feed.)
 */
export class Unread {
  readonly #seldom: ThrottledLog;
  readonly #time: Pick<Time, 'now'>;
  /** The oldest first. */
  readonly #answers = new Map<ServerResponse, { readonly bytes: number; readonly source: string }>();
  readonly #bySource = new Map<string, number>();
  #bytes = 0;
  /** Those that may be under way, the oldest first. */
  readonly #long: LongAnswer[] = [];

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#seldom = new ThrottledLog(ports);
    this.#time = ports.time;
  }

  /** Is so much being handed over that everybody else waits? Then no other answer should be begun. */
  readonly isBusy = (): boolean => {
    const now = this.#time.now();
    const isOver = ({ response, since }: LongAnswer): boolean => response.closed || now - since > SLOW_MS;
    while (this.#long[0] !== undefined && isOver(this.#long[0])) this.#long.shift();
    let bytes = 0;
    for (const one of this.#long) if (!isOver(one)) bytes += one.bytes;
    return bytes > MOST_UNDER_WAY;
  };

  /** A hook of Fastify's. */
  readonly hook: onSendHookHandler = (request, reply, payload, done) => {
    if (typeof payload === 'string' || payload instanceof Uint8Array) {
      this.#hold(reply, payload.length, sourceOf(peerOf(request).address));
    }
    done(null, payload);
  };

  #hold({ raw }: FastifyReply, bytes: number, source: string): void {
    // what has no socket (its connection is over) is never told that it is closed
    if (raw.destroyed || raw.socket === null) return;
    this.#answers.set(raw, { bytes, source });
    this.#count(source, bytes);
    if (bytes >= LONG) this.#long.push({ since: this.#time.now(), bytes, response: raw });
    raw.once('close', () => this.#release(raw));
    while (this.#bytes > MOST_UNREAD && this.#answers.size > 1 && this.#cut()) continue;
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

  /** False: there is none to cut. */
  #cut(): boolean {
    let most = 0;
    for (const bytes of this.#bySource.values()) most = Math.max(most, bytes);
    for (const [response, { source }] of this.#answers) {
      if (this.#bySource.get(source) !== most) continue;
      this.#release(response);
      this.#seldom.warn(
        `More than ${MOST_UNREAD / 1_048_576} MiB of answers wait to be read: those that wait longest are cut, now one to ${source}.`,
      );
      response.socket?.destroy();
      return true;
    }
    return false;
  }
}
