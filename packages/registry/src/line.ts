import type { Time } from '@rollcall/core';
import type { Audience } from './audience.js';
import type { Watcher, WatcherSink, WatchOrder } from './face.js';
import type { Judge } from './judge.js';
import type { Roll } from './roll.js';
import type { Entry } from './roster.js';

export interface LinePorts {
  readonly time: Time;
  readonly audience: Pick<Audience, 'hold'>;
  readonly judge: Pick<Judge, 'apply'>;
  readonly roll: Pick<Roll, 'callNow'>;
}

/** The streams that are an instance's line too: only the newest counts, and only its end by the peer is news. */
export class Lines {
  readonly #ports: LinePorts;
  #isClosed = false;

  constructor(ports: LinePorts) {
    this.#ports = ports;
  }

  /** The stream of `order` is its line from now on. */
  hold(entry: Entry, order: WatchOrder, sink: WatcherSink): Watcher {
    const { audience, judge, roll, time } = this.#ports;
    const watcher = audience.hold(entry.id, order, sink, () => {
      if (entry.line === watcher) entry.line = null;
    });
    entry.line = watcher;
    entry.lineClosedAt = null;
    judge.apply(entry, { type: 'line' });
    const closed = (): void => {
      watcher.closed();
      if (entry.line !== watcher) return;
      entry.line = null;
      if (!entry.present || this.#isClosed) return;
      entry.lineClosedAt = time.now();
      roll.callNow(entry);
    };
    const dropped = (): void => {
      watcher.closed();
      if (entry.line === watcher) entry.line = null;
    };
    return {
      closed,
      dropped,
      get token() {
        return entry.token;
      },
    };
  }

  /** No end of a line is news any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
  }
}
