import type { Log, Time } from '@rollcall/core';
import type { FastifyReply, onSendHookHandler } from 'fastify';
import type { ServerResponse } from 'node:http';
import { Seldom } from '../seldom.js';
import { peerOf } from './request.js';

/** All that is not taken together, bytes: some seven answers with a service of 2,000 instances, whose metadata are as long as may be. */
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
 * Answers that are made and not yet taken by those who asked, which fill the memory. When they are too much, those that wait longest are
 * cut: whoever reads is done in a moment. (Streams have their own bound, see the feed.)
 */
export class Unread {
  readonly #seldom: Seldom;
  readonly #time: Pick<Time, 'now'>;
  /** The oldest first. */
  readonly #answers = new Map<ServerResponse, { readonly bytes: number; readonly address: string }>();
  #bytes = 0;
  /** Those that may be under way, the oldest first. */
  readonly #long: LongAnswer[] = [];

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#seldom = new Seldom(ports);
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
      this.#hold(reply, payload.length, peerOf(request).address);
    }
    done(null, payload);
  };

  #hold({ raw }: FastifyReply, bytes: number, address: string): void {
    if (raw.destroyed) return;
    this.#bytes += bytes;
    this.#answers.set(raw, { bytes, address });
    if (bytes >= LONG) this.#long.push({ since: this.#time.now(), bytes, response: raw });
    raw.once('close', () => {
      if (this.#answers.delete(raw)) this.#bytes -= bytes;
    });
    for (const [oldest, of] of this.#answers) {
      if (this.#bytes <= MOST_UNREAD || oldest === raw) return;
      this.#answers.delete(oldest);
      this.#bytes -= of.bytes;
      this.#seldom.warn(
        `More than ${MOST_UNREAD / 1_048_576} MiB of answers wait to be read: those that wait longest are cut, now one to ${of.address}.`,
      );
      oldest.socket?.destroy();
    }
  }
}
