import { formatCursor, parseCursor } from '@rollcall/core';
import type { Cursor } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { ServerResponse } from 'node:http';
import type { Outcome, Proof, SharedFrame, WatcherSink, WatchOrder } from '../face.js';
import { FlushEncoder } from '../frame.js';
import { flawed, sendProblem } from './problem.js';
import { listOf, namesOf, namespaceOf, peerOf } from './request.js';
import type { Rim } from './rim.js';
import { SECURITY_HEADERS } from './security.js';

/** How long a stream that was ended may take to hand over its last bytes. */
const FAREWELL_MS = 1000;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  ...SECURITY_HEADERS,
  'cache-control': 'no-cache, no-store, no-transform',
  // the stream's end is the connection's: nothing else may wait behind it
  connection: 'close',
  // nginx would hold back what it takes for a page
  'x-accel-buffering': 'no',
};

/** The change feed as Server-Sent Events. With `instance` and its secret the stream is also the instance's line. */
export const watchRoutes: FastifyPluginCallback<Rim> = (app, rim, done) => {
  const encoder = new FlushEncoder();
  // no HEAD: it would open a stream without a body
  app.get('/api/v1/watch', { exposeHeadRoute: false }, (request, reply) => {
    const order = orderOf(request, rim.entrance.proofOf(request.raw));
    if (!order.ok) return sendProblem(reply, order.problem);
    openStream(rim, order.value, new EventStream(rim, reply.raw, encoder), { request, reply });
    return reply;
  });

  done();
};

function orderOf(request: FastifyRequest, secret: Proof): Outcome<WatchOrder> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const services = namesOf(request, 'service');
  if (!services.ok) return services;
  const resume = namesOf(request, 'resume');
  if (!resume.ok) return resume;
  const [id] = listOf(request, 'instance');
  if (id === undefined && services.value.length === 0) {
    return {
      ok: false,
      problem: flawed('service', '', 'names of services, or *; without any, an instance and its secret'),
    };
  }
  const last = request.headers['last-event-id'];
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      services: services.value,
      resume: resume.value,
      cursor: typeof last === 'string' ? parseCursor(last) : null,
      line: id === undefined ? null : { id, secret },
      peer: peerOf(request).address,
    },
  };
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function openStream(rim: Rim, order: WatchOrder, stream: EventStream, { request, reply }: Exchange): void {
  const watching = rim.registry.watch(order, stream);
  if (!watching.ok) {
    sendProblem(reply, watching.problem);
    return;
  }
  reply.hijack();
  const { value } = watching;
  // its token is no longer valid
  const cut = (): void => {
    stream.end();
    if (value.dropped === undefined) value.closed();
    else value.dropped();
  };
  stream.open(() => value.closed(), rim.entrance.hold(request, value, cut));
}

/**
 * One watcher's connection. It has one of two ends: the peer's (`onPeerClosed`, within the turn of the event loop in which its
 * FIN or RST arrives) or ours (`end`), which is no news about the peer.
 */
class EventStream implements WatcherSink {
  readonly #rim: Rim;
  readonly #response: ServerResponse;
  readonly #encoder: FlushEncoder;
  readonly #endByUs = (): void => this.end();
  #release: () => void = () => {};
  #isOver = false;

  constructor(rim: Rim, response: ServerResponse, encoder: FlushEncoder) {
    this.#rim = rim;
    this.#response = response;
    this.#encoder = encoder;
  }

  /** `release` is called when it is over, however it ends. */
  open(onPeerClosed: () => void, release: () => void): void {
    this.#release = release;
    if (this.#isOver) release();
    this.#writeHead();
    const closed = (): void => {
      if (!this.#leave()) return;
      this.#response.destroy();
      onPeerClosed();
    };
    if (this.#response.socket === null || this.#response.socket.destroyed) {
      closed();
      return;
    }
    // `close` would wait until a peer that half-closed, or no longer reads, has taken what is under way
    this.#response.socket.once('end', closed);
    this.#response.once('close', closed);
    this.#rim.lasting.add(this.#endByUs);
  }

  flush(frames: readonly SharedFrame[], cursor: Cursor): void {
    if (this.#isOver) return;
    this.#writeHead();
    let length = 0;
    const parts = this.#encoder.encode(frames, cursor);
    const { socket } = this.#response;
    // whole views come in a frame for each service: one write for all of them
    if (parts.length > 1) socket?.cork();
    for (const bytes of parts) {
      this.#write(bytes);
      length += bytes.byteLength;
    }
    if (parts.length > 1) socket?.uncork();
    this.#rim.metrics?.fed(frames.length, length);
  }

  beat(cursor: Cursor): void {
    if (!this.#isOver) this.#write(`: beat\nid: ${formatCursor(cursor)}\n\n`);
  }

  backlog(): number {
    return this.#response.writableLength;
  }

  end(): void {
    if (!this.#leave()) return;
    const farewell = this.#rim.time.setTimer(FAREWELL_MS, () => this.#response.destroy(), { background: true });
    this.#response.once('close', () => farewell.cancel());
    this.#response.end();
  }

  /** Past the response, which would cost each watcher more than the bytes do: its body has no form of its own, see `#writeHead`. */
  #write(bytes: Uint8Array | string): void {
    this.#response.socket?.write(bytes);
  }

  /** False when it was over already. */
  #leave(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#release();
    this.#rim.lasting.delete(this.#endByUs);
    return true;
  }

  #writeHead(): void {
    if (this.#response.headersSent) return;
    // a stream may be silent for longer than the idle timeout of the other connections
    this.#response.socket?.setTimeout(0);
    this.#response.socket?.setNoDelay(true);
    // the body is what comes until the connection ends: no chunks
    this.#response.useChunkedEncodingByDefault = false;
    this.#response.writeHead(200, HEADERS);
    this.#response.flushHeaders();
  }
}
