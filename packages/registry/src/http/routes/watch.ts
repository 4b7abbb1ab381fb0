import { parseCursor } from '@rollcall/core';
import type { Cursor } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { ServerResponse } from 'node:http';
import { FlushEncoder } from '../../feed/frames.js';
import { BEAT_MS } from '../../feed/subscriber.js';
import type { Outcome, Proof, SharedFrame, WatcherSink, WatchOrder } from '../../registry-api.js';
import { codingOf } from '../exchange/content-coding.js';
import { GzipStream, PieceEncoder } from '../exchange/gzip-stream.js';
import { flawed, sendProblem } from '../exchange/problem.js';
import { listOf, namesOf, namespaceOf, numberOf, peerOf } from '../exchange/request.js';
import { SECURITY_HEADERS } from '../exchange/security-headers.js';
import type { RouteContext } from '../route-context.js';

/** Time that an ended stream has to hand over its last bytes. */
const CLOSE_TIMEOUT_MS = 1000;
/**
 * The shortest silence that a client may request, ms: more frequent signs of life would cost more than they are worth.
 */
const MIN_BEAT_MS = 1_000;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  ...SECURITY_HEADERS,
  'cache-control': 'no-cache, no-store, no-transform',
  // the stream's end is the connection's: nothing else may wait behind it
  connection: 'close',
  vary: 'accept-encoding',
  // nginx would hold back what it takes for a page
  'x-accel-buffering': 'no',
};

/** The change feed as Server-Sent Events. With `instance` and its secret the stream is also the instance's line. */
export const watchRoutes: FastifyPluginCallback<RouteContext> = (app, context, done) => {
  const plain: Coders = { flushes: new FlushEncoder(), pieces: null };
  const gzip: Coders = { flushes: new FlushEncoder(), pieces: new PieceEncoder() };
  // no HEAD: it would open a stream without a body
  app.get('/api/v1/watch', { exposeHeadRoute: false }, (request, reply) => {
    const order = orderOf(request, context.authorization.proofOf(request.raw));
    if (!order.ok) return sendProblem(reply, order.problem);
    const coders = codingOf(request.headers['accept-encoding']) === 'gzip' ? gzip : plain;
    openStream(context, order.value, new EventStream(context, reply.raw, coders), { request, reply });
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
  const beatMs = beatMsOf(request);
  if (!beatMs.ok) return beatMs;
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
      ...(beatMs.value === null ? {} : { beatMs: beatMs.value }),
    },
  };
}

/** The longest silence that the watcher asks for; null: it asks for none. */
function beatMsOf(request: FastifyRequest): Outcome<number | null> {
  const beatMs = numberOf(request, 'beatMs', BEAT_MS);
  if (!beatMs.ok || beatMs.value === null || beatMs.value >= MIN_BEAT_MS) return beatMs;
  const allowed = `a whole number from ${MIN_BEAT_MS} to ${BEAT_MS}`;
  return { ok: false, problem: flawed('beatMs', String(beatMs.value), allowed) };
}

/** Encoders of flushes, shared by all streams of one coding; `pieces` null: the bytes are sent without compression. */
interface Coders {
  readonly flushes: FlushEncoder;
  readonly pieces: PieceEncoder | null;
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function openStream(context: RouteContext, order: WatchOrder, stream: EventStream, { request, reply }: Exchange): void {
  const watching = context.registry.watch(order, stream);
  if (!watching.ok) {
    sendProblem(reply, watching.problem);
    return;
  }
  reply.hijack();
  const { value } = watching;
  // called when its token is not valid any more
  const cut = (): void => {
    stream.end();
    if (value.dropped === undefined) value.closed();
    else value.dropped();
  };
  const facts = {
    ...(value.services === undefined ? {} : { 'rollcall-services': String(value.services) }),
    ...(order.beatMs === undefined ? {} : { 'rollcall-beat-ms': String(order.beatMs) }),
  };
  stream.open({ facts, onPeerClosed: () => value.closed(), release: context.authorization.track(request, value, cut) });
}

interface Opening {
  readonly facts: Readonly<Record<string, string>>;
  readonly onPeerClosed: () => void;
  readonly release: () => void;
}

/**
 * The connection of one watcher. It is ended either by the peer (`onPeerClosed`, within the turn of the event loop in
 * which its FIN or RST arrives) or by the registry (`end`), which is not reported as an end by the peer.
 */
class EventStream implements WatcherSink {
  readonly #context: RouteContext;
  readonly #response: ServerResponse;
  readonly #flushes: FlushEncoder;
  /** Null: nothing is encoded. */
  readonly #gzip: GzipStream | null;
  readonly #endByUs = (): void => this.end();
  #release: () => void = () => {};
  #isOver = false;

  constructor(context: RouteContext, response: ServerResponse, { flushes, pieces }: Coders) {
    this.#context = context;
    this.#response = response;
    this.#flushes = flushes;
    this.#gzip = pieces === null ? null : new GzipStream(pieces);
  }

  /** `facts`: additional headers. `release` is called when the stream is over, however it ends. */
  open({ facts, onPeerClosed, release }: Opening): void {
    this.#release = release;
    if (this.#isOver) release();
    this.#writeHead(facts);
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
    this.#context.lasting.add(this.#endByUs);
  }

  flush(frames: readonly SharedFrame[], cursor: Cursor): void {
    if (this.#isOver) return;
    this.#writeHead();
    let length = 0;
    const encoded = this.#flushes.encode(frames, cursor);
    const parts = this.#gzip === null ? encoded : [this.#gzip.piece(encoded)];
    const { socket } = this.#response;
    // whole views come in a frame for each service: one write for all of them
    if (parts.length > 1) socket?.cork();
    for (const bytes of parts) {
      this.#write(bytes);
      length += bytes.byteLength;
    }
    if (parts.length > 1) socket?.uncork();
    this.#context.metrics?.fed(frames.length, length);
  }

  beat(cursor: Cursor): void {
    if (this.#isOver) return;
    const encoded = this.#flushes.beat(cursor);
    for (const part of this.#gzip === null ? encoded : [this.#gzip.piece(encoded)]) this.#write(part);
  }

  backlog(): number {
    return this.#response.writableLength;
  }

  end(): void {
    if (!this.#leave()) return;
    const closeTimer = this.#context.time.setTimer(CLOSE_TIMEOUT_MS, () => this.#response.destroy(), {
      background: true,
    });
    this.#response.once('close', () => closeTimer.cancel());
    if (this.#gzip !== null && this.#response.headersSent) this.#write(this.#gzip.end());
    this.#response.end();
  }

  /**
   * Past the response, which would cost each watcher more than the bytes do: its body has no form of its own, see
   * `#writeHead`.
   */
  #write(bytes: Uint8Array): void {
    this.#response.socket?.write(bytes);
  }

  /** False when it was over already. */
  #leave(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#release();
    this.#context.lasting.delete(this.#endByUs);
    return true;
  }

  #writeHead(facts: Readonly<Record<string, string>> = {}): void {
    if (this.#response.headersSent) return;
    // a stream may be silent for longer than the idle timeout of the other connections
    this.#response.socket?.setTimeout(0);
    this.#response.socket?.setNoDelay(true);
    // the body is everything until the connection ends: no chunks
    this.#response.useChunkedEncodingByDefault = false;
    const coding = this.#gzip === null ? {} : { 'content-encoding': 'gzip' };
    this.#response.writeHead(200, { ...HEADERS, ...facts, ...coding });
    this.#response.flushHeaders();
    if (this.#gzip !== null) this.#write(this.#gzip.head());
  }
}
