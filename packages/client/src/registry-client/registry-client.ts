import type {
  Beat,
  BeatAnswer,
  Cursor,
  Drain,
  DrainAnswer,
  Frame,
  Problem,
  Registered,
  Registration,
  Result,
  ServiceViewAnswer,
  Suspicion,
} from '@rollcall/core';

/** The answer of the registry, or the problem with which it refused. */
export type Answer<Value> = Promise<Result<Value, Problem>>;

/**
 * A client of a registry. A promise rejects only if no answer arrived (unreachable, timeout, closed); a refusal is an answer. Every request
 * is bounded by the client's own timeout and opens a connection of its own, which the instance closes first; only beats may share one.
 */
export interface RegistryClient {
  /** The URL of the registry, for messages. */
  readonly name: string;
  register(registration: Registration): Answer<Registered>;
  beat(proof: Proof, beat: Beat, options?: BeatOptions): Answer<BeatAnswer>;
  /** Closes the connection that beats share, if there is one, after its last answer. */
  releaseConnection(): void;
  suspect(id: string, suspicion: Suspicion): Answer<null>;
  drain(proof: Proof, drain: Drain): Answer<DrainAnswer>;
  leave(proof: Proof): Answer<null>;
  /** Opens the change feed. It delivers nothing before `watch` has returned. */
  watch(request: WatchRequest, sink: WatchSink): Watch;
  /** Requests the whole view of one service; used when no stream works. A client without it only supports watches. */
  poll?(request: PollRequest): Answer<ServiceViewAnswer>;
  /** Closes all connections; every pending promise rejects. May be called twice. */
  close(): Promise<void>;
}

/** How to send a beat. */
export interface BeatOptions {
  /**
   * True (the default): on a connection of its own, which proves that a new connection can be made. False: on a connection that is kept for
   * the next beat; if that connection is closed, the beat is sent once more, at once and on a new connection, since a duplicate is
   * harmless.
   */
  readonly fresh: boolean;
}

/** The id of an instance, and the secret that proves it. */
export interface Proof {
  readonly id: string;
  readonly secret: string;
}

export interface WatchRequest {
  readonly namespace: string;
  /** Names, or `*` for all services; empty: only the line. */
  readonly services: readonly string[];
  /** The names of `services` whose view we hold up to `cursor`. */
  readonly resume: readonly string[];
  readonly cursor: Cursor | null;
  /** If set, the stream is also the line of this instance. */
  readonly line: Proof | null;
  /** The requested longest silence of the registry in ms, 1,000 … 10,000. Default: the registry's 10 s. */
  readonly beatMs?: number;
}

export interface PollRequest {
  readonly namespace: string;
  readonly service: string;
  /** The registry answers when the service has changed since this revision, or after `waitMs`; null: at once. */
  readonly revision: number | null;
  /** 0 … 60,000. */
  readonly waitMs: number;
  /** Aborts the request, which then rejects. */
  readonly signal: AbortSignal;
}

/** The receiver of a feed. `closed` is called exactly once and last, also after `Watch.close()`. */
export interface WatchSink {
  /** The registry accepted the watch; frames follow. `beatMs`: the requested silence, if the registry honours it. */
  opened(beatMs?: number): void;
  frame(frame: Frame): void;
  /** All requested data up to this point has been sent; also called for each comment beat, so that silence means a dead line. */
  mark(cursor: Cursor): void;
  /** Calls `deliver`, which delivers everything that arrived at once. */
  batch(deliver: () => void): void;
  /** No data arrived for too long, neither an answer nor a beat; `closed` follows. */
  silent?(): void;
  /**
   * `problem`: the registry refused or violated the protocol; null if the connection broke or the client closed it. `trouble`: why it
   * broke, if the user can fix that.
   */
  closed(problem: Problem | null, connectError?: Error): void;
}

export interface Watch {
  close(): void;
}
