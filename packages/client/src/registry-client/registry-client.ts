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

/** What the registry said: its answer, or the problem why not. */
export type Answer<Value> = Promise<Result<Value, Problem>>;

/**
 * The way to one registry. A promise rejects only when no answer came (unreachable, timeout, closed): a refusal is an answer.
 * Every request is bounded by the link's own timeout, and opens a connection of its own, which the instance closes first; only
 * beats may share one.
 */
export interface RegistryClient {
  /** For messages: the registry's URL. */
  readonly name: string;
  register(registration: Registration): Answer<Registered>;
  beat(proof: Proof, beat: Beat, options?: BeatOptions): Answer<BeatAnswer>;
  /** Closes the connection that beats share, when there is one and its last answer has come. */
  letGo(): void;
  suspect(id: string, suspicion: Suspicion): Answer<null>;
  drain(proof: Proof, drain: Drain): Answer<DrainAnswer>;
  leave(proof: Proof): Answer<null>;
  /** Opens the change feed. Nothing is delivered before `watch` has returned. */
  watch(request: WatchRequest, sink: WatchSink): Watch;
  /** All of one service, for when no stream comes through. A link without it only ever watches. */
  poll?(request: PollRequest): Answer<ServiceViewAnswer>;
  /** Closes what is open; every pending promise rejects. May be called twice. */
  close(): Promise<void>;
}

/** How a beat goes out. */
export interface BeatOptions {
  /**
   * On a connection of its own, which proves that one can be made (the default). Else over one that is kept for the next beat;
   * if it turns out to be closed, the beat is sent once more, at once and fresh: saying it twice is harmless.
   */
  readonly fresh: boolean;
}

/** Who an instance is, and how it shows that. */
export interface Proof {
  readonly id: string;
  readonly secret: string;
}

export interface WatchRequest {
  readonly namespace: string;
  /** Names, or `*` for everything; none: the line alone. */
  readonly services: readonly string[];
  /** Those of `services` whose view we hold up to `cursor`. */
  readonly resume: readonly string[];
  readonly cursor: Cursor | null;
  /** With it the stream is also the instance's line. */
  readonly line: Proof | null;
  /** The longest silence that the registry is asked to keep, ms, 1,000 … 10,000. Left out: its own 10 s. */
  readonly beatMs?: number;
}

export interface PollRequest {
  readonly namespace: string;
  readonly service: string;
  /** Answered when the service has changed since, or after `waitMs`; null: at once. */
  readonly revision: number | null;
  /** 0 … 60,000. */
  readonly waitMs: number;
  /** Then it rejects. */
  readonly signal: AbortSignal;
}

/** Who hears the feed. `closed` comes exactly once and last, also after `Watch.close()`. */
export interface WatchSink {
  /** The registry accepted the watch; frames follow. `beatMs`: the silence that was asked for, where the registry keeps to it. */
  opened(beatMs?: number): void;
  frame(frame: Frame): void;
  /** Everything asked for has been sent up to here; also with each comment beat, so that silence means a dead line. */
  mark(cursor: Cursor): void;
  /** Calls `deliver`, which hands over all that came at once. */
  together(deliver: () => void): void;
  /** Nothing came for too long, not even an answer, or a beat: `closed` follows. */
  silent?(): void;
  /**
   * `problem` when the registry refused or sent what breaks the protocol; null when the way broke or we closed it. `trouble`: why it
   * broke, when people can do something about it.
   */
  closed(problem: Problem | null, trouble?: Error): void;
}

export interface Watch {
  close(): void;
}
