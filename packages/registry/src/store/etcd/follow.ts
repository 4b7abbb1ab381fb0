import { equalJitterMs, isRollcallError } from '@rollcall/core';
import type { Log, Random, Time, Timer } from '@rollcall/core';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import type { Change, Following, FollowSink } from '../cluster/cluster-store.js';
import { Malformed } from './codec.js';
import type { Connection, OpenStream } from './connection.js';
import { METHODS, progressRequest, readWatch, watchRequest } from './messages.js';
import type { WatchAnswer, WatchEvent } from './messages.js';

const PROGRESS_EVERY_MS = 500;
/** A watch is dead after this much silence, in which it was asked for progress three times. */
const SILENCE_MS = 1_500;
/** The time in which a member must confirm a new watch: that of a call. */
const OPEN_MS = 700;
const BACKOFF = { baseMs: 25, capMs: 500 } as const;
/** Parts of one answer that are not complete yet, at most, in UTF-16 units of keys and values. */
const MAX_PART_LENGTH = 67_108_864;

export interface FollowPorts {
  readonly connection: Connection;
  readonly time: Time;
  readonly random: Random;
  readonly log: Pick<Log, 'warn'>;
  readonly prefix: string;
}

/**
 * One watch over all failures of members. It goes on behind the last event that was delivered: the revision in the
 * header of an answer may be ahead of events that are still to come.
 */
export class Follow implements Following {
  readonly #ports: FollowPorts;
  readonly #sink: FollowSink;
  #delivered: number;
  #parts: WatchEvent[] = [];
  #partLength = 0;
  #stream: OpenStream | null = null;
  #heardAt = 0;
  /** True once the member has confirmed this watch. */
  #isOpen = false;
  #failures = 0;
  #timer: Timer | null = null;
  #isOver = false;
  /** Counts the streams: events of an earlier one are ignored. */
  #attempt = 0;
  readonly #log: ThrottledLog;

  constructor(ports: FollowPorts, after: number, sink: FollowSink) {
    this.#ports = ports;
    this.#log = new ThrottledLog(ports);
    this.#sink = sink;
    this.#delivered = after;
    void this.#open();
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#stream?.cancel();
    this.#stream = null;
  }

  async #open(): Promise<void> {
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#parts = [];
    this.#partLength = 0;
    this.#heardAt = this.#ports.time.now();
    this.#isOpen = false;
    const isCurrent = (): boolean => !this.#isOver && attempt === this.#attempt;
    try {
      const stream = await this.#ports.connection.stream(METHODS.watch, {
        message: (bytes) => isCurrent() && this.#take(bytes),
        end: (failure) => {
          if (!isCurrent()) return;
          if (failure.status === 16) this.#ports.connection.forgetToken();
          this.#again();
        },
      });
      if (!isCurrent()) return stream.cancel();
      this.#stream = stream;
      stream.send(watchRequest(this.#ports.prefix, this.#delivered + 1));
      this.#watchSilence();
    } catch (error) {
      // CLOSED: the store that owns this ends it
      if (!isRollcallError(error)) throw error;
    }
  }

  #watchSilence(): void {
    this.#timer?.cancel();
    const run = (): void => {
      const limitMs = this.#isOpen ? SILENCE_MS : OPEN_MS;
      if (this.#ports.time.now() - this.#heardAt >= limitMs) return this.#again();
      if (this.#isOpen) this.#stream?.send(progressRequest());
      this.#watchSilence();
    };
    this.#timer = this.#ports.time.setTimer(this.#isOpen ? PROGRESS_EVERY_MS : OPEN_MS, run, { background: true });
  }

  /** Leaves the member, and begins again at the next one. */
  #again(): void {
    this.#timer?.cancel();
    const stream = this.#stream;
    this.#stream = null;
    this.#attempt += 1;
    stream?.giveUp();
    const waitMs = this.#failures === 0 ? 0 : equalJitterMs(BACKOFF, this.#failures - 1, this.#ports.random);
    this.#failures += 1;
    this.#timer = this.#ports.time.setTimer(waitMs, () => void this.#open(), { background: true });
  }

  #take(bytes: Buffer): void {
    let answer: WatchAnswer;
    try {
      answer = readWatch(bytes, this.#ports.prefix);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return this.#again();
    }
    this.#heardAt = this.#ports.time.now();
    if (answer.isCancelled) return answer.compactedAt > 0 ? this.#lose() : this.#refuse(answer.reason);
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#watchSilence();
    }
    for (const event of answer.events) {
      this.#parts.push(event);
      this.#partLength += event.item.key.length + event.item.value.length + 100;
    }
    if (this.#partLength > MAX_PART_LENGTH) return this.#again();
    if (answer.isFragment) return;
    this.#failures = 0;
    this.#deliver();
    if (!this.#isOver) this.#sink.alive(answer.revision);
  }

  /** The store cancelled the watch and kept the connection: missing rights, or a member that has no leader. */
  #refuse(reason: string): void {
    const text = reason === '' ? 'without a reason' : `(${reason.slice(0, 300)})`;
    this.#log.warn(`The shared store cancelled the watch ${text}. It is opened again until the store accepts it.`);
    this.#again();
  }

  #deliver(): void {
    const parts = this.#parts;
    this.#parts = [];
    this.#partLength = 0;
    for (let at = 0; at < parts.length && !this.#isOver;) {
      const revision = parts[at]?.item.revision ?? 0;
      const changes: Change[] = [];
      for (; parts[at]?.item.revision === revision; at += 1) {
        const event = parts[at];
        if (event !== undefined) changes.push(event.isDeletion ? { deleted: event.item.key } : { put: event.item });
      }
      // sent again, as a member may after a failure: it is delivered already
      if (revision <= this.#delivered) continue;
      this.#delivered = revision;
      this.#sink.changes(revision, changes);
    }
  }

  #lose(): void {
    this.stop();
    this.#sink.lost();
  }
}
