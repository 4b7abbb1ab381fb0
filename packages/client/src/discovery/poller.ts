import type { Problem, Random, Result, ServiceViewAnswer, Time, Timer } from '@rollcall/core';
import { waitMs } from '../registry-client/connection-status.js';
import type { Answer, PollRequest } from '../registry-client/registry-client.js';

export interface PollerParts {
  readonly time: Time;
  readonly random: Random;
  readonly namespace: string;
  readonly poll: (request: PollRequest) => Answer<ServiceViewAnswer>;
  /** The heartbeat interval, which limits the wait after a request without an answer. */
  readonly intervalMs: () => number;
  readonly answered: (service: string, answer: Result<ServiceViewAnswer, Problem>) => void;
  /** Called when a request got no answer. The poller repeats it. */
  readonly failed: (error: unknown) => void;
}

/** How long the registry may wait for a change before it answers. */
const WAIT_MS = 30_000;
/** The maximum number of requests that wait at the registry, each over a connection of its own; further services take turns. */
const MAX_POLLS = 256;
/** The wait for a change while services take turns. */
const TURN_WAIT_MS = 1_000;
/** The minimum time between two requests for a service, since each answer contains the whole view. */
const GAP_MS = 500;
/** The wait after a refusal, for example for a service that does not exist. */
const REFUSED_WAIT_MS = 5_000;

/**
 * Long-polls services if a proxy buffers streams: each request waits at the registry for a change. If there are more services than requests
 * that may wait, the services take turns. The owner of the copy receives the answers.
 */
export class Poller {
  readonly #parts: PollerParts;
  readonly #rounds = new Map<string, Round>();
  /** The requests in flight, and the rounds that wait for their turn. */
  #pollCount = 0;
  readonly #turns = new Set<Round>();

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  /** Polls exactly these services. */
  follow(services: readonly string[]): void {
    const wanted = new Set(services);
    for (const [service, round] of this.#rounds) {
      if (wanted.has(service)) continue;
      round.end();
      this.#rounds.delete(service);
    }
    const fresh = [...wanted].filter((service) => !this.#rounds.has(service));
    for (const service of fresh) {
      const round: Round = new Round(service, this.#parts, () => this.#want(round));
      this.#rounds.set(service, round);
      this.#turns.add(round);
    }
    this.#askNext();
  }

  #want(round: Round): void {
    this.#turns.add(round);
    this.#askNext();
  }

  #askNext(): void {
    for (const round of this.#turns) {
      if (this.#pollCount >= MAX_POLLS) return;
      this.#turns.delete(round);
      if (round.isOver) continue;
      this.#pollCount += 1;
      void this.#ask(round);
    }
  }

  async #ask(round: Round): Promise<void> {
    await round.ask(this.#rounds.size > MAX_POLLS ? TURN_WAIT_MS : WAIT_MS);
    this.#pollCount -= 1;
    this.#askNext();
  }

  /** Stops; nothing is delivered afterwards. May be called twice. */
  close(): void {
    this.follow([]);
  }
}

/** The requests for one service. */
class Round {
  readonly #service: string;
  readonly #parts: PollerParts;
  readonly #over = new AbortController();
  /** The revision of our view; null if we have no view, or one that may be of another epoch of the registry. */
  #revision: number | null = null;
  #failures = 0;
  #timer: Timer | null = null;

  readonly #isDue: () => void;

  /** `isDue` is called when the next request is due. */
  constructor(service: string, parts: PollerParts, isDue: () => void) {
    this.#service = service;
    this.#parts = parts;
    this.#isDue = isDue;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  end(): void {
    this.#over.abort();
    this.#timer?.cancel();
  }

  /** Sends one request. Never rejects. `longestMs`: how long the registry may wait for a change. */
  async ask(longestMs: number): Promise<void> {
    const { time, random, namespace, poll, intervalMs, answered, failed } = this.#parts;
    const { signal } = this.#over;
    const askedAt = time.now();
    let pauseMs: number;
    try {
      const revision = this.#revision;
      const answer = await poll({ namespace, service: this.#service, revision, waitMs: longestMs, signal });
      if (signal.aborted) return;
      this.#failures = 0;
      this.#revision = answer.ok ? answer.value.revision : null;
      pauseMs = answer.ok ? Math.max(0, askedAt + GAP_MS - time.now()) : pauseAfter(answer.problem);
      answered(this.#service, answer);
    } catch (error) {
      if (signal.aborted) return;
      this.#revision = null;
      pauseMs = waitMs(this.#failures, intervalMs(), random);
      this.#failures += 1;
      failed(error);
    }
    // the callback may have ended this round
    if (!signal.aborted) this.#timer = time.setTimer(pauseMs, this.#isDue, { background: true });
  }
}

function pauseAfter({ retryAfterMs = REFUSED_WAIT_MS }: Problem): number {
  return Math.min(Math.max(retryAfterMs, GAP_MS), REFUSED_WAIT_MS);
}
