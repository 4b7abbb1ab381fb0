import { addressOf } from '@rollcall/core';
import type { Endpoint, Result } from '@rollcall/core';
import type { Party, InstanceTable } from '../instances/instance-table.js';
import type { Excess } from '../instances/limits.js';
import { sourceOf, Tally } from '../instances/quotas.js';
import { isOwnAddress } from './admission.js';

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
  /** The id of the access token that it came with; null: with none. */
  readonly token: string | null;
}

/**
 * How many are called at one place. Counts those that are on the roll, and those on the way there.
 *
 * Nobody may shut out whose address it is by claiming it first, so claims count only against their like: on the own host those from there
 * with the same token; elsewhere those with the same token, from wherever; without tokens, which tell nobody apart, all.
 */
export class AddressQuota {
  readonly #table: Pick<InstanceTable, 'countAt' | 'countOn'>;
  /** On their way, by place and party: each under the three that it belongs to. */
  readonly #addresses = new Tally();
  readonly #hosts = new Tally();

  constructor(table: Pick<InstanceTable, 'countAt' | 'countOn'>) {
    this.#table = table;
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

  #fullAt(target: Endpoint, claim: Claim): Omit<Excess, 'retryAfterMs'> | null {
    const { host } = target;
    const { id, from, token } = claim;
    const address = addressOf(target);
    const isOwn = isOwnAddress(host, from);
    const party = isOwn ? ownOf(claim) : othersOf(token);
    const count = this.#table.countAt(address, id, party) + this.#addresses.of(keyOf(address, party));
    if (count >= MOST_AT_ONE_ADDRESS) return { limit: 'address', most: MOST_AT_ONE_ADDRESS, count, whose: address };
    if (isOwn) return null;
    const onHost = this.#table.countOn(host, id, token) + this.#hosts.of(keyOf(host, party));
    return onHost < MOST_ON_ONE_HOST ? null : { limit: 'host', most: MOST_ON_ONE_HOST, count: onHost, whose: host };
  }

  #count(claim: Claim, by: 1 | -1): void {
    const { targets, token } = claim;
    // where no tokens are asked for, two of the three are one
    const parties = token === null ? [{}, ownOf(claim)] : [{}, othersOf(token), ownOf(claim)];
    for (const party of parties) {
      // one that has two endpoints at one address is there once, as on the roll
      for (const address of new Set(targets.map(addressOf))) this.#addresses.add(keyOf(address, party), by);
      for (const { host } of targets) this.#hosts.add(keyOf(host, party), by);
    }
  }
}

const ownOf = ({ from, token }: Claim): Party => ({ source: sourceOf(from), token });

const othersOf = (token: string | null): Party => (token === null ? {} : { token });

const keyOf = (place: string, { source, token }: Party): string => JSON.stringify([place, source, token]);
