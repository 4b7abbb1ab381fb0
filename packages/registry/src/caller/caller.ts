import type { Endpoint, HeartbeatCall, Protocol } from '@rollcall/core';

/**
 * Heartbeat-1 over one protocol. Each call is one fresh connection unless `freshEvery` allows to keep it; the called side
 * closes first, so that no TIME_WAIT collects here. At most 1 KiB of answer is read (and 8 KiB of head, where the protocol
 * has one), nothing is followed, nothing echoed. The endpoint's host is an address: names are resolved once, by the engine.
 * `call` never rejects: what goes wrong is an outcome. It settles within `timeoutMs` (+ the timer's own slack).
 */
export interface Caller {
  readonly protocol: Protocol;
  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number): Promise<CallOutcome>;
  /** Ends what is under way (outcome `closed`). May be called twice. */
  close(): void;
}

export type CallOutcome =
  /** The application answered; the engine compares the ids and the nonce. */
  | { readonly kind: 'answered'; readonly instance: string; readonly nonce: string | null; readonly ms: number }
  /** ECONNREFUSED only: nobody listens there. */
  | { readonly kind: 'refused'; readonly text: string; readonly ms: number }
  /** Accepted, then ended or reset without an answer: a dying process closes its sockets one after another. */
  | { readonly kind: 'closed'; readonly text: string; readonly ms: number }
  /** Timeout, unreachable, an answer that is none. */
  | { readonly kind: 'failed'; readonly text: string; readonly ms: number };
