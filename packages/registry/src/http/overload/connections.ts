import type { Log, Time } from '@rollcall/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { sourceOf } from '../../instances/quotas.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { Handshakes } from '../access/handshakes.js';
import { peerOf } from '../exchange/request.js';

/** A crowd that has shrunk to no less than this is still taken for the largest: to look costs as many steps as there are sources. */
const SAME_RATIO = 0.875;

export interface ConnectionsOptions {
  readonly time: Time;
  readonly log: Log;
  /** So many may be open, ≥ 1; Infinity: as many as come. */
  readonly most: number;
  /** They are over TLS: then each has two sockets, of which requests know the second. Default false. */
  readonly isSecure?: boolean;
}

/** One connection that was accepted. */
interface Visit {
  readonly socket: Socket;
  readonly source: string;
  /** Requests that are here as a whole and not yet answered: streams, too. */
  underWay: number;
  isOpen: boolean;
}

/**
 * Who is connected. Each connection is an open file, and whoever opens one and says nothing takes it from those who would beat. So when
 * all are taken, each newcomer takes the place of a connection that waits: one on which no request, or only a part of one, has come since
 * it was opened or answered. Of the source that has most of those it is the one that waits longest: a crowd that sends nothing, byte by
 * byte, or bodies that never end, shuts out none but itself. Who has been asked something is never closed here; how many streams there may
 * be is limited elsewhere (`Audience`), and a newcomer that finds nobody waiting comes in on top of `most`.
 */
export class Connections {
  readonly #most: number;
  readonly #seldom: ThrottledLog;
  /** Null: over no TLS. */
  readonly #handshakes: Handshakes<Visit> | null;
  readonly #visits = new WeakMap<Socket, Visit>();
  /** Who waits, by source: the one that waits longest first. */
  readonly #waiting = new Map<string, Set<Visit>>();
  /** Which source had most of those that wait, and how many: looked for again when it has clearly fewer. */
  #heaviest = { source: '', size: 0 };
  #count = 0;

  constructor({ time, log, most, isSecure = false }: ConnectionsOptions) {
    this.#most = most;
    this.#seldom = new ThrottledLog({ time, log });
    this.#handshakes = isSecure ? new Handshakes() : null;
  }

  /** Before the server listens. */
  follow(server: Server): void {
    if (this.#most === Infinity) return;
    server.on('connection', (socket: Socket) => this.#enter(socket));
    server.on('secureConnection', (secure: Socket) => this.#secured(secure));
    server.prependListener('request', (request, response) => this.#asked(request, response));
  }

  #enter(socket: Socket): void {
    while (this.#count >= this.#most && this.#makeRoom()) continue;
    const visit = { socket, source: sourceOf(peerOf({ socket }).address), underWay: 0, isOpen: true };
    this.#count += 1;
    this.#visits.set(socket, visit);
    this.#handshakes?.begin(socket, visit);
    this.#wait(visit);
    socket.once('close', () => this.#leave(visit));
  }

  /** Once, though its socket may say later that it has closed. */
  #leave(visit: Visit): void {
    if (!visit.isOpen) return;
    visit.isOpen = false;
    this.#count -= 1;
    this.#stopWaiting(visit);
  }

  #secured(secure: Socket): void {
    const visit = this.#handshakes?.finish(secure) ?? null;
    if (visit !== null) this.#visits.set(secure, visit);
  }

  /** Its headers are here: from when its body is, too, until it is answered, the connection does not wait. */
  #asked(request: IncomingMessage, response: ServerResponse): void {
    const visit = this.#visits.get(request.socket);
    if (visit === undefined) return;
    let isUnderWay = false;
    let isOver = false;
    const begin = (): void => {
      if (isOver || !visit.isOpen) return;
      isUnderWay = true;
      visit.underWay += 1;
      this.#stopWaiting(visit);
    };
    if (hasBody(request)) request.once('end', begin);
    else begin();
    response.once('close', () => {
      isOver = true;
      if (isUnderWay) visit.underWay -= 1;
      if (visit.underWay === 0 && visit.isOpen) this.#wait(visit);
    });
  }

  /** Behind all others of its source. */
  #wait(visit: Visit): void {
    const { source } = visit;
    const crowd = this.#waiting.get(source) ?? new Set();
    this.#waiting.set(source, crowd);
    crowd.delete(visit);
    crowd.add(visit);
    if (crowd.size >= this.#heaviest.size) this.#heaviest = { source, size: crowd.size };
  }

  #stopWaiting(visit: Visit): void {
    const crowd = this.#waiting.get(visit.source);
    if (crowd?.delete(visit) === true && crowd.size === 0) this.#waiting.delete(visit.source);
  }

  /** False: nobody waits. */
  #makeRoom(): boolean {
    const [oldest] = this.#largest();
    if (oldest === undefined) return false;
    this.#leave(oldest);
    oldest.socket.destroy();
    this.#seldom.warn(
      `The registry has ${this.#most} connections, all that it may: it closes those that ask nothing, first of ${oldest.source}. ` +
        'Allow it more open files (ulimit -n), or find out who opens them.',
    );
    return true;
  }

  #largest(): ReadonlySet<Visit> {
    const { source, size } = this.#heaviest;
    const known = this.#waiting.get(source);
    if (known !== undefined && known.size >= size * SAME_RATIO) return known;
    let largest: ReadonlySet<Visit> = new Set();
    this.#heaviest = { source: '', size: 0 };
    for (const [of, crowd] of this.#waiting) {
      if (crowd.size <= largest.size) continue;
      largest = crowd;
      this.#heaviest = { source: of, size: crowd.size };
    }
    return largest;
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
