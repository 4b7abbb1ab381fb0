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

/**
 * Decides whether the registry is settled: it has run for two intervals, and there is no mass silence now or shortly
 * before. A settled registry can report an unknown name as absent.
 */
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

  /** Starts the settling time; called once the store is loaded. */
  begin(): void {
    this.#begunAt = this.#ports.time.now();
  }

  /** Evaluates the state again; publishes and records a change. */
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
      ? 'the registry is settled: it reports unknown names as absent'
      : 'the registry is no longer settled';
    history.note({ kind: 'registry', by: 'registry', text });
    feed.status({ settled });
  }
}
