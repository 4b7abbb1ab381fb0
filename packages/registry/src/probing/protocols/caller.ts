import type { Endpoint, EndpointProtocol, HeartbeatCall } from '@rollcall/core';

/**
 * Heartbeat-1 over one protocol. Each call opens a connection unless a slot allows to keep one; the called side closes
 * first, so that no TIME_WAIT collects here. At most 1 KiB of the answer is read (and 8 KiB of head, where the protocol
 * has one); nothing is followed, nothing echoed. The host of the endpoint is an address: the engine resolves names,
 * once. `call` never rejects: a failure is an outcome. It settles within `timeoutMs` (plus the timer's own slack).
 */
export interface ProbeProtocol {
  readonly protocol: EndpointProtocol;
  /**
   * With a `slot` the call uses the connection kept there if it is still open, else a new one; a call that says `keep`
   * leaves its connection in the slot. One call at a time per slot.
   */
  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number, slot?: KeptSlot): Promise<ProbeOutcome>;
  /** Ends calls under way (outcome `closed`) and kept connections. Idempotent. */
  close(): void;
}

/**
 * Holds the connection to one endpoint of an instance until the next call. The owner of the slot closes what is kept in
 * it.
 */
export interface KeptSlot {
  /** Null once either side has ended the connection. */
  kept: { close(): void } | null;
}

export type ProbeOutcome =
  /** The application answered; the engine compares the ids and the nonce. */
  | { readonly kind: 'answered'; readonly instance: string; readonly nonce: string | null; readonly ms: number }
  /** ECONNREFUSED only: nothing listens there. */
  | { readonly kind: 'refused'; readonly text: string; readonly ms: number }
  /** Accepted, then ended or reset without an answer: a dying process closes its sockets one by one. */
  | { readonly kind: 'closed'; readonly text: string; readonly ms: number }
  /** Timeout, unreachable, or not an answer to Heartbeat-1. */
  | { readonly kind: 'failed'; readonly text: string; readonly ms: number }
  /** This process could not send the call: it has no file descriptor or memory left. The instance is not to blame. */
  | { readonly kind: 'unable'; readonly text: string; readonly ms: number };
