import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import type { Server, ServerOptions } from 'node:https';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { HttpRegistryClient, RegistryTls, Rollcall } from '@rollcall/client';
import type { RegistryTlsTerms } from '@rollcall/client';
import { systemTime } from '@rollcall/core';
import type { Log } from '@rollcall/core';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Certificates, fingerprintOf, textOf } from './certificates.js';
import type { Pair } from './certificates.js';
import { start } from './spawn.js';
import { waitFor } from './wait-for.js';

const made = new Certificates();
let ca: Pair;
let caFile = '';
let server: Pair;
let client: Pair;
beforeAll(async () => {
  ca = await made.createAuthority('ca');
  caFile = ca.certFile;
  server = await made.createSigned(ca);
  client = await made.createSigned(ca, { names: ['URI:rollcall:service:orders'] });
});
afterAll(() => made.remove());

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

const shown = ({ certFile, keyFile }: Pair): ServerOptions => ({ cert: textOf(certFile), key: textOf(keyFile) });
const urlAt = (scheme: string, one: Pick<Server, 'address'>): string =>
  `${scheme}://127.0.0.1:${(one.address() as AddressInfo).port}`;

/** A server with the TLS of a registry that only accepts registrations. Records the certificates that clients show. */
async function serve(options: ServerOptions): Promise<{ server: Server; clients: string[] }> {
  const clients: string[] = [];
  const one = createServer(options, (request, response) => {
    clients.push((request.socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? 'none');
    response.writeHead(503, { 'content-type': 'application/problem+json' });
    response.end(
      JSON.stringify({
        type: 'urn:rollcall:NOT_READY',
        title: 'x',
        status: 503,
        code: 'NOT_READY',
        detail: 'Later.',
        fix: 'Wait.',
      }),
    );
  });
  one.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
  await once(one, 'listening');
  open.push({ close: () => one.closeAllConnections() ?? one.close() });
  return { server: one, clients };
}

/** A process that only calls others: its log lines about the registry. */
function startCaller(registry: string | readonly string[], registryTls?: RegistryTlsTerms): string[] {
  const lines: string[] = [];
  const tell = (text: string): void => void lines.push(text);
  const log: Log = { debug() {}, info: tell, warn: tell, error: tell };
  const caller = new Rollcall({ registry, registryTls }, { log });
  open.push(caller);
  caller.service('orders');
  caller.start();
  return lines;
}

const logged = (lines: readonly string[], match: RegExp): Promise<unknown> =>
  waitFor(`a line matches ${match}`, () => lines.some((text) => match.test(text))).catch((error: unknown) => {
    throw new Error(`${String(error)}; the lines were: ${lines.join(' | ')}`);
  });

describe('a process that cannot reach a registry over TLS', () => {
  it.each<[string, () => Promise<ServerOptions>, () => RegistryTlsTerms | undefined, RegExp]>([
    [
      'of a CA that is not configured',
      async () => shown(server),
      () => undefined,
      /signed by no CA that is trusted.*ROLLCALL_CA_FILE/,
    ],
    [
      'that is over',
      async () => shown(await made.createSigned(ca, { days: 0 })),
      () => ({ caFile }),
      /certificate has expired/,
    ],
    [
      'for another name',
      async () => shown(server),
      () => ({ caFile, serverName: 'other' }),
      /not for this name.*serverName/,
    ],
    [
      'from a registry that asks for one, and gets none',
      async () => ({ ...shown(server), ca: textOf(caFile), requestCert: true }),
      () => ({ caFile }),
      /asks for a client certificate.*ROLLCALL_CERT_FILE/,
    ],
  ])('logs why it gets a certificate %s', async (_, options, terms, pattern) => {
    const { server: one } = await serve(await options());
    await logged(startCaller(urlAt('https', one), terms()), pattern);
  });

  it('logs why when it sends plain text to TLS, and the other way round', async () => {
    const { server: secure } = await serve(shown(server));
    await logged(startCaller(urlAt('http', secure)), /speaks TLS.*https:\/\//);
    const plain = createPlainServer().listen(0, '127.0.0.1');
    await once(plain, 'listening');
    open.push({ close: () => plain.close() });
    await logged(startCaller(urlAt('https', plain)), /speaks no TLS.*http:\/\//);
    await logged(startCaller(urlAt('http', plain), { caFile }), /registryTls is not used.*https:\/\//);
  });

  it('tries the next of several registries', async () => {
    const untrustedCa = await made.createAuthority('strangers');
    const { server: untrustedServer } = await serve(shown(await made.createSigned(untrustedCa)));
    const { server: one, clients } = await serve(shown(server));
    startCaller([urlAt('https', untrustedServer), urlAt('https', one)], { caFile });
    await waitFor('the second is asked', () => clients.length > 0);
  });

  it('prints why when it is a command', async () => {
    const { server: one } = await serve({ ...shown(server), ca: textOf(caFile), requestCert: true });
    const ls = async (...args: string[]): Promise<string> => {
      const child = start('rollcall', ['ls', '--url', urlAt('https', one), ...args]);
      await child.exited;
      return child.err.join('\n');
    };
    expect(await ls()).toMatch(/cannot be reached.*no CA that is trusted here.*--ca-file/);
    expect(await ls('--ca-file', caFile)).toMatch(/asks for a client certificate.*--cert-file/);
    expect(await ls('--ca-file', caFile, '--cert-file', client.certFile)).toContain(
      '--cert-file is there without --key-file',
    );
    expect(await ls('--ca-file', made.folder)).toMatch(
      /registryTls: the certificates or the key cannot be read: EISDIR/,
    );
    const certificateArgs = ['--ca-file', caFile, '--cert-file', client.certFile, '--key-file', client.keyFile];
    expect(await ls(...certificateArgs)).toContain('Later. Wait.');
  });
});

describe('a certificate, and no token', () => {
  it('permits every request of a service to a registry', async () => {
    const registry = await startTestRegistry({ intervalMs: 60_000, tls: { ...server, caFile } });
    open.push(registry);
    const link = new HttpRegistryClient({
      url: registry.url,
      time: systemTime,
      tls: new RegistryTls({ caFile, ...client }),
    });
    open.push(link);
    const proof = { id: 'orders-1', secret: 'a-secret-of-132-bits-22' };
    // it listens: an instance that is deregistering and then refused has left
    const door = createPlainServer(() => {}).listen(0, '127.0.0.1');
    await once(door, 'listening');
    open.push({ close: () => void door.close() });
    const endpoints = [{ protocol: 'tcp' as const, port: (door.address() as AddressInfo).port }];
    const asked = { namespace: 'default', service: 'orders', revision: null, waitMs: 0 };
    const opened = new Promise<string>((resolve) => {
      const [frame, mark, batch] = [(): void => {}, (): void => {}, (deliver: () => void) => deliver()];
      const sink = { opened: () => resolve('opened'), frame, mark, batch, closed: () => resolve('closed') };
      link.watch({ namespace: 'default', services: ['orders'], resume: [], cursor: null, line: null }, sink);
    });
    const answers = [
      await link.register({ ...proof, service: 'orders', endpoints }),
      await link.beat(proof, { nonce: null, seq: 1 }),
      await link.beat(proof, { nonce: null, seq: 2 }, { fresh: false }),
      await link.beat(proof, { nonce: null, seq: 3 }, { fresh: false }),
      await link.suspect('orders-1', { by: 'orders-1', outcome: 'timeout' }),
      await link.poll({ ...asked, signal: new AbortController().signal }),
      await link.drain(proof, {}),
      await link.leave(proof),
    ];
    expect(answers.filter(({ ok }) => !ok)).toEqual([]);
    expect(await opened).toBe('opened');
    const foreign = await link.register({ ...proof, id: 'users-1', service: 'users', endpoints });
    expect(foreign).toMatchObject({ ok: false, problem: { code: 'FORBIDDEN' } });
  });
});

describe('certificate files', () => {
  it('are reloaded as soon as they change; unusable ones change nothing, and are logged', async () => {
    const own = made.install(await made.createSigned(ca, { names: ['URI:rollcall:reader'] }), 'own');
    const { server: one, clients } = await serve({ ...shown(server), ca: textOf(caFile), requestCert: true });
    const lines = startCaller(urlAt('https', one), { caFile, ...own });
    const first = fingerprintOf(own);
    await waitFor('the first is shown', () => clients.includes(first));

    const next = await made.createSigned(ca, { names: ['URI:rollcall:reader'] });
    const key = textOf(own.keyFile);
    writeFileSync(own.keyFile, key.slice(0, key.length / 2));
    await logged(lines, /cannot be used: .*own.key is truncated.*connections use the previous files/);
    const before = clients.length;
    await waitFor('it continues', () => clients.length > before + 1);
    expect(new Set(clients)).toEqual(new Set([first]));

    made.install(next, 'own');
    await waitFor('the next is shown', () => clients.includes(fingerprintOf(own)));
    expect(lines.filter((text) => text.includes('will be used from now on'))).toHaveLength(1);
  });

  it('are reported at the start when they are missing', () => {
    expect(() => new Rollcall({ registryTls: { caFile: 'nowhere.pem' } })).toThrow(/^Option registryTls: .*ENOENT/);
    const other = { certFile: client.certFile, keyFile: server.keyFile };
    expect(() => new Rollcall({ registryTls: { caFile, ...other } })).toThrow(/registryTls.*mismatch/);
  });
});
