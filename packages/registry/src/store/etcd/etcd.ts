import { isRollcallError, silentLog, systemRandom, systemTime } from '@rollcall/core';
import type { Log, Random, Time, TlsTerms } from '@rollcall/core';
import type { TLSSocket } from 'node:tls';
import { secureConnector } from '../../probing/protocols/tls.js';
import { checkTtl, checkWrites, closed } from '../cluster/cluster-store.js';
import type {
  Following,
  FollowSink,
  GuardedWrite,
  Item,
  Membership,
  ClusterStore,
  WriteAnswer,
} from '../cluster/cluster-store.js';
import { parseStoreAddress, textOf } from './address.js';
import type { MemberAddress } from './address.js';
import { COMPACTED, Connection, unreachable } from './connection.js';
import { Follow } from './follow.js';
import { joinEtcd } from './membership.js';
import type { EtcdMembership } from './membership.js';
import { METHODS, rangeRequest, readRange, readStatus, readWrite, writeRequest } from './messages.js';
import type { MemberStatus, RangeAnswer } from './messages.js';

export type {
  Change,
  Following,
  FollowSink,
  Guard,
  GuardedWrite,
  Item,
  Membership,
  MembershipEnd,
  ClusterStore,
  WriteAnswer,
  WriteOutcome,
} from '../cluster/cluster-store.js';
export type { MemberStatus } from './messages.js';

/** The items of one page of a list. */
const PAGE_ITEMS = 1_000;
/** Attempts of a list whose revision is compacted meanwhile. */
const LIST_TRIES = 3;

export interface EtcdOptions {
  /** `etcd://e1:2379,e2:2379/prefix`; `etcds://` for TLS. */
  readonly address: string;
  /** True if members beyond loopback may be reached in the clear. Default false. */
  readonly insecure?: boolean;
  /** For `etcds://`. */
  readonly tls?: TlsTerms;
  /** If etcd asks for one. */
  readonly user?: { readonly name: string; readonly password: string };
  readonly time?: Time;
  readonly random?: Random;
  readonly log?: Log;
}

/**
 * A shared store in etcd 3.5 or later. It connects with its first use. The values are JSON or other text: bytes that
 * are not UTF-8 are replaced. Throws OPTION_INVALID.
 */
export class EtcdStore implements ClusterStore {
  readonly name: string;
  readonly #prefix: string;
  readonly #connection: Connection;
  readonly #time: Time;
  readonly #random: Random;
  readonly #log: Log;
  readonly #open = new Set<{ stop(): void }>();
  #isClosed = false;

  constructor(options: EtcdOptions) {
    const { isSecure, members, prefix } = parseStoreAddress(options.address, options.insecure);
    const { time = systemTime, random = systemRandom, log = silentLog, user } = options;
    this.name = `etcd ${members.map(textOf).join(', ')}`;
    this.#prefix = prefix;
    this.#time = time;
    this.#random = random;
    this.#log = log;
    const connectSecurely = isSecure ? secureWith(options) : undefined;
    this.#connection = new Connection({ members, time, user, connectSecurely });
  }

  async list(): Promise<{ readonly revision: number; readonly items: readonly Item[] }> {
    for (let n = 0; n < LIST_TRIES; n += 1) {
      this.#check();
      try {
        return await this.#pages();
      } catch (error) {
        if (!isRollcallError(error) || !COMPACTED.test(error.message)) throw error;
      }
    }
    throw unreachable('changes are forgotten faster than a list can be read');
  }

  async write(writes: readonly GuardedWrite[]): Promise<WriteAnswer> {
    this.#check();
    checkWrites(writes);
    const read = (answer: Buffer): WriteAnswer => readWrite(answer, this.#prefix, writes.length);
    const request = writeRequest(writes, this.#prefix);
    return this.#connection.call(METHODS.txn, request, { repeat: 'unsent-only', read });
  }

  follow(after: number, sink: FollowSink): Following {
    this.#check();
    const ports = { connection: this.#connection, time: this.#time, random: this.#random, log: this.#log };
    const follow = new Follow({ ...ports, prefix: this.#prefix }, after, sink);
    this.#open.add(follow);
    return {
      stop: () => {
        this.#open.delete(follow);
        follow.stop();
      },
    };
  }

  async join(key: string, value: string, ttlMs: number): Promise<Membership> {
    this.#check();
    checkTtl(ttlMs);
    const ports = { connection: this.#connection, time: this.#time, random: this.#random };
    const membership: EtcdMembership = await joinEtcd(ports, { key: this.#prefix + key, value, ttlMs });
    if (this.#isClosed) membership.stop();
    else this.#open.add(membership);
    void membership.ended.then(() => this.#open.delete(membership));
    return membership;
  }

  /** The status of the current member: its version, and whether it knows a leader. Rejects like `list`. */
  async status(): Promise<MemberStatus> {
    this.#check();
    return this.#connection.call(METHODS.status, Buffer.alloc(0), { repeat: 'safe', read: readStatus });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const one of this.#open) one.stop();
    this.#open.clear();
    this.#connection.close();
  }

  async #pages(): Promise<{ readonly revision: number; readonly items: readonly Item[] }> {
    const prefix = this.#prefix;
    const read = (answer: Buffer): RangeAnswer => readRange(answer, prefix);
    const items: Item[] = [];
    let revision = 0;
    let from = Buffer.from(prefix);
    for (;;) {
      const request = rangeRequest({ prefix, from, limit: PAGE_ITEMS, revision });
      const page = await this.#connection.call(METHODS.range, request, { repeat: 'safe', read });
      for (const item of page.items) items.push(item);
      revision ||= page.revision;
      const last = page.items.at(-1);
      if (page.isLast || last === undefined) return { revision, items };
      // the next key in the order of bytes
      from = Buffer.from(`${prefix}${last.key}\0`);
    }
  }

  #check(): void {
    if (this.#isClosed) throw closed();
  }
}

function secureWith({ tls, log = silentLog }: EtcdOptions): (address: MemberAddress) => TLSSocket {
  const open = secureConnector(tls, log, 'store.tls');
  return ({ host, port }) => open({ protocol: 'grpc', host, port, tls: true }, 'h2');
}
