import { messageOf } from '@rollcall/core';
import type { Beat, BeatAnswer, Log, Problem, Result, Time, Timer } from '@rollcall/core';
import type { Contact } from '../registry-client/connection-status.js';
import type { RegistryClient } from '../registry-client/registry-client.js';
import type { CallReport } from './call-report.js';
import type { Identity } from './identity.js';

/** `regular`: on the own timer. `extra`: something happened that the registry should see confirmed at once. */
export type BeatKind = 'regular' | 'extra';

export interface HeartbeatParts {
  readonly time: Time;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Contact;
  readonly identity: Identity;
  /** What the regular beats tell of our calls. */
  readonly news: CallReport;
  /** An answer came, and we have not been stopped or started anew since the beat was sent. */
  readonly answered: (answer: Result<BeatAnswer, Problem>, kind: BeatKind) => void;
}

/** The registry closes a connection that is idle for 30 s: beats that come no sooner than this cannot share one. */
const LONGEST_SHARED_MS = 25_000;

/** Beats that have got no answer yet; more would not help. */
const MAX_IN_FLIGHT = 8;

/**
 * Heartbeat-2: on our own timer, called or not. Regular beats keep their place in the interval whatever extra ones come between,
 * so that a fleet that is told something all at once stays spread.
 *
 * Each has a connection of its own, since only that shows that one can be made; or, where the registry is content with every
 * n-th, regular ones share a connection in between, as long as all goes well.
 */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  #intervalMs = 0;
  #freshEvery = 1;
  /** Regular beats that may share a connection before the next fresh one. */
  #shared = 0;
  #regular: Timer | null = null;
  #extra: Timer | null = null;
  /** Counts starts and stops. */
  #run = 0;
  #isRunning = false;
  /** Grows for the life of the process. */
  #seq = 0;
  #inFlight = 0;
  /** In a row. */
  #lost = 0;
  #isTold = false;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** The first regular beat comes after `firstMs`, then one every `intervalMs`; at least every `freshEvery`-th is fresh. */
  start(intervalMs: number, firstMs: number, freshEvery = 1): void {
    this.stop();
    this.#isRunning = true;
    this.#intervalMs = intervalMs;
    this.#freshEvery = intervalMs <= LONGEST_SHARED_MS ? freshEvery : 1;
    this.#shared = 0;
    this.#arm(firstMs);
  }

  stop(): void {
    this.#run += 1;
    this.#isRunning = false;
    this.#regular?.cancel();
    this.#extra?.cancel();
    this.#extra = null;
    this.#parts.link.letGo();
  }

  /** An extra beat in the next turn of the event loop; several wishes in one turn make one. Nothing when not started. */
  soon(): void {
    if (!this.#isRunning || this.#extra !== null) return;
    this.#extra = this.#parts.time.setTimer(
      0,
      () => {
        this.#extra = null;
        void this.#beat('extra');
      },
      { background: true },
    );
  }

  #arm(ms: number): void {
    this.#regular = this.#parts.time.setTimer(
      ms,
      () => {
        this.#arm(this.#intervalMs);
        void this.#beat('regular');
      },
      { background: true },
    );
  }

  async #beat(kind: BeatKind): Promise<void> {
    if (this.#inFlight >= MAX_IN_FLIGHT) return;
    const { link, identity, news, answered } = this.#parts;
    const run = this.#run;
    this.#seq += 1;
    const edges = kind === 'regular' ? news.take() : [];
    const beat: Beat = { nonce: identity.nonce, seq: this.#seq, ...(edges.length === 0 ? {} : { edges }) };
    const fresh = this.#isFresh(kind);
    this.#inFlight += 1;
    try {
      const answer = await link.beat(identity.proof(), beat, { fresh });
      this.#arrived();
      if (!answer.ok && answer.problem.code === 'CERTIFICATE_UNTRUSTED') this.#distrusted();
      if (run === this.#run) answered(answer, kind);
    } catch (error) {
      this.#missed(messageOf(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** An extra beat, one that comes while another is under way, and one after a loss must not hang on what is slow or broken. */
  #isFresh(kind: BeatKind): boolean {
    if (kind === 'extra') return true;
    const fresh = this.#shared === 0 || this.#inFlight > 0 || this.#lost > 0;
    this.#shared = fresh ? this.#freshEvery - 1 : this.#shared - 1;
    return fresh;
  }

  #arrived(): void {
    if (this.#isTold) this.#parts.log.info(`Heartbeat-2 of ${this.#parts.identity.name} gets through again.`);
    this.#isTold = false;
    this.#lost = 0;
  }

  /** A connection shows for as long as it lives what it showed first: whatever is there by then is shown by the next one. */
  #distrusted(): void {
    this.#shared = 0;
    this.#parts.link.letGo();
  }

  /** One loss is no news, and none is while the whole registry is away. */
  #missed(why: string): void {
    this.#lost += 1;
    const isNews = this.#lost > 1 && !this.#isTold && this.#isRunning && this.#parts.contact.status === 'connected';
    if (!isNews) return;
    this.#isTold = true;
    this.#parts.log.warn(`Heartbeat-2 of ${this.#parts.identity.name} does not get through: ${why}`);
  }
}
