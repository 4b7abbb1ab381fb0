import type { LineLosses, Time } from '@rollcall/core';
import type { WatchLimits } from '../feed/watch-limits.js';
import type { Entry } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Watcher, WatcherSink, WatchOrder } from '../registry-api.js';
import type { Prober } from './prober.js';

export interface LinePorts {
  readonly time: Time;
  readonly watchLimits: Pick<WatchLimits, 'hold'>;
  readonly engine: Pick<LifecycleEngine, 'apply'>;
  readonly prober: Pick<Prober, 'callNow'>;
}

/** Number of lost lines remembered per instance, and for how long. */
const KEPT = 8;
const KEPT_MS = 600_000;

interface Loss {
  readonly at: number;
  readonly lastedMs: number;
}

/**
 * The watch streams that double as the line of an instance: only the newest counts, and only its end by the peer is an
 * event.
 */
export class InstanceStreams {
  readonly #ports: LinePorts;
  /** Only for instances whose peer ended a line. */
  readonly #losses = new WeakMap<Entry, readonly Loss[]>();
  #isClosed = false;

  constructor(ports: LinePorts) {
    this.#ports = ports;
  }

  /** Subscribes with `order`; the stream is the line of the instance from now on. */
  hold(entry: Entry, order: WatchOrder, sink: WatcherSink): Watcher {
    const { watchLimits, engine, prober, time } = this.#ports;
    const watcher = watchLimits.hold(entry.id, order, sink, () => {
      if (entry.line === watcher) entry.line = null;
    });
    const heldAt = time.now();
    entry.line = watcher;
    entry.lineClosedAt = null;
    engine.apply(entry, { type: 'line' });
    const closed = (): void => {
      watcher.closed();
      if (entry.line !== watcher) return;
      entry.line = null;
      if (!entry.present || this.#isClosed) return;
      entry.lineClosedAt = time.now();
      this.#lost(entry, { at: entry.lineClosedAt, lastedMs: entry.lineClosedAt - heldAt });
      prober.callNow(entry);
    };
    const dropped = (): void => {
      watcher.closed();
      if (entry.line === watcher) entry.line = null;
    };
    return {
      closed,
      dropped,
      services: watcher.services,
      get token() {
        return entry.token;
      },
    };
  }

  /**
   * How many times the peer ended its line within the last ten minutes (at most eight are counted) and how long those
   * lines lasted; null: none.
   */
  lossesOf(entry: Entry): LineLosses | null {
    const now = this.#ports.time.now();
    const lasted = (this.#losses.get(entry) ?? []).filter(({ at }) => now - at <= KEPT_MS).map((loss) => loss.lastedMs);
    if (lasted.length === 0) return null;
    return {
      times: lasted.length,
      shortestMs: Math.round(Math.min(...lasted)),
      longestMs: Math.round(Math.max(...lasted)),
    };
  }

  #lost(entry: Entry, loss: Loss): void {
    this.#losses.set(entry, [...(this.#losses.get(entry) ?? []), loss].slice(-KEPT));
  }

  /** Stops: the end of a line is no event any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
  }
}
