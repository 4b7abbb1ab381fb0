import { messageOf } from '@rollcall/core';
import type { Beat, BeatAnswer, Log, Problem, Result, Time, Timer } from '@rollcall/core';
import type { Contact } from '../registry-client/connection-status.js';
import type { RegistryClient } from '../registry-client/registry-client.js';
import type { CallReport } from './call-report.js';
import type { Identity } from './identity.js';

/** `regular`: sent by the heartbeat timer. `extra`: sent after an event that the registry should confirm at once. */
export type BeatKind = 'regular' | 'extra';

export interface HeartbeatParts {
  readonly time: Time;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Contact;
  readonly identity: Identity;
  /** The call reports that regular beats carry. */
  readonly news: CallReport;
  /** Called with an answer, unless the heartbeat was stopped or restarted since the beat was sent. */
  readonly answered: (answer: Result<BeatAnswer, Problem>, kind: BeatKind) => void;
}

/** The registry closes a connection that is idle for 30 s, so beats with a longer interval than this cannot share one. */
const LONGEST_SHARED_MS = 25_000;

/** The maximum number of beats in flight; more would not help. */
const MAX_IN_FLIGHT = 8;

/**
 * Sends Heartbeat-2 by its own timer, independent of Heartbeat-1. Extra beats do not move the regular ones, so that the beats of a fleet
 * stay spread after a common event.
 *
 * * * Each beat uses a connection of its own, since only that proves that a new connection can be made. If the registry requires that only
 * of every n-th beat, the regular ones in between share a connection, as long as all succeed.
 */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  #intervalMs = 0;
  #freshEvery = 1;
  /** How many regular beats may share a connection before the next new one. */
  #shared = 0;
  #regular: Timer | null = null;
  #extra: Timer | null = null;
  /** Counts starts and stops, to recognise answers to earlier runs. */
  #run = 0;
  #isRunning = false;
  /** The sequence number, which increases for the life of the process. */
  #seq = 0;
  #inFlight = 0;
  /** Consecutive lost beats. */
  #lost = 0;
  #isLogged = false;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** Sends the first regular beat after `firstMs`, then one every `intervalMs`; at least every `freshEvery`-th uses a new connection. */
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
    this.#parts.link.releaseConnection();
  }

  /**
   * Sends an extra beat in the next turn of the event loop; several requests in one turn make one beat. A no-op unless
   * started.
   */
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
      this.#succeeded();
      if (!answer.ok && answer.problem.code === 'CERTIFICATE_UNTRUSTED') this.#dropShared();
      if (run === this.#run) answered(answer, kind);
    } catch (error) {
      this.#missed(messageOf(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  /**
   * True for an extra beat, a beat while another is in flight, and a beat after a loss: they must not depend on a slow
   * or broken connection.
   */
  #isFresh(kind: BeatKind): boolean {
    if (kind === 'extra') return true;
    const fresh = this.#shared === 0 || this.#inFlight > 0 || this.#lost > 0;
    this.#shared = fresh ? this.#freshEvery - 1 : this.#shared - 1;
    return fresh;
  }

  #succeeded(): void {
    if (this.#isLogged) this.#parts.log.info(`Heartbeat-2 of ${this.#parts.identity.name} gets through again.`);
    this.#isLogged = false;
    this.#lost = 0;
  }

  /**
   * Drops the shared connection: the certificate of a connection never changes, and only a new connection presents a renewed certificate.
   */
  #dropShared(): void {
    this.#shared = 0;
    this.#parts.link.releaseConnection();
  }

  /** Logs the second consecutive loss, once, and only while the registry itself is connected. */
  #missed(why: string): void {
    this.#lost += 1;
    const mustLog = this.#lost > 1 && !this.#isLogged && this.#isRunning && this.#parts.contact.status === 'connected';
    if (!mustLog) return;
    this.#isLogged = true;
    this.#parts.log.warn(`Heartbeat-2 of ${this.#parts.identity.name} does not get through: ${why}`);
  }
}
