import type { Log, Time } from '@rollcall/core';
import { LimitRefusals } from '../access/refusals.js';
import type { Excess, Limits } from '../instances/limits.js';
import { sourceOf, Tally } from '../instances/quotas.js';
import type { Outcome, Watcher, WatcherSink, WatchOrder } from '../registry-api.js';
import type { Feed, FeedWatcher } from './feed.js';

/** The parts of the registry that the limits need. */
export interface WatchLimitsPorts {
  readonly time: Time;
  readonly log: Log;
  readonly feed: Pick<Feed, 'watch'>;
  readonly limits: Limits;
}

/** Maximum of lines of an instance, as it may open the next one before it closes the last. */
const MAX_LINES = 2;
const RETRY_MS = 10_000;

/** An open stream that is a line of an instance. */
interface Line {
  readonly source: string | null;
  /** Frees its place once it counts as an ordinary watcher; null before. */
  place: (() => void) | null;
  end(): void;
}

/**
 * Enforces the limits of watch streams. Ordinary watchers are counted in all and by source. The lines of instances are
 * not: each instance has at most two, so no number of watchers keeps an instance from holding its line.
 */
export class WatchLimits {
  readonly #ports: WatchLimitsPorts;
  readonly #refusals: LimitRefusals;
  readonly #bySource = new Tally();
  #count = 0;
  /** The lines of each instance, oldest first. */
  readonly #lines = new Map<string, Set<Line>>();

  constructor(ports: WatchLimitsPorts) {
    this.#ports = ports;
    this.#refusals = new LimitRefusals(ports);
  }

  /** Opens a stream that is not a line. */
  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher> {
    const source = this.#sourceOf(order);
    const excess = this.#excessOf(source);
    if (excess !== null) return this.#refusals.refuse(excess);
    const release = this.#acquire(source);
    const watcher = this.#ports.feed.watch(order, sink, release);
    const closed = (): void => {
      release();
      watcher.closed();
    };
    return { ok: true, value: { closed, services: watcher.services } };
  }

  /**
   * Opens the line of an instance that has proved itself. One beyond the maximum ends its oldest. `onCut`: as for the
   * feed.
   */
  hold(id: string, order: WatchOrder, sink: WatcherSink, onCut: () => void): FeedWatcher {
    const remove = (): void => this.#remove(id, line);
    const watcher = this.#ports.feed.watch(order, sink, () => {
      remove();
      onCut();
    });
    const closed = (): void => {
      remove();
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
    if (lines.size > MAX_LINES) oldest?.end();
    return { ping: () => watcher.ping(), closed, services: watcher.services };
  }

  /**
   * The instance was removed: its lines count as ordinary watchers from now on, and end if there is no room for them.
   */
  release(id: string): void {
    const lines = this.#lines.get(id);
    this.#lines.delete(id);
    for (const line of lines ?? []) {
      if (this.#excessOf(line.source) === null) line.place = this.#acquire(line.source);
      else line.end();
    }
  }

  #remove(id: string, line: Line): void {
    line.place?.();
    const lines = this.#lines.get(id);
    if (lines?.delete(line) === true && lines.size === 0) this.#lines.delete(id);
  }

  #sourceOf({ peer }: WatchOrder): string | null {
    return peer === undefined ? null : sourceOf(peer);
  }

  #excessOf(source: string | null): Excess | null {
    const { maxWatchers, maxWatchersPerSource } = this.#ports.limits;
    const inAll = { limit: 'maxWatchers', max: maxWatchers, count: this.#count, subject: '' } as const;
    if (this.#count >= maxWatchers) return { ...inAll, retryAfterMs: RETRY_MS };
    if (source === null || this.#bySource.of(source) < maxWatchersPerSource) return null;
    const count = this.#bySource.of(source);
    return { limit: 'maxWatchersPerSource', max: maxWatchersPerSource, count, subject: source, retryAfterMs: RETRY_MS };
  }

  /** Counts one more stream. Returns an idempotent function that releases the place. */
  #acquire(source: string | null): () => void {
    this.#addTo(source, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#addTo(source, -1);
      isTaken = false;
    };
  }

  #addTo(source: string | null, by: 1 | -1): void {
    this.#count += by;
    if (source !== null) this.#bySource.add(source, by);
  }
}
