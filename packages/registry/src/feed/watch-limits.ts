import type { Log, Time } from '@rollcall/core';
import { Complaints } from '../access/refusals.js';
import type { Excess, Limits } from '../instances/limits.js';
import { sourceOf, Tally } from '../instances/quotas.js';
import type { Outcome, Watcher, WatcherSink, WatchOrder } from '../registry-api.js';
import type { Feed, FeedWatcher } from './feed.js';

/** What it needs of the registry around it. */
export interface WatchLimitsPorts {
  readonly time: Time;
  readonly log: Log;
  readonly feed: Pick<Feed, 'watch'>;
  readonly limits: Limits;
}

/** An instance may open its next line before it closes the last one. */
const MOST_LINES = 2;
const RETRY_MS = 10_000;

/** One stream that is open as a line of an instance. */
interface Line {
  readonly source: string | null;
  /** It becomes a watcher like others: the place it gives back when it ends. */
  place: (() => void) | null;
  end(): void;
}

/**
 * Who watches, within the limits. Strangers are counted, in all and by source. The lines of instances are not: there are no more than
 * two of each, so however many strangers come, an instance can always hold its line.
 */
export class WatchLimits {
  readonly #ports: WatchLimitsPorts;
  readonly #complaints: Complaints;
  readonly #bySource = new Tally();
  #count = 0;
  /** By instance, the oldest first. */
  readonly #lines = new Map<string, Set<Line>>();

  constructor(ports: WatchLimitsPorts) {
    this.#ports = ports;
    this.#complaints = new Complaints(ports);
  }

  /** A stream that is no line. */
  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher> {
    const source = this.#sourceOf(order);
    const excess = this.#excessOf(source);
    if (excess !== null) return this.#complaints.refuse(excess);
    const leave = this.#seat(source);
    const watcher = this.#ports.feed.watch(order, sink, leave);
    const closed = (): void => {
      leave();
      watcher.closed();
    };
    return { ok: true, value: { closed, services: watcher.services } };
  }

  /** The line of an instance that has proved itself. One more than it may have ends its oldest. `onCut`: as of the feed. */
  hold(id: string, order: WatchOrder, sink: WatcherSink, onCut: () => void): FeedWatcher {
    const over = (): void => this.#over(id, line);
    const watcher = this.#ports.feed.watch(order, sink, () => {
      over();
      onCut();
    });
    const closed = (): void => {
      over();
      watcher.closed();
    };
    const end = (): void => {
      closed();
      sink.end();
    };
    const line: Line = { source: this.#sourceOf(order), place: null, end };
    const lines = this.#lines.get(id) ?? new Set();
    this.#lines.set(id, lines.add(line));
    const [oldest] = lines;
    if (lines.size > MOST_LINES) oldest?.end();
    return { ping: () => watcher.ping(), closed, services: watcher.services };
  }

  /** The instance is no more: its lines are watchers like others from now on, and end where there is no room for them. */
  release(id: string): void {
    const lines = this.#lines.get(id);
    this.#lines.delete(id);
    for (const line of lines ?? []) {
      if (this.#excessOf(line.source) === null) line.place = this.#seat(line.source);
      else line.end();
    }
  }

  #over(id: string, line: Line): void {
    line.place?.();
    const lines = this.#lines.get(id);
    if (lines?.delete(line) === true && lines.size === 0) this.#lines.delete(id);
  }

  #sourceOf({ peer }: WatchOrder): string | null {
    return peer === undefined ? null : sourceOf(peer);
  }

  #excessOf(source: string | null): Excess | null {
    const { maxWatchers, maxWatchersPerSource } = this.#ports.limits;
    const inAll = { limit: 'maxWatchers', most: maxWatchers, count: this.#count, whose: '' } as const;
    if (this.#count >= maxWatchers) return { ...inAll, retryAfterMs: RETRY_MS };
    if (source === null || this.#bySource.of(source) < maxWatchersPerSource) return null;
    const count = this.#bySource.of(source);
    return { limit: 'maxWatchersPerSource', most: maxWatchersPerSource, count, whose: source, retryAfterMs: RETRY_MS };
  }

  /** Counts one more. Returns how it leaves; it may leave twice. */
  #seat(source: string | null): () => void {
    this.#seatBy(source, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#seatBy(source, -1);
      isTaken = false;
    };
  }

  #seatBy(source: string | null, by: 1 | -1): void {
    this.#count += by;
    if (source !== null) this.#bySource.add(source, by);
  }
}
