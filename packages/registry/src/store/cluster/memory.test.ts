import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { describeClusterStore } from './contract.js';
import { ClusterMemory } from './memory.js';
import type { ClusterStore } from './cluster-store.js';

describeClusterStore('memory', async () => {
  const time = new ManualTime();
  const memory = new ClusterMemory(time);
  const stores: ClusterStore[] = [];
  return {
    open: async () => {
      const store = memory.open();
      stores.push(store);
      return store;
    },
    pass: (ms) => time.advanceBy(ms),
    compact: async (revision) => memory.compact(revision),
    revoke: async (key) => memory.revoke(key),
    close: async () => {
      for (const store of stores) await store.close();
    },
  };
});

describe('ClusterMemory', () => {
  it('leaves no timer when its handles are closed and its leases have ended', async () => {
    const time = new ManualTime();
    const store = new ClusterMemory(time).open();
    store.follow(0, { changes() {}, alive() {}, lost() {} });
    await store.join('replicas/a', '', 2_000);
    await store.close();
    await time.advanceBy(2_000);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
