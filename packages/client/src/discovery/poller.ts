import type { Problem, Random, Result, ServiceViewAnswer, Time, Timer } from '@rollcall/core';
import { waitMs } from '../registry-client/connection-status.js';
import type { Answer, PollRequest } from '../registry-client/registry-client.js';

export interface PollerParts {
  readonly time: Time;
  readonly random: Random;
  readonly namespace: string;
  readonly poll: (request: PollRequest) => Answer<ServiceViewAnswer>;
  /** Between two heartbeats: bounds the wait after a question that got no answer. */
  readonly intervalMs: () => number;
  readonly answered: (service: string, answer: Result<ServiceViewAnswer, Problem>) => void;
  /** A question got no answer. It is asked again. */
  readonly failed: (error: unknown) => void;
}

/** How long the registry may wait for news before it answers. */
const WAIT_MS = 30_000;
/** So many questions may wait at the registry, each over a connection of its own: the others take turns. */
const MOST_ASKED = 256;
/** Where they take turns, the registry answers sooner. */
const TURN_WAIT_MS = 1_000;
/** Between two questions about a service, however often it changes: each answer is all of it. */
const GAP_MS = 500;
/** After a refusal; a service that does not exist is one. */
const REFUSED_WAIT_MS = 5_000;

/**
 * Asks for services over and over, where something on the way holds back streams: each question waits at the registry until there
 * is news. Of more services than may wait there each has its turn. The answers go to who owns the copy.
 */
export class Poller {
  readonly #parts: PollerParts;
  readonly #rounds = new Map<string, Round>();
  /** Questions that are asked now, and who wants to ask. */
  #asked = 0;
  readonly #turns = new Set<Round>();

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  /** From now on these services, and no others. */
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
      if (this.#asked >= MOST_ASKED) return;
      this.#turns.delete(round);
      if (round.isOver) continue;
      this.#asked += 1;
      void this.#ask(round);
    }
  }

  async #ask(round: Round): Promise<void> {
    await round.ask(this.#rounds.size > MOST_ASKED ? TURN_WAIT_MS : WAIT_MS);
    this.#asked -= 1;
    this.#askNext();
  }

  /** Nothing is answered after it. May be called twice. */
  close(): void {
    this.follow([]);
  }
}

/** The questions about one service. */
class Round {
  readonly #service: string;
  readonly #parts: PollerParts;
  readonly #over = new AbortController();
  /** Up to where we know it; null: not at all, or perhaps of another life of the registry. */
  #revision: number | null = null;
  #failures = 0;
  #timer: Timer | null = null;

  readonly #isDue: () => void;

  /** `isDue`: it has something to ask. */
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

  /** Never rejects. `longestMs`: how long the registry may wait for news. */
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
    // whoever was told may have ended it
    if (!signal.aborted) this.#timer = time.setTimer(pauseMs, this.#isDue, { background: true });
  }
}

function pauseAfter({ retryAfterMs = REFUSED_WAIT_MS }: Problem): number {
  return Math.min(Math.max(retryAfterMs, GAP_MS), REFUSED_WAIT_MS);
}
