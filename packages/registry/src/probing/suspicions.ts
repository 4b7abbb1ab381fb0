import type { Time } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import { Allowances, sourceOf } from '../instances/quotas.js';
import type { Peer } from '../registry-api.js';
import type { Prober } from './prober.js';

/** Minimum time between two calls that reports cause, ms: reports come from every caller at once. */
const GAP_MS = 50;
/** Calls outside their slot that one reporter may cause at once; the allowance refills at the same number a minute. */
const BURST = 1_000;

/**
 * Handles reports of callers that saw an instance fail: the instance is called at once, and a report alone is never
 * believed.
 */
export class Suspicions {
  readonly #ports: { readonly time: Pick<Time, 'now'>; readonly prober: Pick<Prober, 'callNow'> };
  readonly #allowances = new Allowances(BURST);

  constructor(ports: { readonly time: Pick<Time, 'now'>; readonly prober: Pick<Prober, 'callNow'> }) {
    this.#ports = ports;
  }

  /**
   * Calls the instance at once. The calls that one `peer` (a token, or a source without a token) may cause are limited;
   * an instance that it reports beyond the limit is called in its slot, so reports delay no other calls. A report that
   * brings no call forward costs nothing, as many callers may report one death.
   */
  report(entry: Entry, peer?: Peer): void {
    const { time, prober } = this.#ports;
    const mayExpedite = (): boolean => peer === undefined || this.#allowances.take(reporter(peer), time.now()) === 0;
    prober.callNow(entry, GAP_MS, mayExpedite);
  }
}

const reporter = ({ address, token }: Peer): string => token ?? sourceOf(address);
