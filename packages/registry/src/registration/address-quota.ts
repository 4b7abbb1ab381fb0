import { addressOf } from '@rollcall/core';
import type { Endpoint, Result } from '@rollcall/core';
import type { Party, InstanceTable } from '../instances/instance-table.js';
import type { Excess } from '../instances/limits.js';
import { sourceOf, Tally } from '../instances/quotas.js';
import { isOwnAddress } from './admission.js';

/**
 * Maximum of instances at one address: each conflict probes the address, and more processes behind one address could
 * not be distinguished.
 */
const MAX_PER_ADDRESS = 32;
/**
 * Maximum of endpoints on a host that others registered, as `allowedNetworks` permits: enough for its containers, and
 * too few for a flood of calls or a port scan.
 */
const MAX_PER_HOST = 1_000;
/** Retry-After for an address, ms, which will not be free soon. */
const RETRY_MS = 30_000;

/** A claim to be called at some endpoints. */
export interface Claim {
  readonly id: string;
  readonly targets: readonly Endpoint[];
  /** The source address: endpoints on its own host are not limited. */
  readonly from: string;
  /** The id of its access token; null: none. */
  readonly token: string | null;
}

/**
 * Limits the instances at one address or host. Counts registered instances and reserved places.
 *
 * A claim must not shut out the owner of an address by being first, so claims count only against similar ones: on the
 * own host those from there with the same token; elsewhere those with the same token; without tokens, all.
 */
export class AddressQuota {
  readonly #table: Pick<InstanceTable, 'countAt' | 'countOn'>;
  /** Reserved places by place and party: each claim counts for its three parties. */
  readonly #addresses = new Tally();
  readonly #hosts = new Tally();

  constructor(table: Pick<InstanceTable, 'countAt' | 'countOn'>) {
    this.#table = table;
  }

  /** Reserves the places until the result is called, once the claim is registered or refused. */
  join(claim: Claim): Result<() => void, Excess> {
    for (const target of claim.targets) {
      const full = this.#fullAt(target, claim);
      if (full !== null) return { ok: false, problem: { ...full, retryAfterMs: RETRY_MS } };
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
    if (count >= MAX_PER_ADDRESS) return { limit: 'address', max: MAX_PER_ADDRESS, count, subject: address };
    if (isOwn) return null;
    const onHost = this.#table.countOn(host, id, token) + this.#hosts.of(keyOf(host, party));
    return onHost < MAX_PER_HOST ? null : { limit: 'host', max: MAX_PER_HOST, count: onHost, subject: host };
  }

  #count(claim: Claim, by: 1 | -1): void {
    const { targets, token } = claim;
    // without tokens two of the three parties are the same
    const parties = token === null ? [{}, ownOf(claim)] : [{}, othersOf(token), ownOf(claim)];
    for (const party of parties) {
      // two endpoints at one address count once, as in the table
      for (const address of new Set(targets.map(addressOf))) this.#addresses.add(keyOf(address, party), by);
      for (const { host } of targets) this.#hosts.add(keyOf(host, party), by);
    }
  }
}

const ownOf = ({ from, token }: Claim): Party => ({ source: sourceOf(from), token });

const othersOf = (token: string | null): Party => (token === null ? {} : { token });

const keyOf = (place: string, { source, token }: Party): string => JSON.stringify([place, source, token]);
