import { isRollcallError } from '@rollcall/core';
import { EtcdStore } from '@rollcall/registry/etcd';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { gateway, startEtcds, waitUntilHealthy, etcdSkipReason } from './etcd-process.js';
import type { EtcdProcess } from './etcd-process.js';
import { startProxy } from './tcp-proxy.js';
import type { TcpProxy } from './tcp-proxy.js';
import { isShort } from '../variants.js';

const reason = etcdSkipReason();
const ROUNDS = isShort ? 1 : 5;
/** The longest time without an acknowledged write: an election of etcd takes up to about 2 s. */
const MAX_WRITE_GAP_MS = 2_500;

/** A member with the proxy through which the client reaches it. */
interface Node {
  readonly process: EtcdProcess;
  readonly proxy: TcpProxy;
}

const FAULTS: Readonly<Record<string, { begin(node: Node): void; end(node: Node): Promise<void> }>> = {
  killed: {
    begin: ({ process }) => process.kill('SIGKILL'),
    end: ({ process }) => process.restart(),
  },
  frozen: {
    begin: ({ process }) => process.kill('SIGSTOP'),
    end: async ({ process }) => process.kill('SIGCONT'),
  },
  'cut off': {
    begin: ({ proxy }) => proxy.cut(),
    end: async ({ proxy }) => proxy.heal(),
  },
};

/** The member that leads, by what each reports about itself. */
async function findLeader(nodes: readonly Node[]): Promise<Node> {
  for (const node of nodes) {
    const { header, leader } = await gateway(node.process.port, 'maintenance/status', {});
    const { member_id: id } = header as { member_id: string };
    if (id === leader) return node;
  }
  throw new Error('no member leads');
}

/** Writes one key after the other, each guarded, and repeats a write of unknown outcome unchanged. */
class Writer {
  readonly acknowledged: number[] = [];
  /** For how long no write was acknowledged, at most, ms. */
  gapMs = 0;
  #lastAt = performance.now();
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(store: EtcdStore, from: number) {
    this.#done = this.#run(store, from);
  }

  stop(): Promise<void> {
    this.#isOver = true;
    return this.#done;
  }

  async #run(store: EtcdStore, from: number): Promise<void> {
    for (let n = from; !this.#isOver; n += 1) {
      const key = `n/${n}`;
      await this.#write(store, key);
      const now = performance.now();
      this.gapMs = Math.max(this.gapMs, now - this.#lastAt);
      this.#lastAt = now;
      this.acknowledged.push(n);
      await pause(5);
    }
  }

  async #write(store: EtcdStore, key: string): Promise<void> {
    const write = { guards: [{ key, revision: 0 }], puts: [{ key, value: key }], deletes: [], read: key };
    for (;;) {
      try {
        const [outcome] = (await store.write([write])).outcomes;
        // refused: an earlier attempt was applied though its answer was lost
        if (outcome?.taken || outcome?.found?.value === key) return;
        throw new Error(`${key} was refused`);
      } catch (error) {
        if (!isRollcallError(error) || error.code !== 'STORE_UNREACHABLE') throw error;
      }
    }
  }
}

/** One line for each change that a follower received. */
function follow(store: EtcdStore, after: number): string[] {
  const seen: string[] = [];
  store.follow(after, {
    changes: (revision, changes) => {
      for (const change of changes) seen.push(`${revision} ${'put' in change ? change.put.key : change.deleted}`);
    },
    alive: () => {},
    lost: () => void seen.push('lost'),
  });
  return seen;
}

describe.skipIf(reason !== undefined)('a client of three etcd members', () => {
  let nodes: readonly Node[] = [];
  const stores: EtcdStore[] = [];
  let written = 0;

  /** A client whose list begins with this member. */
  const open = (first: Node): EtcdStore => {
    const order = [first, ...nodes.filter((node) => node !== first)];
    const members = order.map(({ proxy }) => `127.0.0.1:${proxy.port}`).join(',');
    const store = new EtcdStore({ address: `etcd://${members}` });
    stores.push(store);
    return store;
  };

  beforeAll(async () => {
    const members = await startEtcds(3);
    nodes = await Promise.all(members.map(async (process) => ({ process, proxy: await startProxy(process.port) })));
  }, 60_000);

  afterAll(async () => {
    for (const store of stores) await store.close();
    for (const { process, proxy } of nodes) {
      await proxy.close();
      process.kill('SIGCONT');
      await process.close();
    }
  });

  const rounds = Object.keys(FAULTS).flatMap((name) =>
    Array.from({ length: ROUNDS }, (_, n) => [name, n + 1] as const),
  );

  it.each(rounds)('continues to write and misses no change when the leader is %s (%i)', async (name) => {
    const fault = FAULTS[name];
    if (fault === undefined) throw new Error(name);
    for (const { process } of nodes) await waitUntilHealthy(process.port);
    const leader = await findLeader(nodes);
    const store = open(leader);
    const { revision } = await store.list();
    const seen = follow(open(leader), revision);
    const writer = new Writer(store, written);
    await vi.waitFor(() => expect(writer.acknowledged.length).toBeGreaterThan(20), { timeout: 20_000 });
    const before = writer.acknowledged.length;
    fault.begin(leader);
    await vi.waitFor(() => expect(writer.acknowledged.length).toBeGreaterThan(before + 50), { timeout: 20_000 });
    await fault.end(leader);
    await writer.stop();
    written += writer.acknowledged.length;
    // the reference: a second follower, which reads the same span of the log without a fault
    for (const { process } of nodes) await waitUntilHealthy(process.port);
    const truth = follow(open(leader), revision);
    await vi.waitFor(() => expect(truth.length).toBe(writer.acknowledged.length), { timeout: 20_000 });
    await vi.waitFor(() => expect(seen).toEqual(truth), { timeout: 20_000 });
    console.log(`leader ${name}: no write for ${Math.round(writer.gapMs)} ms at most`);
    expect(writer.gapMs).toBeLessThanOrEqual(MAX_WRITE_GAP_MS);
    for (const one of stores.splice(0)) await one.close();
  });
});

if (reason !== undefined) it.skip(`a client of three etcd members: ${reason}`, () => {});
