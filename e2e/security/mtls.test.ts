import { Rollcall } from '@rollcall/client';
import { recordingLog } from '@rollcall/core/testing';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry, StartOptions } from '@rollcall/registry';
import { createServer } from 'node:https';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openService } from '../fuzz/service.js';
import { Certificates } from '../process/certificates.js';
import type { Pair } from '../process/certificates.js';
import { writeOutdatedList, writeRevocationList, selfSigned, textOf } from './revocation.js';

const POLL = { timeout: 12_000, interval: 50 };
const ORDERS_NAMES = { names: ['URI:rollcall:service:orders'] };
const READER_NAMES = { names: ['URI:rollcall:reader'] };
const OPERATOR_NAMES = { names: ['URI:rollcall:operator'] };

const certificates = new Certificates();
let ca: Pair;
/** A CA that no participant trusts. */
let untrusted: Pair;
/** The certificate that `orders` serves with. */
let own: Pair;
let count = 0;

beforeAll(async () => {
  ca = await certificates.createAuthority('ca');
  untrusted = await certificates.createAuthority('stranger');
  own = await certificates.createSigned(ca, ORDERS_NAMES);
});
afterAll(() => certificates.remove());

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A registry, and functions that replace its files. */
async function startMtlsRegistry() {
  const log = recordingLog();
  count += 1;
  const [name, listName] = [`registry-${count}`, `list-${count}.crl`];
  const files = certificates.install(await certificates.createSigned(ca), name);
  const crlFile = await writeRevocationList(ca, [], certificates, listName);
  const tls = { ...files, caFile: ca.certFile, crlFile };
  const heartbeatTls = { caFile: ca.certFile };
  const options: StartOptions = { port: 0, preset: 'fast', intervalMs: 200, log, tls, heartbeatTls };
  const registry: RunningRegistry = await startRegistry(options);
  cleanups.push(() => registry.close());
  return {
    log,
    url: registry.url,
    renew: async () => certificates.install(await certificates.createSigned(ca), name),
    revoked: (pair: Pair) => writeRevocationList(ca, [pair], certificates, listName),
    outdated: () => writeOutdatedList(ca, certificates, listName),
    updated: () => writeRevocationList(ca, [], certificates, listName),
  };
}

/** A process with the service `orders`, which answers Heartbeat-1 over HTTPS and requires a client certificate. */
async function startService(url: string, shown: Pair | null) {
  const log = recordingLog();
  const registryTls = { caFile: ca.certFile, ...shown };
  const rollcall = new Rollcall({ registry: url, service: 'orders', registryTls }, { log });
  const asked = { ...textOf(own), ca: textOf(ca).cert, requestCert: true, rejectUnauthorized: true };
  let calls = 0;
  const server = createServer(asked, () => (calls += 1));
  cleanups.push((await openService(rollcall, server)).close);
  return { rollcall, log, calls: () => calls };
}

async function caller(url: string, pair: Pair): Promise<Rollcall> {
  const rollcall = new Rollcall({ registry: url, registryTls: { caFile: ca.certFile, ...pair } });
  cleanups.push(() => rollcall.close());
  rollcall.start();
  return rollcall;
}

describe('between a registry and its clients, with certificates alone', () => {
  it('a service is HEALTHY and is found by a reader; the registry shows its own certificate to services that require one', async () => {
    const { url } = await startMtlsRegistry();
    const member = await startService(url, own);
    await expect.poll(() => member.rollcall.state, POLL).toBe('HEALTHY');
    const reader = await caller(url, await certificates.createSigned(ca, READER_NAMES));
    const states = async (): Promise<readonly string[]> => (await reader.instances('orders')).map(({ state }) => state);
    await expect.poll(states, POLL).toEqual(['HEALTHY']);
  });

  it.each([
    ['none', async (): Promise<Pair | null> => null, /certificate/],
    ['one that has signed itself', () => selfSigned(certificates, 'rollcall:service:orders'), /self-signed/],
    [
      'that of another CA',
      () => certificates.createSigned(untrusted, ORDERS_NAMES),
      /no CA of this registry has signed it/,
    ],
    ['one that has expired', () => certificates.createSigned(ca, { ...ORDERS_NAMES, days: 0 }), /has expired/],
    [
      'one without such a name',
      () => certificates.createSigned(ca, { names: ['DNS:orders.internal'] }),
      /names are .*DNS:orders\.internal/,
    ],
    [
      'that of another service',
      () => certificates.createSigned(ca, { names: ['URI:rollcall:service:mail'] }),
      /is for mail; received orders/,
    ],
    ['that of a reader', () => certificates.createSigned(ca, READER_NAMES), /has the role reader/],
    ['that of an operator', () => certificates.createSigned(ca, OPERATOR_NAMES), /has the role operator/],
  ] as const)('with %s a registration is refused with the reason', async (_, pairOf, why) => {
    const { url } = await startMtlsRegistry();
    const pair = await pairOf();
    const { rollcall, log } = await startService(url, pair);
    await expect.poll(() => log.texts('error').join('\n'), POLL).toMatch(why);
    expect(rollcall.state).not.toBe('HEALTHY');
    const operator = await caller(url, await certificates.createSigned(ca, OPERATOR_NAMES));
    expect(await operator.instances('orders').catch(() => [])).toEqual([]);
  });
});

describe('while they are connected', () => {
  it('every certificate is replaced, the old ones are revoked, and a service stays HEALTHY', async () => {
    const { url, renew, revoked, log: registryLog } = await startMtlsRegistry();
    const first = certificates.copy(await certificates.createSigned(ca, ORDERS_NAMES), 'first');
    const files = certificates.copy(first, 'orders');
    const { rollcall, log, calls } = await startService(url, files);
    await expect.poll(() => rollcall.state, POLL).toBe('HEALTHY');
    const reader = await caller(url, await certificates.createSigned(ca, READER_NAMES));
    const since = async (): Promise<readonly number[]> => (await reader.instances('orders')).map((one) => one.since);
    const before = await since();
    /** Each round has a Heartbeat-1 and a Heartbeat-2: after three without one the service would not be HEALTHY. */
    const rounds = async (): Promise<void> => {
      const at = calls();
      await expect.poll(() => calls() - at, POLL).toBeGreaterThan(5);
      expect(rollcall.state).toBe('HEALTHY');
    };
    await renew();
    certificates.install(await certificates.createSigned(ca, ORDERS_NAMES), 'orders');
    await expect.poll(() => registryLog.texts('info').join('\n'), POLL).toContain('will be used from now on');
    await rounds();
    await revoked(first);
    await expect.poll(() => registryLog.texts('info').join('\n'), POLL).toMatch(/[1-9]\d* connections .* are closed/);
    await rounds();
    expect(await since()).toEqual(before);
    expect(log.texts('error')).toEqual([]);
  });

  it('one is revoked: it is refused from then on, and the others are not', async () => {
    const { url, revoked } = await startMtlsRegistry();
    const revokedPair = await certificates.createSigned(ca, ORDERS_NAMES);
    const lost = await startService(url, revokedPair);
    const service = await startService(url, own);
    await expect.poll(() => lost.rollcall.state, POLL).toBe('HEALTHY');
    await expect.poll(() => service.rollcall.state, POLL).toBe('HEALTHY');
    await revoked(revokedPair);
    await expect.poll(() => lost.log.texts('error').join('\n'), POLL).toMatch(/was revoked/);
    const reader = await caller(url, await certificates.createSigned(ca, READER_NAMES));
    const states = async (): Promise<readonly string[]> =>
      (await reader.instances('orders')).map(({ state }) => state).toSorted();
    await expect.poll(states, POLL).toEqual(expect.arrayContaining(['HEALTHY']));
    await expect.poll(() => states().then((all) => all.filter((state) => state === 'HEALTHY').length), POLL).toBe(1);
    expect(service.rollcall.state).toBe('HEALTHY');
    expect(service.log.texts('error')).toEqual([]);
  });

  it('the revocation list is outdated for a while: the fleet keeps beating, and stays listed', async () => {
    const { url, outdated: setOutdatedList, updated: setUpdatedList } = await startMtlsRegistry();
    const fleet = [await startService(url, own), await startService(url, own)];
    const states = () => fleet.map(({ rollcall }) => rollcall.state);
    await expect.poll(states, POLL).toEqual(['HEALTHY', 'HEALTHY']);
    await setOutdatedList();
    for (const { log, calls } of fleet) {
      await expect.poll(() => log.texts('error').join('\n'), POLL).toMatch(/list of its CA is out of date/);
      const at = calls();
      await expect.poll(() => calls() - at, POLL).toBeGreaterThan(5);
    }
    expect(states()).not.toContain(null);
    await setUpdatedList();
    const reader = await caller(url, await certificates.createSigned(ca, READER_NAMES));
    const listed = async () => (await reader.instances('orders')).map(({ state }) => state);
    await expect.poll(listed, POLL).toEqual(['HEALTHY', 'HEALTHY']);
    for (const { log } of fleet) {
      expect(log.texts('error')).toHaveLength(1);
      expect(log.texts('info').filter((text) => text.endsWith('is registered again.'))).toEqual([]);
    }
  });
});
