import { messageOf } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { connect, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { textOf } from './address.js';
import type { MemberAddress } from './address.js';
import { frameOf, FrameReader } from './frames.js';

/** The maximum size of one message: a page of a list has a thousand items. */
const MAX_MESSAGE_BYTES = 67_108_864;
/** As grpc-go: 1 MiB of messages may be under way before they are read. */
const WINDOW_BYTES = 1_048_576;

/** The failure of a call to a member. */
export interface CallFailure {
  /**
   * `unsent`: it was certainly not executed; `status`: the member answered with a gRPC status; `broken`: the
   * connection, the time or the answer failed, so that it may have been executed.
   */
  readonly kind: 'unsent' | 'status' | 'broken';
  /** The status of gRPC; −1 if there is none. */
  readonly status: number;
  /** The event in words, with the address of the member. */
  readonly text: string;
  /** The member did not answer at all, not even a PING: the next try goes elsewhere. */
  readonly isDead?: boolean;
}

/** A stream of messages in both directions. */
export interface MemberStream {
  send(message: Uint8Array): void;
  /** Ends it without a word to the listener. */
  cancel(): void;
}

/** Called at most once with `end`, after which nothing is called. */
export interface StreamListener {
  message(message: Buffer): void;
  end(failure: CallFailure): void;
}

export interface MemberOptions {
  readonly address: MemberAddress;
  readonly time: Time;
  /** Opens a TLS connection for HTTP/2; undefined: in the clear. */
  readonly connectSecurely?: ((address: MemberAddress) => TLSSocket) | undefined;
}

/** One session to one member. It opens with the first call; after it has ended it is of no further use. */
export class MemberSession {
  readonly #options: MemberOptions;
  readonly #session: ClientHttp2Session;
  #isConnected = false;
  #failure = '';

  constructor(options: MemberOptions) {
    this.#options = options;
    const { address, connectSecurely } = options;
    const authority = `${connectSecurely === undefined ? 'http' : 'https'}://${textOf(address)}`;
    this.#session = connect(authority, {
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      ...(connectSecurely === undefined ? {} : { createConnection: () => connectSecurely(address) }),
    });
    this.#session.on('connect', () => {
      this.#isConnected = true;
      if (!this.isOver) this.#session.setLocalWindowSize(4 * WINDOW_BYTES);
    });
    this.#session.on('error', (error) => (this.#failure = messageOf(error)));
    this.#session.on('goaway', () => {
      // streams that the member still answers may end; a new call opens a new session
      this.#failure = 'it sent GOAWAY';
      this.#session.close();
    });
  }

  get isOver(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /**
   * One message there, one back. Resolves with a failure instead of rejecting. A call that is late destroys the
   * session.
   */
  call(path: string, message: Uint8Array, { token, deadlineMs }: CallTerms): Promise<Buffer | CallFailure> {
    return new Promise((resolve) => {
      let answer: Buffer | null = null;
      const finish = (result: Buffer | CallFailure): void => {
        timer.cancel();
        resolve(result);
      };
      let isResponsive = false;
      const { time } = this.#options;
      // a PING distinguishes a slow member from a dead one; it needs neither a leader nor a disk
      let timer = time.setTimer(deadlineMs / 2, () => {
        this.#ping(() => (isResponsive = true));
        timer = time.setTimer(deadlineMs / 2, () => {
          const text = `no answer within ${deadlineMs} ms`;
          const failure = { ...this.#failed(this.#isConnected ? 'broken' : 'unsent', text), isDead: !isResponsive };
          this.destroy();
          finish(failure);
        });
      });
      const stream = this.stream(path, token, {
        message: (bytes) => {
          answer ??= bytes;
        },
        end: (failure) => {
          if (failure.kind !== 'status' || failure.status !== 0) finish(failure);
          else finish(answer ?? this.#failed('broken', 'it ended the answer without a message'));
        },
      });
      stream.send(message);
      stream.end();
    });
  }

  /** Opens a stream. Its listener is always notified of the end, unless the stream is cancelled. */
  stream(path: string, token: string, listener: StreamListener): MemberStream & { end(): void } {
    if (this.isOver) return this.#neverOpened(listener);
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        'user-agent': 'rollcall',
        te: 'trailers',
        // a member that knows no leader ends the call instead of answering from what it has
        hasleader: 'true',
        ...(token === '' ? {} : { token }),
      });
    } catch (error) {
      this.#failure = messageOf(error);
      return this.#neverOpened(listener);
    }
    return this.#read(stream, listener);
  }

  /** Ends the session at once, with all that is under way on it. */
  destroy(): void {
    this.#session.destroy();
  }

  #ping(onAnswer: () => void): void {
    if (this.isOver || !this.#isConnected) return;
    this.#session.ping((error) => error === null && onAnswer());
  }

  #neverOpened(listener: StreamListener): MemberStream & { end(): void } {
    let isCancelled = false;
    // later: the caller has no stream yet
    void Promise.resolve().then(() => {
      if (!isCancelled) listener.end(this.#failed('unsent', this.#failure || 'the connection has ended'));
      return null;
    });
    return { send() {}, end() {}, cancel: () => (isCancelled = true) };
  }

  #read(stream: ClientHttp2Stream, listener: StreamListener): MemberStream & { end(): void } {
    const frames = new FrameReader(MAX_MESSAGE_BYTES);
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    let isOver = false;
    let problem = '';
    const finish = (failure: CallFailure): void => {
      if (isOver) return;
      isOver = true;
      listener.end(failure);
    };
    stream.on('response', (headers) => (head = headers));
    stream.on('trailers', (headers) => (trailers = headers));
    stream.on('error', (error) => (problem ||= messageOf(error)));
    stream.on('data', (piece: Buffer) => {
      if (isOver) return;
      try {
        for (const message of frames.push(piece)) if (!isOver) listener.message(message);
      } catch (error) {
        problem = messageOf(error);
        stream.close(constants.NGHTTP2_CANCEL);
        finish(this.#failed('broken', `it sent ${problem}`));
      }
    });
    stream.on('close', () => {
      const status = Number(trailers['grpc-status'] ?? head['grpc-status'] ?? Number.NaN);
      const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      if (isRefused || !this.#isConnected) finish(this.#failed('unsent', problem || this.#failure || 'no connection'));
      else if (Number.isInteger(status) && !(status === 0 && frames.isPartial)) {
        finish({ kind: 'status', status, text: this.#text(reasonOf(status, { ...head, ...trailers })) });
      } else finish(this.#failed('broken', problem || this.#failure || endingOf(head)));
    });
    return {
      send: (message) => void (isOver || stream.destroyed || stream.writableEnded || stream.write(frameOf(message))),
      end: () => void (isOver || stream.destroyed || stream.end()),
      cancel: () => {
        isOver = true;
        stream.close(constants.NGHTTP2_CANCEL);
      },
    };
  }

  #failed(kind: 'unsent' | 'broken', text: string): CallFailure {
    return { kind, status: -1, text: this.#text(text) };
  }

  #text(text: string): string {
    return `${textOf(this.#options.address)}: ${text.slice(0, 300)}`;
  }
}

export interface CallTerms {
  /** Empty: none. */
  readonly token: string;
  readonly deadlineMs: number;
}

function reasonOf(status: number, headers: IncomingHttpHeaders): string {
  const text = headers['grpc-message'];
  return typeof text === 'string' ? `${decoded(text)} (gRPC status ${status})` : `gRPC status ${status}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function endingOf(head: IncomingHttpHeaders): string {
  const status = Number(head[':status'] ?? 200);
  return status === 200 ? 'it ended the answer without a status' : `HTTP status ${status}`;
}
