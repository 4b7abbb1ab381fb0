import type { Endpoint, EndpointProtocol, HeartbeatCall } from '@rollcall/core';

/**
 * Heartbeat-1 over one protocol. Each call is one fresh connection, unless a berth allows to keep it; the called side closes first,
 * so that no TIME_WAIT collects here. At most 1 KiB of answer is read (and 8 KiB of head, where the protocol has one), nothing is
 * followed, nothing echoed. The endpoint's host is an address: names are resolved once, by the engine.
 * `call` never rejects: what goes wrong is an outcome. It settles within `timeoutMs` (+ the timer's own slack).
 */
export interface ProbeProtocol {
  readonly protocol: EndpointProtocol;
  /**
   * With a `berth` the call goes over the connection that is kept there, if there is one and it still stands, else over a fresh one;
   * a call that says `keep` leaves its connection there. One call at a time for each berth.
   */
  call(endpoint: Endpoint, call: HeartbeatCall, timeoutMs: number, berth?: KeptSlot): Promise<ProbeOutcome>;
  /** Ends what is under way (outcome `closed`), and what is kept. May be called twice. */
  close(): void;
}

/** Where the connection to one endpoint of one instance waits for the next call. Whoever owns it closes what is kept in it. */
export interface KeptSlot {
  /** Null once the connection has ended, from whichever side. */
  kept: { close(): void } | null;
}

export type ProbeOutcome =
  /** The application answered; the engine compares the ids and the nonce. */
  | { readonly kind: 'answered'; readonly instance: string; readonly nonce: string | null; readonly ms: number }
  /** ECONNREFUSED only: nobody listens there. */
  | { readonly kind: 'refused'; readonly text: string; readonly ms: number }
  /** Accepted, then ended or reset without an answer: a dying process closes its sockets one after another. */
  | { readonly kind: 'closed'; readonly text: string; readonly ms: number }
  /** Timeout, unreachable, an answer that is none. */
  | { readonly kind: 'failed'; readonly text: string; readonly ms: number }
  /** This process could not even ask: it has no descriptor, or no memory, left. That is nobody's fault but its own. */
  | { readonly kind: 'unable'; readonly text: string; readonly ms: number };
