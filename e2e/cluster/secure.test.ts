import { EtcdStore } from '@rollcall/registry/etcd';
import type { EtcdOptions } from '@rollcall/registry/etcd';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Certificates } from '../process/certificates.js';
import type { Pair } from '../process/certificates.js';
import { gateway, startEtcd, etcdSkipReason } from './etcd-process.js';
import type { EtcdProcess } from './etcd-process.js';

const reason = etcdSkipReason();
if (reason !== undefined) it.skip(`a client of an etcd with TLS and users: ${reason}`, () => {});

const stores: EtcdStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

function open(options: EtcdOptions): EtcdStore {
  const store = new EtcdStore(options);
  stores.push(store);
  return store;
}

/** Writes a key and reads it back. */
async function writeAndRead(store: EtcdStore, key: string): Promise<void> {
  const write = { guards: [{ key, revision: 0 }], puts: [{ key, value: 'x' }], deletes: [] };
  expect((await store.write([write])).outcomes).toEqual([{ taken: true }]);
  expect((await store.list()).items.map((item) => item.key)).toContain(key);
}

describe.skipIf(reason !== undefined)('a client of an etcd that requires client certificates', () => {
  const certificates = new Certificates();
  let etcd: EtcdProcess;
  let own: Pair;
  let ca: Pair;
  let other: Pair;
  beforeAll(async () => {
    ca = await certificates.createAuthority('ca');
    other = await certificates.createAuthority('other-ca');
    const server = await certificates.createSigned(ca);
    own = await certificates.createSigned(ca);
    const files = [
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${ca.certFile}`,
    ];
    etcd = await startEtcd({ isSecure: true, flags: [...files, '--client-cert-auth=true'] });
  }, 60_000);
  afterAll(async () => {
    await etcd?.close();
    certificates.remove();
  });
  const at = (): string => `etcds://127.0.0.1:${etcd.port}`;

  it('reads, writes and reports the version of etcd with a certificate of its CA', async () => {
    const store = open({ address: at(), tls: { caFile: ca.certFile, ...own } });
    await writeAndRead(store, 'certificate');
    const status = await store.status();
    expect(status).toMatchObject({ version: expect.stringMatching(/^3\.\d+\.\d+/), hasLeader: true });
    expect(status.revision).toBeGreaterThan(0);
  });

  it.each([
    ['without a certificate', () => ({ caFile: ca.certFile })],
    ['that trusts another CA', () => ({ caFile: other.certFile, ...own })],
  ])('rejects with STORE_UNREACHABLE and the reason %s', async (_, tls) => {
    await expect(open({ address: at(), tls: tls() }).list()).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringMatching(/certificate|TLS|alert/i),
    });
  });
});

describe.skipIf(reason !== undefined)('a client of an etcd that asks for users', () => {
  let etcd: EtcdProcess;
  beforeAll(async () => {
    etcd = await startEtcd({ flags: ['--auth-token=simple', '--auth-token-ttl=1'] });
    const key = Buffer.from('/rollcall/').toString('base64');
    const end = Buffer.from('/rollcall0').toString('base64');
    for (const [path, body] of [
      ['auth/user/add', { name: 'root', password: 'r' }],
      ['auth/role/add', { name: 'root' }],
      ['auth/user/grant', { user: 'root', role: 'root' }],
      ['auth/role/add', { name: 'registry' }],
      ['auth/role/grant', { name: 'registry', perm: { permType: 'READWRITE', key, range_end: end } }],
      ['auth/user/add', { name: 'registry', password: 'p' }],
      ['auth/user/grant', { user: 'registry', role: 'registry' }],
      ['auth/user/add', { name: 'stranger', password: 's' }],
      ['auth/enable', {}],
    ] as const)
      await gateway(etcd.port, path, body);
  }, 60_000);
  afterAll(() => etcd?.close());
  const as = (name: string, password: string): EtcdStore =>
    open({ address: `etcd://127.0.0.1:${etcd.port}`, user: { name, password } });

  it('reads and writes as a user with the rights, also after its token has expired', async () => {
    const store = as('registry', 'p');
    await writeAndRead(store, 'first');
    await pause(3_000); // etcd extends a token that is used: only an idle one expires
    await writeAndRead(store, 'second');
  });

  it('follows changes as such a user', async () => {
    const store = as('registry', 'p');
    const { revision } = await store.list();
    const seen: string[] = [];
    store.follow(revision, {
      changes: (_, changes) => {
        for (const change of changes) if ('put' in change) seen.push(change.put.key);
      },
      alive: () => {},
      lost: () => {},
    });
    await writeAndRead(store, 'third');
    await expect.poll(() => seen, { timeout: 10_000 }).toEqual(['third']);
  });

  it.each([
    ['with a wrong password', 'registry', 'wrong'],
    ['without rights for the prefix', 'stranger', 's'],
  ])('rejects with STORE_REFUSED %s', async (_, name, password) => {
    await expect(as(name, password).list()).rejects.toMatchObject({ code: 'STORE_REFUSED' });
  });

  it('rejects with STORE_REFUSED without a user', async () => {
    await expect(open({ address: `etcd://127.0.0.1:${etcd.port}` }).list()).rejects.toMatchObject({
      code: 'STORE_REFUSED',
    });
  });
});
