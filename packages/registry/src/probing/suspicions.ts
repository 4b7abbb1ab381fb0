import type { Time } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import { Allowances, sourceOf } from '../instances/quotas.js';
import type { Peer } from '../registry-api.js';
import type { Prober } from './prober.js';

/** Two calls that reports cause are this far apart, in ms: reports come from every caller at once. */
const GAP_MS = 50;
/** So many calls outside their turn one reporter may cause at once, and again as many a minute. */
const BURST = 1_000;

/** Reports of those who saw an instance fail: it is called at once, and the report alone is never believed. */
export class Suspicions {
  readonly #ports: { readonly time: Pick<Time, 'now'>; readonly prober: Pick<Prober, 'callNow'> };
  readonly #allowances = new Allowances(BURST);

  constructor(ports: { readonly time: Pick<Time, 'now'>; readonly prober: Pick<Prober, 'callNow'> }) {
    this.#ports = ports;
  }

  /**
   * Has it called at once. `peer`, one token or, without, one source, may have so many called a minute; whom it reports beyond that is
   * called in its turn, so that reports delay nobody's calls. What brings no call forward costs nothing: many may report one death.
   */
  heed(entry: Entry, peer?: Peer): void {
    const { time, prober } = this.#ports;
    const mayHasten = (): boolean => peer === undefined || this.#allowances.take(reporter(peer), time.now()) === 0;
    prober.callNow(entry, GAP_MS, mayHasten);
  }
}

const reporter = ({ address, token }: Peer): string => token ?? sourceOf(address);
