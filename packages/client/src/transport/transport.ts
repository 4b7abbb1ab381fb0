import type { Socket } from 'node:net';
import type { Endpoint, Instance, Protocol, Suspicion, Time } from '@rollcall/core';
import type { Carrier } from './tracing.js';

/**
 * How one attempt can fail. A kind of its own only where the caller's policies act differently: see `TRAITS`.
 */
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
  /** Did the handler run? `no` and `yes` are certain. */
  readonly executed: 'no' | 'maybe' | 'yes';
  /**
   * What it proves about the instance: `absent`, no connection possible; `failing`; `busy`, slower than it looks, no
   * failure;
   * `fine`, it answered; `nothing`.
   */
  readonly verdict: 'absent' | 'failing' | 'busy' | 'fine' | 'nothing';
  /** The word under which the registry is told, so that it calls the instance at once; null: no news for it. */
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
  /** Too much waits to be written to it: this process sheds the request. */
  congested: { executed: 'no', verdict: 'busy', suspicion: null },
  /** This client was closed. */
  stopped: { executed: 'no', verdict: 'nothing', suspicion: null },
  /** Another connection to the instance opened first: this process takes the request back before it was written. */
  moved: { executed: 'no', verdict: 'nothing', suspicion: null },
  /** The connection broke after the request was written. */
  closed: { executed: 'maybe', verdict: 'failing', suspicion: 'closed' },
  /** The received bytes are not of the protocol. */
  garbled: { executed: 'maybe', verdict: 'failing', suspicion: null },
  /** The request itself was wrong, or its body broke off while it was sent: the caller's own doing. */
  spoiled: { executed: 'maybe', verdict: 'nothing', suspicion: null },
  /** No answer within the attempt's time. */
  timeout: { executed: 'maybe', verdict: 'failing', suspicion: 'timeout' },
  /** It reports that it is overloaded (HTTP 429, 503 with Retry-After). */
  overloaded: { executed: 'maybe', verdict: 'busy', suspicion: null },
  /** It, or a proxy before it, reports that it cannot serve (HTTP 502, 503, 504). */
  unavailable: { executed: 'maybe', verdict: 'failing', suspicion: null },
  /** The handler ran and refused: a business exception makes no instance bad. */
  remote: { executed: 'yes', verdict: 'fine', suspicion: null },
};

/**
 * One failure: an expected outcome, so a value. A broken connection gives the same object to all its attempts: one
 * incident.
 */
export interface Failure {
  readonly kind: FailureKind;
  /** The error of the system or the peer: an Error, or for `remote` any value that the handler threw. */
  readonly cause: unknown;
  /** When the instance asks to be left alone. */
  readonly retryAfterMs?: number;
  /**
   * The response for the caller if no other attempt is made: an HTTP answer with status 503 is still an answer. Else it is
   * dropped.
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
  /** The rest of the caller's deadline, ms. */
  readonly remainingMs: number;
  /** Counts from 1. */
  readonly attempt: number;
  /** The other data that is sent with it, apart from the payload; null, or left out: none. */
  readonly carrier?: Carrier | null;
}

/**
 * Receives the result of an attempt. Nothing of it is called before `send` has returned, nor after `cancel`; the last
 * word comes once.
 */
export interface Sink {
  /** A value of the answer; several for a stream. */
  next(value: unknown): void;
  /** The last value and the end in one: success. */
  last(value: unknown): void;
  /** The last word: all was well. */
  complete(): void;
  /** The last word: it was not. */
  fail(failure: Failure): void;
}

/** An attempt on its way. */
export interface Exchange {
  /** When the connection that it had to wait for was open, ms of Time; null if it had not to wait, or still does. */
  readonly openedAt: number | null;
  /**
   * Has it been handed to the connection, so that the instance may execute it? False until then: `cancel` is certain to
   * keep it from being executed. Left out by transports that do not know: counts as true.
   */
  readonly isSent?: boolean;
  /** Cancels: unwritten data is not sent, and responses are dropped. May be called at any time. */
  cancel(): void;
}

/** The way to one instance: its pooled connections. It opens one when it is asked to send. */
export interface Channel<Request> {
  send(request: Request, terms: Terms, sink: Sink): Exchange;
  /**
   * Checks the identity of the instance, opening a connection if there is none. Any answer will do: the identity was checked
   * before.
   */
  ping(terms: Terms, sink: Sink): Exchange;
  /**
   * Connections to the instance take longer than `connectTimeoutMs` to open: why, the same object until one opens or
   * the next one takes as long. Null, or left out: none does.
   */
  readonly stall?: Failure | null;
  /** The instance is gone: idle connections are closed now, the others when their last answer has arrived. */
  retire(): void;
}

/** One protocol. */
export interface Transport<Request> {
  readonly protocol: Protocol;
  /** From when on a connection that is not open makes its requests go elsewhere, ms. Left out: never. */
  readonly connectTimeoutMs?: number;
  /** Null when it can be used at once, else what has to be waited for (a library is loaded). */
  prepare(): Promise<void> | null;
  /** Opens no connection. After `close` all that is sent on it fails as `stopped`. */
  channel(target: Target): Channel<Request>;
  /** Closes everything; attempts under way fail as `stopped` (written ones as `closed`). May be called twice. */
  close(): Promise<void>;
}

/** Errors of a connection that was never made, by Node's code. */
export function connectFailure(cause: unknown): Failure {
  return { kind: codeOf(cause) === 'ECONNREFUSED' ? 'refused' : 'unreachable', cause };
}

/** `code` of an error of Node or undici; with several addresses the first one's. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if ('errors' in error && Array.isArray(error.errors)) return codeOf(error.errors[0]);
  return '';
}

/** An attempt that was never one: it fails as soon as `send` has returned. */
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
/** No answer came in time. */
export const TIMEOUT: Failure = { kind: 'timeout', cause: null };

/** So long a peer may take to close its side once we have closed ours. */
const GOODBYE_MS = 5_000;

/**
 * For a socket that has been ended. A peer that never closes its side would keep ours open for ever: half of a
 * connection is one, too.
 */
export function destroyLater(socket: Socket, time: Time): void {
  if (socket.closed) return;
  const timer = time.setTimer(GOODBYE_MS, () => socket.destroy(), { background: true });
  socket.once('close', () => timer.cancel());
}
