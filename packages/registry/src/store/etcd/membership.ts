import { isRollcallError } from '@rollcall/core';
import type { Random, Time, Timer } from '@rollcall/core';
import { refused } from '../cluster/cluster-store.js';
import type { Membership, MembershipEnd } from '../cluster/cluster-store.js';
import type { Connection } from './connection.js';
import { deletion, grantRequest, leasedPut, leaseRequest, lifeCheck, METHODS, readTtl, readTxn } from './messages.js';

const TRIES = 3;
/** While the store does not answer, ms. */
const RETRY_DELAY_MS = 200;

export interface MembershipPorts {
  readonly connection: Connection;
  readonly time: Time;
  readonly random: Random;
}

export interface MembershipTerms {
  /** With the prefix. */
  readonly key: string;
  readonly value: string;
  readonly ttlMs: number;
}

/** Grants a lease and writes the key with it. Rejects as `ClusterStore.join`. */
export async function joinEtcd(ports: MembershipPorts, terms: MembershipTerms): Promise<EtcdMembership> {
  const { connection, random } = ports;
  const { key, value, ttlMs } = terms;
  // an id of our own, so that a repeated request grants no second lease; 48 bits are exact in a number
  const lease = Buffer.from(random.bytes(6)).readUIntBE(0, 6) + 1;
  await connection.call(METHODS.grant, grantRequest(ttlMs / 1_000, lease), { repeat: 'unsent-only', read: readTtl });
  for (let n = 0; n < TRIES; n += 1) {
    const put = leasedPut(key, value, lease, 0);
    const { succeeded, revision } = await connection.call(METHODS.txn, put, { repeat: 'unsent-only', read: readTxn });
    if (succeeded) return new EtcdMembership(ports, terms, { lease, createdAt: revision });
    await connection.call(METHODS.txn, deletion(key), { repeat: 'unsent-only', read: readTxn });
  }
  await connection.call(METHODS.revoke, leaseRequest(lease), { repeat: 'safe', read: () => null }).catch(ignoreRefusal);
  throw refused(`Another process keeps writing ${key}. Make sure that each replica has a name of its own.`);
}

/** A key with a lease, of which signs of life are given every third of its time. */
export class EtcdMembership implements Membership {
  readonly createdAt: number;
  readonly ended: Promise<MembershipEnd>;
  readonly #ports: MembershipPorts;
  readonly #terms: MembershipTerms;
  readonly #lease: number;
  #end: (end: MembershipEnd) => void = () => {};
  #isOver = false;
  #leaving: Promise<void> | null = null;
  #timer: Timer | null = null;

  constructor(
    ports: MembershipPorts,
    terms: MembershipTerms,
    { lease, createdAt }: { readonly lease: number; readonly createdAt: number },
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.createdAt = createdAt;
    this.#ports = ports;
    this.#terms = terms;
    this.#lease = lease;
    this.#next(terms.ttlMs / 3);
  }

  async update(value: string): Promise<void> {
    const { key } = this.#terms;
    if (!this.#isOver) {
      const put = leasedPut(key, value, this.#lease, this.createdAt);
      const { succeeded } = await this.#ports.connection.call(METHODS.txn, put, {
        repeat: 'unsent-only',
        read: readTxn,
      });
      if (succeeded) return;
    }
    throw refused(`The membership of ${key} is over: its lease has ended. Join again.`);
  }

  leave(): Promise<void> {
    if (this.#isOver && this.#leaving === null) return Promise.resolve();
    this.#leaving ??= this.#revoke();
    return this.#leaving;
  }

  /** Gives no further signs of life. */
  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  async #revoke(): Promise<void> {
    this.#finish('left');
    const parts = { repeat: 'safe', read: () => null } as const;
    // refused: the lease has ended already
    await this.#ports.connection.call(METHODS.revoke, leaseRequest(this.#lease), parts).catch(ignoreRefusal);
  }

  #finish(end: MembershipEnd): void {
    this.stop();
    this.#end(end);
  }

  #next(ms: number): void {
    if (this.#isOver) return;
    this.#timer = this.#ports.time.setTimer(ms, () => void this.#keep(), { background: true });
  }

  async #keep(): Promise<void> {
    try {
      const parts = { repeat: 'safe', read: readTtl } as const;
      const ttlS = await this.#ports.connection.call(METHODS.keepAlive, leaseRequest(this.#lease), parts);
      if (this.#isOver) return;
      if (ttlS > 0 && !(await this.#isTakenByOther())) return this.#next(this.#terms.ttlMs / 3);
      this.#finish('lost');
    } catch (error) {
      if (!isRollcallError(error)) throw error;
      this.#next(RETRY_DELAY_MS);
    }
  }

  /** True if the key has another life though the lease goes on: another process has taken the name. */
  async #isTakenByOther(): Promise<boolean> {
    const check = lifeCheck(this.#terms.key, this.createdAt);
    const { succeeded: isOurs } = await this.#ports.connection.call(METHODS.txn, check, {
      repeat: 'safe',
      read: readTxn,
    });
    return !isOurs;
  }
}

function ignoreRefusal(error: unknown): void {
  if (!isRollcallError(error) || error.code !== 'STORE_REFUSED') throw error;
}
