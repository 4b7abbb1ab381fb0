import { setTimeout as pause } from 'node:timers/promises';
import { it } from 'vitest';
import { EtcdStore } from '@rollcall/registry/etcd';
// eslint-disable-next-line no-restricted-imports -- contract suites are not built
import { describeClusterStore } from '../../packages/registry/src/store/cluster/contract.js';
import { gateway, startEtcd, etcdSkipReason } from './etcd-process.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const reason = etcdSkipReason();
if (reason !== undefined) it.skip(`the contract of a shared store on etcd: ${reason}`, () => {});
else
  describeClusterStore('etcd', async () => {
    const etcd = await startEtcd();
    const stores: EtcdStore[] = [];
    return {
      open: async () => {
        const store = new EtcdStore({ address: `etcd://127.0.0.1:${etcd.port}` });
        stores.push(store);
        return store;
      },
      pass: (ms) => pause(ms),
      compact: async (revision) => void (await gateway(etcd.port, 'kv/compaction', { revision })),
      revoke: async (key) => {
        const { kvs } = await gateway(etcd.port, 'kv/range', { key: base64(`/rollcall/${key}`) });
        const [item] = kvs as { lease: string }[];
        await gateway(etcd.port, 'lease/revoke', { ID: item?.lease });
      },
      close: async () => {
        for (const store of stores) await store.close();
        await etcd.close();
      },
    };
  });
