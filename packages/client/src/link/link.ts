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
  Suspicion,
} from '@rollcall/core';

/** What the registry said: its answer, or the problem why not. */
export type Answer<Value> = Promise<Result<Value, Problem>>;

/**
 * The way to one registry. A promise rejects only when no answer came (unreachable, timeout, closed): a refusal is an answer.
 * Every request is bounded by the link's own timeout. Each `beat` opens a connection of its own, which the instance closes first.
 */
export interface Link {
  /** For messages: the registry's URL. */
  readonly name: string;
  register(registration: Registration): Answer<Registered>;
  beat(proof: Proof, beat: Beat): Answer<BeatAnswer>;
  suspect(id: string, suspicion: Suspicion): Answer<null>;
  drain(proof: Proof, drain: Drain): Answer<DrainAnswer>;
  leave(proof: Proof): Answer<null>;
  /** Opens the change feed. Nothing is delivered before `watch` has returned. */
  watch(request: WatchRequest, sink: WatchSink): Watch;
  /** Closes what is open; every pending promise rejects. May be called twice. */
  close(): Promise<void>;
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
}

/** Who hears the feed. `closed` comes exactly once and last, also after `Watch.close()`. */
export interface WatchSink {
  /** The registry accepted the watch; frames follow. */
  opened(): void;
  frame(frame: Frame): void;
  /** Everything asked for has been sent up to here; also with each comment beat, so that silence means a dead line. */
  mark(cursor: Cursor): void;
  /** `problem` when the registry refused or sent what breaks the protocol; null when the way broke or we closed it. */
  closed(problem: Problem | null): void;
}

export interface Watch {
  close(): void;
}
