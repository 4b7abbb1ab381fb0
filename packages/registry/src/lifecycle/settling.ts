import type { Policy, Time } from '@rollcall/core';
import type { EventHistory } from '../activity/events.js';
import type { Feed } from '../feed/feed.js';
import type { SelfPreservation } from './self-preservation.js';

export interface SettlingPorts {
  readonly time: Pick<Time, 'now'>;
  readonly policy: Policy;
  readonly preservation: Pick<SelfPreservation, 'isMass'>;
  readonly history: Pick<EventHistory, 'note'>;
  readonly feed: Pick<Feed, 'status'>;
}

/** Settled: two intervals old, and no mass now nor a little before: what is not known now does not exist. */
export class Settling {
  readonly #ports: SettlingPorts;
  #begunAt: number | null = null;
  #massAt = -Infinity;
  #isSettled = false;

  constructor(ports: SettlingPorts) {
    this.#ports = ports;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** The store is loaded. */
  begin(): void {
    this.#begunAt = this.#ports.time.now();
  }

  /** Looks, and tells when it has changed. */
  sweep(): void {
    const { time, policy, preservation, history, feed } = this.#ports;
    const now = time.now();
    const { intervalMs, timeoutMs } = policy;
    if (preservation.isMass) this.#massAt = now;
    const calm = now - this.#massAt > 3 * intervalMs + timeoutMs;
    const settled = calm && now - (this.#begunAt ?? now) >= 2 * intervalMs;
    if (settled === this.#isSettled) return;
    this.#isSettled = settled;
    const text = settled
      ? 'the registry is settled: what it does not know is not there'
      : 'the registry is no longer settled';
    history.note({ kind: 'registry', by: 'registry', text });
    feed.status({ settled });
  }
}
