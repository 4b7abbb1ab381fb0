import { addressOf } from '@rollcall/core';
import type { Endpoint, Result } from '@rollcall/core';
import { isOwnAddress } from './admission.js';
import type { Excess } from './limits.js';
import { Tally } from './quota.js';
import type { Roster } from './roster.js';

/**
 * Whoever holds an address is asked for all the others that claim it, so there are few: more processes than this behind one address
 * could not be told apart anyway.
 */
const MOST_AT_ONE_ADDRESS = 32;
/**
 * Endpoints on a host that others named, as `allowedNetworks` lets them: enough for its containers, and too few for a flood of calls
 * against it or a search of its ports.
 */
const MOST_ON_ONE_HOST = 1_000;
/** An address that is crowded will not be free soon. */
const CROWDED_RETRY_MS = 30_000;

/** Who wants to be called where. */
export interface Claim {
  readonly id: string;
  readonly targets: readonly Endpoint[];
  /** The address from which it comes: to its own host it may bring as many as it likes. */
  readonly from: string;
}

/** How many are called at one place. Counts those that are on the roll, and those on the way there. */
export class Crowd {
  readonly #roster: Pick<Roster, 'countAt' | 'countOn'>;
  readonly #addresses = new Tally();
  readonly #hosts = new Tally();

  constructor(roster: Pick<Roster, 'countAt' | 'countOn'>) {
    this.#roster = roster;
  }

  /** Keeps the places until the result is called: then it is on the roll there, or refused. */
  join(claim: Claim): Result<() => void, Excess> {
    for (const target of claim.targets) {
      const full = this.#fullAt(target, claim);
      if (full !== null) return { ok: false, problem: { ...full, retryAfterMs: CROWDED_RETRY_MS } };
    }
    this.#count(claim, 1);
    return { ok: true, value: () => this.#count(claim, -1) };
  }

  #fullAt(target: Endpoint, { id, from }: Claim): Omit<Excess, 'retryAfterMs'> | null {
    const { host } = target;
    const address = addressOf(target);
    const count = this.#roster.countAt(address, id) + this.#addresses.of(address);
    if (count >= MOST_AT_ONE_ADDRESS) return { limit: 'address', most: MOST_AT_ONE_ADDRESS, count, whose: address };
    if (isOwnAddress(host, from)) return null;
    const onHost = this.#roster.countOn(host, id) + this.#hosts.of(host);
    return onHost < MOST_ON_ONE_HOST ? null : { limit: 'host', most: MOST_ON_ONE_HOST, count: onHost, whose: host };
  }

  #count({ targets }: Claim, by: 1 | -1): void {
    // one that has two endpoints at one address is there once, as on the roll
    for (const address of new Set(targets.map(addressOf))) this.#addresses.add(address, by);
    for (const { host } of targets) this.#hosts.add(host, by);
  }
}
