import { constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { Exchange, Failure, Sink } from '../transport.js';
import { MessageReader } from './frame.js';
import { httpFailure, statusFailure } from './message.js';
import type { GrpcRequest } from './message.js';

export interface GrpcExchangeParts {
  readonly request: GrpcRequest;
  readonly headers: OutgoingHttpHeaders;
  readonly sink: Sink;
  readonly maxMessageBytes: number;
  /** Called once, when the exchange has ended. */
  over(exchange: GrpcExchange): void;
  /** The peer violates gRPC: this exchange and all others of its connection fail. */
  spoil(cause: Error): void;
  /** The cause of a stream that ended without a status; null: its connection is still open. */
  broken(): Failure | null;
  /** Ends a stream whose answer is no longer awaited, as soon as its connection allows a reset. */
  cancel(stream: ClientHttp2Stream): void;
  /** True if the peer may have processed the stream with this id. */
  isProcessed(id: number): boolean;
}

const NO_MESSAGE = Symbol('nothing');
const NOT_PROCESSED: Failure = {
  kind: 'unsent',
  cause: new Error('the peer closed the connection before it began to process the request'),
};

/** One request under way: a stream of an HTTP/2 session. It delivers the values and exactly one end. */
export class GrpcExchange implements Exchange {
  openedAt: number | null = null;
  readonly #parts: GrpcExchangeParts;
  readonly #reader: MessageReader;
  #stream: ClientHttp2Stream | null = null;
  #isOver = false;
  #held: unknown = NO_MESSAGE;
  #trailers: IncomingHttpHeaders | null = null;

  constructor(parts: GrpcExchangeParts) {
    this.#parts = parts;
    this.#reader = new MessageReader(parts.maxMessageBytes);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isWritten(): boolean {
    return this.#stream !== null;
  }

  /** Throws if the session cannot accept the request; then no data was sent. */
  begin(session: ClientHttp2Session): void {
    const stream = session.request(this.#parts.headers);
    this.#stream = stream;
    stream.on('response', (headers) => this.#head(headers));
    stream.on('headers', () => this.#parts.spoil(interim()));
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('trailers', (headers) => {
      this.#trailers = headers;
    });
    stream.on('end', () => this.#ended());
    stream.on('error', () => {}); // reset also closes the stream
    stream.on('close', () => this.#closed(stream.rstCode));
    const { upload, frame } = this.#parts.request;
    if (upload === null) stream.end(frame);
    else upload.begin(stream, (cause) => this.#give({ kind: 'spoiled', cause }));
  }

  get isSent(): boolean {
    return this.#stream !== null;
  }

  cancel(): void {
    if (!this.#close() || this.#stream === null) return;
    this.#parts.cancel(this.#stream);
  }

  /**
   * The outcome of this request when the connection ends: certainly not executed only if the peer declared that it did not begin to process
   * it.
   */
  breakage(failure: Failure): Failure {
    const id = this.#stream?.id;
    return id === undefined || this.#parts.isProcessed(id) ? failure : NOT_PROCESSED;
  }

  fail(failure: Failure): void {
    if (!this.#close()) return;
    this.#parts.sink.fail(failure);
  }

  #head(headers: IncomingHttpHeaders): void {
    const failure = httpFailure(Number(headers[':status']));
    if (failure !== null) this.#give(failure);
    else if (headers['grpc-status'] !== undefined) this.#trailers = headers;
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return;
    const flaw = this.#reader.push(chunk, (message) => this.#message(message));
    if (flaw !== null) this.#give(garbled(flaw));
  }

  #message(bytes: Buffer): void {
    if (this.#isOver) return;
    const { request, sink } = this.#parts;
    try {
      const value = request.read(bytes);
      if (this.#held !== NO_MESSAGE) sink.next(this.#held);
      this.#held = request.isStream ? NO_MESSAGE : value;
      if (request.isStream) sink.next(value);
    } catch (error) {
      this.#give({ kind: 'garbled', cause: error });
    }
  }

  /** Everything has arrived. */
  #ended(): void {
    if (this.#isOver || this.#trailers === null) return;
    if (this.#stream !== null) hangUp(this.#stream);
    const failure = statusFailure(this.#trailers);
    if (failure !== null) return this.fail(failure);
    const { sink, request } = this.#parts;
    const held = this.#held;
    if (this.#reader.isPartial) return this.fail(garbled('the answer ends in the middle of a message'));
    if (held === NO_MESSAGE && !request.isStream) return this.fail(garbled('the answer has a status, and no message'));
    if (!this.#close()) return;
    if (held === NO_MESSAGE) sink.complete();
    else sink.last(held);
  }

  #closed(code: number | undefined): void {
    this.#ended();
    if (this.#isOver) return;
    if (code === constants.NGHTTP2_REFUSED_STREAM) {
      return this.fail({ kind: 'unsent', cause: new Error('the stream was refused: the request was not processed') });
    }
    const cause = new Error(`the stream ended without a status (code ${code})`);
    this.fail(this.breakage(this.#parts.broken() ?? { kind: 'closed', cause }));
  }

  /** Ends the stream from our side with a failure. */
  #give(failure: Failure): void {
    this.fail(failure);
    this.#stream?.close(constants.NGHTTP2_CANCEL);
  }

  #close(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#parts.request.upload?.end();
    this.#parts.over(this);
    return true;
  }
}

/**
 * The server has ended its response: the rest of the request is not needed, and a stream whose sending half stays open occupies a place of
 * the connection forever. It is reset only if data waits that the server may never read: a server that sees many resets closes the whole
 * connection.
 */
function hangUp(stream: ClientHttp2Stream): void {
  if (stream.destroyed) return;
  if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL);
  else if (!stream.writableEnded) stream.end();
}

/** Interim heads (1xx). They were not requested, and many of them would use up the time of this process. */
export function interim(): Error {
  return new Error('an answer began with an interim head, which gRPC does not allow');
}

function garbled(what: string): Failure {
  return { kind: 'garbled', cause: new Error(what) };
}
