import type { Log, Time } from '@rollcall/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { peerOf } from '../exchange/request.js';

/** Behind one that is not answered yet, so many may come over the same connection: more than any client needs. */
const MOST_BEHIND = 32;

/**
 * Who sends requests over one connection without waiting for the answers (pipelining, RFC 9112, section 9.3.2) gets them one after another:
 * one piece of a network's read may hold thousands, and a connection whose peer takes no answer would have them all made, and kept.
 */
export class Pipelines {
  readonly #seldom: ThrottledLog;
  /** What waits behind a request that is not answered; a connection with none such is not in it. */
  readonly #behind = new WeakMap<Socket, (() => void)[]>();

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#seldom = new ThrottledLog(ports);
  }

  /** `first` is called now where nothing on its connection is unanswered; else `later`, when everything before it is. */
  enter(request: IncomingMessage, response: ServerResponse, first: () => void, later: () => void): void {
    const { socket } = request;
    const behind = this.#behind.get(socket);
    if (behind === undefined) {
      this.#behind.set(socket, []);
      this.#follow(socket, response);
      first();
      return;
    }
    if (behind.length < MOST_BEHIND) {
      behind.push(() => {
        this.#follow(socket, response);
        later();
      });
      return;
    }
    if (socket.destroyed) return;
    stopReading(socket);
    this.#seldom.warn(
      `${peerOf(request).address} sends more than ${MOST_BEHIND} requests over one connection without waiting for answers: it is closed.`,
    );
    socket.destroy();
  }

  #follow(socket: Socket, response: ServerResponse): void {
    response.once('close', () => {
      const next = this.#behind.get(socket)?.shift();
      // behind an answer with `connection: close` nothing is answered, so nothing is to be done
      if (next !== undefined && socket.writable) next();
      else this.#behind.delete(socket);
    });
  }
}

/**
 * Node reads on what has come in one piece though its connection is destroyed: thousands of requests, and an error for each. No public way
 * stops its parser; that an upgrade begins does (`onIncoming` of lib/_http_server.js says so by 2). Without such a parser it costs its time.
 */
function stopReading(socket: Socket): void {
  const parser: unknown = Reflect.get(socket, 'parser');
  if (typeof parser === 'object' && parser !== null && 'onIncoming' in parser) parser.onIncoming = () => UPGRADES;
}

const UPGRADES = 2;
