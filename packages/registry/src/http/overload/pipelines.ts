import type { Log, Time } from '@rollcall/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { peerOf } from '../exchange/request.js';

/** Maximum of requests behind an unanswered one on the same connection: more than any client needs. */
const MAX_BEHIND = 32;

/**
 * Serializes pipelined requests (RFC 9112, section 9.3.2) of a connection: a single network read may hold thousands,
 * and a peer that reads no answers would make the registry build and keep all of the answers.
 */
export class Pipelines {
  readonly #log: ThrottledLog;
  /** Requests that wait behind an unanswered one; connections without one are absent. */
  readonly #behind = new WeakMap<Socket, (() => void)[]>();

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#log = new ThrottledLog(ports);
  }

  /** Calls `first` now if the connection has no unanswered request; else `later`, once all before it are answered. */
  enter(request: IncomingMessage, response: ServerResponse, first: () => void, later: () => void): void {
    const { socket } = request;
    const behind = this.#behind.get(socket);
    if (behind === undefined) {
      this.#behind.set(socket, []);
      this.#follow(socket, response);
      first();
      return;
    }
    if (behind.length < MAX_BEHIND) {
      behind.push(() => {
        this.#follow(socket, response);
        later();
      });
      return;
    }
    if (socket.destroyed) return;
    stopReading(socket);
    this.#log.warn(
      `${peerOf(request).address} sends more than ${MAX_BEHIND} requests over one connection without waiting for answers: it is closed.`,
    );
    socket.destroy();
  }

  #follow(socket: Socket, response: ServerResponse): void {
    response.once('close', () => {
      const next = this.#behind.get(socket)?.shift();
      // after an answer with `connection: close` no further request is answered, so none is processed
      if (next !== undefined && socket.writable) next();
      else this.#behind.delete(socket);
    });
  }
}

/**
 * Stops the parser of a destroyed connection: Node would go on with what arrived in one piece, thousands of requests
 * with an error each. There is no public way; the start of an upgrade stops it (`onIncoming` of lib/_http_server.js
 * returns 2). Without such a parser this has no effect.
 */
function stopReading(socket: Socket): void {
  const parser: unknown = Reflect.get(socket, 'parser');
  if (typeof parser === 'object' && parser !== null && 'onIncoming' in parser) parser.onIncoming = () => UPGRADES;
}

const UPGRADES = 2;
