import type { Log, Problem, Time } from '@rollcall/core';
import type { FastifyInstance } from 'fastify';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { sourceOf } from '../quota.js';
import { Seldom } from '../seldom.js';
import { refuse } from './beat.js';
import type { ShortWay } from './beat.js';
import type { RegistryMetrics } from './registry-metrics.js';
import { peerOf } from './request.js';

/**
 * So many are begun in one turn of the event loop, a millisecond of work; then whoever beats is heard. Few, because Node takes in one new
 * connection a turn (libuv since 1.45), and most beats come over new ones: the longer the turns, the longer they wait.
 */
const MOST_AT_ONCE = 4;
/** While new connections come, only one is begun, in one of so many turns. */
const PATIENCE = 4;
/** Of one source so many may wait. */
const MOST_WAITING = 2_048;

const FULL: Problem = {
  code: 'TOO_MANY',
  detail: `More than ${MOST_WAITING} requests from this address wait to be answered.`,
  fix: 'Send fewer at a time; try again after Retry-After.',
  retryAfterMs: 1_000,
};

interface QueuePorts {
  readonly log: Log;
  readonly time: Time;
  /** Who counts those that are refused; left out: nobody does. */
  readonly metrics?: Pick<RegistryMetrics, 'refused'>;
}

interface Waiting {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Everything but beats waits here while there is much of it: a flood of requests, whatever they ask and however they are answered, takes a
 * few milliseconds of each turn of the event loop and not all of it. Sources take turns, so nobody waits behind more than one request of
 * each other source.
 */
export class Queue {
  readonly #begin: (request: IncomingMessage, response: ServerResponse) => void;
  readonly #seldom: Seldom;
  readonly #metrics: QueuePorts['metrics'];
  /** Who waits, by source; the source whose turn it is first. */
  readonly #lines = new Map<string, Waiting[]>();
  #begun = 0;
  #isArmed = false;
  #hasCome = false;
  #patience = 0;

  constructor(ports: QueuePorts, begin: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#seldom = new Seldom(ports);
    this.#metrics = ports.metrics;
    this.#begin = begin;
  }

  /** It is begun now, in its turn, or refused when too many of its source wait. */
  join(request: IncomingMessage, response: ServerResponse): void {
    this.#arm();
    if (this.#begun < MOST_AT_ONCE && this.#lines.size === 0) {
      this.#begun += 1;
      this.#begin(request, response);
      return;
    }
    const source = sourceOf(peerOf(request).address);
    const line = this.#lines.get(source) ?? [];
    if (line.length >= MOST_WAITING) {
      this.#seldom.warn(`More than ${MOST_WAITING} requests from ${source} wait to be answered: more are refused.`);
      this.#metrics?.refused(FULL.code);
      refuse(response, FULL, { connection: 'close' });
      return;
    }
    line.push({ request, response });
    this.#lines.set(source, line);
  }

  /** A new connection was taken in: others may wait behind it, most likely with a beat. */
  connectionCame(): void {
    this.#hasCome = true;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isArmed = false;
    this.#begun = 0;
    const most = this.#mostNow();
    for (const [source, line] of this.#lines) {
      if (this.#begun >= most) break;
      const next = line.shift();
      this.#lines.delete(source);
      // behind the others; a Map is read on to what is added meanwhile
      if (line.length > 0) this.#lines.set(source, line);
      if (next === undefined || next.request.destroyed) continue; // its sender has gone
      this.#begun += 1;
      this.#begin(next.request, next.response);
    }
    if (this.#lines.size > 0) this.#arm();
  }

  #mostNow(): number {
    if (!this.#hasCome) return MOST_AT_ONCE;
    this.#hasCome = false;
    this.#patience = (this.#patience + 1) % PATIENCE;
    return this.#patience === 0 ? 1 : 0;
  }
}

/** What is ahead of Fastify. */
interface Forecourt {
  /** Answers nobody any more who lost the right to it: asked when a request comes, and again when it is its turn. It ends the connection itself. */
  readonly isBarred: (request: IncomingMessage) => boolean;
  readonly way: ShortWay;
}

/**
 * Lets `way` see each request before Fastify does, and the others wait in a queue, until the server closes: Fastify then ends connections
 * with their answers.
 */
export function putBefore(app: FastifyInstance, { isBarred, way }: Forecourt, ports: QueuePorts): void {
  const server: Server = app.server;
  const routed = server.listeners('request');
  const begin = (request: IncomingMessage, response: ServerResponse): void => {
    if (isBarred(request)) return;
    for (const listener of routed) Reflect.apply(listener, server, [request, response]);
  };
  const queue = new Queue(ports, begin);
  let isClosing = false;
  app.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  server.on('connection', () => queue.connectionCame());
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (isClosing) begin(request, response);
    else if (!isBarred(request) && !way(request, response)) queue.join(request, response);
  });
}
