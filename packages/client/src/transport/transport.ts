import type { Socket } from 'node:net';
import type { Endpoint, Instance, Protocol, Suspicion, Time } from '@rollcall/core';
import type { Carrier } from './tracing.js';

/** How one attempt can fail. A failure has a kind of its own only if the policies of the caller treat it differently: see `TRAITS`. */
export type FailureKind =
  | 'refused'
  | 'unreachable'
  | 'misdirected'
  | 'unsent'
  | 'congested'
  | 'stopped'
  | 'moved'
  | 'closed'
  | 'garbled'
  | 'spoiled'
  | 'timeout'
  | 'overloaded'
  | 'unavailable'
  | 'remote';

export interface Trait {
  /** Whether the handler ran; `no` and `yes` are certain. */
  readonly executed: 'no' | 'maybe' | 'yes';
  /**
   * The evidence about the instance: `absent`, no connection possible; `failing`; `busy`, slower than it looks, but no failure; `fine`, it
   * answered; `nothing`.
   */
  readonly verdict: 'absent' | 'failing' | 'busy' | 'fine' | 'nothing';
  /** The outcome that is reported to the registry, so that it probes the instance at once; null: not reported. */
  readonly suspicion: Suspicion['outcome'] | null;
}

export const TRAITS: Readonly<Record<FailureKind, Trait>> = {
  /** ECONNREFUSED. */
  refused: { executed: 'no', verdict: 'absent', suspicion: 'refused' },
  /** No connection, or no answer to the identity check, in time; no route; no such host. */
  unreachable: { executed: 'no', verdict: 'absent', suspicion: 'timeout' },
  /** Another process answers at the address. */
  misdirected: { executed: 'no', verdict: 'absent', suspicion: 'misdirected' },
  /** The connection broke before the request was written. */
  unsent: { executed: 'no', verdict: 'failing', suspicion: 'closed' },
  /** Too much data waits to be written to the instance: this process refuses the request. */
  congested: { executed: 'no', verdict: 'busy', suspicion: null },
  /** This client was closed. */
  stopped: { executed: 'no', verdict: 'nothing', suspicion: null },
  /** Another connection to the instance opened first: this process withdraws the request before it is written. */
  moved: { executed: 'no', verdict: 'nothing', suspicion: null },
  /** The connection broke after the request was written. */
  closed: { executed: 'maybe', verdict: 'failing', suspicion: 'closed' },
  /** The received bytes are not of the protocol. */
  garbled: { executed: 'maybe', verdict: 'failing', suspicion: null },
  /** The request itself was invalid, or its body broke off while it was sent: a fault of the caller. */
  spoiled: { executed: 'maybe', verdict: 'nothing', suspicion: null },
  /** No answer within the attempt's time. */
  timeout: { executed: 'maybe', verdict: 'failing', suspicion: 'timeout' },
  /** The instance reports overload (HTTP 429, 503 with Retry-After). */
  overloaded: { executed: 'maybe', verdict: 'busy', suspicion: null },
  /** The instance, or a proxy before it, reports that it cannot serve (HTTP 502, 503, 504). */
  unavailable: { executed: 'maybe', verdict: 'failing', suspicion: null },
  /** The handler ran and refused the request: a business exception does not count against the instance. */
  remote: { executed: 'yes', verdict: 'fine', suspicion: null },
};

/**
 * One failure: an expected outcome, and therefore a value. A broken connection fails all its attempts with the same object, so that it
 * counts once.
 */
export interface Failure {
  readonly kind: FailureKind;
  /** The error of the system or the peer: an Error, or for `remote` any value that the handler threw. */
  readonly cause: unknown;
  /** The time that the instance asks to wait before the next attempt, ms. */
  readonly retryAfterMs?: number;
  /**
   * The response for the caller if no other attempt is made: an HTTP answer with status 503 is still an answer. Otherwise it is dropped.
   */
  readonly fallback?: { readonly value: unknown; drop(): void };
}

/** One endpoint of one instance. */
export interface Target {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
}

/** The terms that are sent with an attempt. */
export interface Terms {
  /** The remaining time of the caller's deadline, ms. */
  readonly remainingMs: number;
  /** Starts at 1. */
  readonly attempt: number;
  /** The other data sent with the attempt, apart from the payload; null or undefined: none. */
  readonly carrier?: Carrier | null;
}

/** Receives the result of an attempt. No method is called before `send` has returned, nor after `cancel`; exactly one end is reported. */
export interface Sink {
  /** Delivers a value of the answer; a stream has several. */
  next(value: unknown): void;
  /** Delivers the last value and ends with success. */
  last(value: unknown): void;
  /** Ends with success. */
  complete(): void;
  /** Ends with a failure. */
  fail(failure: Failure): void;
}

/** An attempt under way. */
export interface Exchange {
  /** When the connection that the attempt waited for was open, ms of Time; null if it did not wait, or still waits. */
  readonly openedAt: number | null;
  /**
   * True once it was passed to the connection, so that the instance may execute it. While it is false, `cancel` certainly prevents its
   * execution. Transports that cannot know omit it, which counts as true.
   */
  readonly isSent?: boolean;
  /** Cancels the attempt: unwritten data is not sent, and responses are dropped. May be called at any time. */
  cancel(): void;
}

/** The pooled connections to one instance. A connection is opened when a request needs one. */
export interface Channel<Request> {
  send(request: Request, terms: Terms, sink: Sink): Exchange;
  /**
   * Checks the identity of the instance, and opens a connection if none is open. Any answer suffices, since the identity was checked
   * before.
   */
  ping(terms: Terms, sink: Sink): Exchange;
  /**
   * Why connections to the instance take longer than `connectTimeoutMs` to open: the same object until one opens or the next one takes as
   * long. Null or undefined: none does.
   */
  readonly stall?: Failure | null;
  /** Called when the instance was removed: idle connections are closed now, the others after their last answer. */
  retire(): void;
}

/** The transport for one protocol. */
export interface Transport<Request> {
  readonly protocol: Protocol;
  /** The time after which requests of a connection that is not open may move to other instances, ms. Undefined: never. */
  readonly connectTimeoutMs?: number;
  /** Null if the transport can be used at once; otherwise a promise to wait for (a library is being loaded). */
  prepare(): Promise<void> | null;
  /** Creates the channel to an instance, without a connection. After `close` all requests on it fail as `stopped`. */
  channel(target: Target): Channel<Request>;
  /** Closes all channels; attempts under way fail as `stopped` (written ones as `closed`). May be called twice. */
  close(): Promise<void>;
}

/** Errors of a connection that never opened, by Node's code. */
export function connectFailure(cause: unknown): Failure {
  return { kind: codeOf(cause) === 'ECONNREFUSED' ? 'refused' : 'unreachable', cause };
}

/** The `code` of an error of Node or undici; with several addresses that of the first one. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if ('errors' in error && Array.isArray(error.errors)) return codeOf(error.errors[0]);
  return '';
}

/** An attempt that was not made: it fails as soon as `send` has returned. */
export function failed(failure: Failure, sink: Sink): Exchange {
  let isCancelled = false;
  void Promise.resolve().then(() => (isCancelled ? undefined : sink.fail(failure)));
  return {
    openedAt: null,
    cancel() {
      isCancelled = true;
    },
  };
}

/** The failure of a transport that was closed. */
export const STOPPED: Failure = { kind: 'stopped', cause: new Error('this client was closed') };
/** No answer arrived in time. */
export const TIMEOUT: Failure = { kind: 'timeout', cause: null };

/** The time in which a peer has to close its side after we have closed ours, ms. */
const GOODBYE_MS = 5_000;

/**
 * Destroys an ended socket after a while. A peer that never closes its side would otherwise keep our side open forever, as a half-open
 * connection.
 */
export function destroyLater(socket: Socket, time: Time): void {
  if (socket.closed) return;
  const timer = time.setTimer(GOODBYE_MS, () => socket.destroy(), { background: true });
  socket.once('close', () => timer.cancel());
}
