import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { EventEmitter, once } from 'node:events';
import { createServer as createSecureServer } from 'node:https';
import { connect as connectPlain, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GuardedRegistry } from './authorization.fixture.js';
import type { Pair } from './pki.fixture.js';
import { listsOf } from './revocation-lists.js';
import { TestPki, POLL } from './tls.fixture.js';
import { ServerTls } from './tls.js';

let pki: TestPki;
beforeAll(async () => {
  pki = await TestPki.make();
});
afterEach(() => pki.clear());
afterAll(() => pki.close());

const REQUEST = 'GET /api/v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';

/** A registry with a revocation list, and how to put a new one in its place. */
async function listed(name: string) {
  const crlFile = await pki.pki.write(name, await pki.pki.revocationList());
  const registry = await pki.registry({ crlFile });
  const reloads = () => registry.log.texts('info').filter((text) => text.includes('fewer are trusted now')).length;
  return {
    registry,
    /** Resolves when the new list, which includes these, is in effect. */
    revoke: async (...pairs: readonly Pair[]): Promise<void> => {
      const before = reloads();
      await pki.pki.write(name, await pki.pki.revocationList(...pairs));
      await expect.poll(reloads, POLL).toBe(before + 1);
    },
    rewrite: async () => void (await pki.pki.write(name, await pki.pki.revocationList())),
  };
}

/** A connection, and all bytes received over it. */
function dial(registry: GuardedRegistry, options: ConnectionOptions) {
  const port = Number(new URL(registry.url).port);
  const socket = connect({ host: '127.0.0.1', port, ca: pki.pki.ca, ...options });
  pki.add({ close: async () => socket.destroy() });
  const received = { text: '', isOver: false };
  socket.on('data', (part: Buffer) => (received.text += String(part)));
  socket.on('error', () => {});
  socket.once('close', () => (received.isOver = true));
  return { socket, received };
}

/** A path to a registry on which all bytes of a client after its first message are held back until `release`. */
async function holdingBack(registry: GuardedRegistry) {
  const signs = new EventEmitter();
  const [held, spoken] = [once(signs, 'release'), once(signs, 'spoken')];
  const proxy = createServer((near) => {
    const far = connectPlain(Number(new URL(registry.url).port), '127.0.0.1');
    let isFirst = true;
    near.on('data', (part) => {
      if (isFirst) far.write(part);
      else void held.then(() => far.write(part));
      isFirst = false;
    });
    far.once('data', () => signs.emit('spoken'));
    far.pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.once('close', () => other.destroy());
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  pki.add({ close: async () => void proxy.close() });
  return { port: (proxy.address() as AddressInfo).port, spoken, release: () => signs.emit('release') };
}

describe('a certificate that is revoked', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is refused if it is revoked during the handshake, over ${maxVersion}`, async () => {
      const doomed = await pki.pki.sign({ sans: ['URI:rollcall:operator'] });
      const { registry, revoke } = await listed(`stalled-${maxVersion}.crl`);
      const way = await holdingBack(registry);
      const { socket, received } = dial(registry, { port: way.port, maxVersion, ...doomed });
      socket.write(REQUEST);
      await way.spoken;
      await revoke(doomed);
      way.release();
      await expect.poll(() => received.isOver || received.text !== '', POLL).toBe(true);
      expect(received).toEqual({ text: '', isOver: true });
      expect((await registry.ask('/api/v1/services', { certificate: pki.reader })).status).toBe(200);
    });
  }

  it('ends queued requests: their connection is closed', async () => {
    const { registry, rewrite } = await listed('queue.crl');
    // they send requests all the time, so that many wait at the moment when the list changes
    const crowd = Array.from({ length: 40 }, () => dial(registry, pki.reader));
    for (const { socket } of crowd) {
      socket.on('data', () => socket.write(REQUEST));
      socket.write(REQUEST);
    }
    await expect.poll(() => crowd.every(({ received }) => received.text.includes(' 200 ')), POLL).toBe(true);
    await rewrite();
    await expect.poll(() => crowd.every(({ received }) => received.isOver), POLL).toBe(true);
    expect(crowd.filter(({ received }) => received.text.includes(' 401 '))).toHaveLength(0);
  });

  it('ends waiting long polls: their connection is closed', async () => {
    const { registry, revoke } = await listed('poll.crl');
    const doomed = await pki.pki.sign({ sans: ['URI:rollcall:reader'] });
    await registry.enrol(await pki.pki.sign({ sans: ['URI:rollcall:service:orders'] }));
    const { socket, received } = dial(registry, doomed);
    const { revision } = (await registry.ask('/api/v1/services/orders', { certificate: pki.reader })).body;
    socket.write(`GET /api/v1/services/orders?revision=${revision}&waitMs=30000 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
    const watchers = async (): Promise<number> =>
      (await registry.ask('/api/v1/registry', { certificate: pki.reader })).body.watchers;
    await expect.poll(watchers, POLL).toBe(1);
    await revoke(doomed);
    await expect.poll(() => received.isOver, POLL).toBe(true);
    expect(received.text).toBe('');
  });

  it('cannot be shown after the handshake', async () => {
    const { registry } = await listed('later.crl');
    const { socket, received } = dial(registry, { maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    socket.setKeyCert(pki.operator);
    socket.renegotiate({}, () => socket.write(REQUEST));
    await expect.poll(() => received.isOver || received.text !== '', POLL).toBe(true);
    expect(received).toEqual({ text: '', isOver: true });
  });
});

/** Sends one request, with an earlier session if given: the response, and the sessions to continue with. */
async function resumed(registry: GuardedRegistry, options: ConnectionOptions) {
  const { socket, received } = dial(registry, options);
  const sessions: Buffer[] = [];
  socket.on('session', (session: Buffer) => sessions.push(session));
  await once(socket, 'secureConnect');
  const isReused = socket.isSessionReused();
  socket.write(REQUEST);
  await expect.poll(() => received.text, POLL).toMatch(/^HTTP/);
  socket.destroy();
  return { sessions, isReused, status: received.text.slice(9, 12) };
}

describe('a session', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is never resumed if clients show certificates, over ${maxVersion}: each handshake verifies them again`, async () => {
      const { registry } = await listed(`sessions-${maxVersion}.crl`);
      const options = { maxVersion, ...pki.operator };
      const { sessions, status } = await resumed(registry, options);
      expect(status).toBe('200');
      expect(sessions).not.toEqual([]);
      for (const session of sessions)
        expect(await resumed(registry, { ...options, session })).toMatchObject({ isReused: false, status: '200' });
    });
  }

  it('is resumed if no client certificates are requested', async () => {
    const registry = await pki.registry({ caFile: undefined });
    const { sessions } = await resumed(registry, {});
    expect(await resumed(registry, { session: sessions.at(-1) })).toMatchObject({ isReused: true });
  });
});

/** Only the TLS side of a registry, with a clock that a test advances and that starts `aheadMs` ahead. */
async function clocked(name: string, list?: string, aheadMs = 0) {
  const crlFile = await pki.pki.write(name, list ?? (await pki.pki.revocationList()));
  const [time, log, files] = [new ManualTime({ wallMs: Date.now() + aheadMs }), recordingLog(), await pki.writeFiles()];
  const tls = new ServerTls({ ...files, crlFile }, { log, time });
  const server = createSecureServer(tls.serverOptions);
  tls.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  pki.add({
    close: async () => {
      tls.close();
      server.close();
    },
  });
  /** Both ends of a new connection. */
  const meet = async ({ cert, key }: Pair) => {
    const { port } = server.address() as AddressInfo;
    const met = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const near = connect({ host: '127.0.0.1', port, ca: pki.pki.ca, cert, key }).resume();
    near.on('error', () => {});
    pki.add({ close: async () => near.destroy() });
    const [far] = await met;
    return { near, far };
  };
  const rewrite = async (...revoked: readonly Pair[]) =>
    void (await pki.pki.write(name, await pki.pki.revocationList(...revoked)));
  return { time, log, files, tls, server, meet, rewrite };
}

describe('a revocation list that goes out of date', () => {
  it('ends every connection with a client certificate, as no client of its CA is trusted any more', async () => {
    const { time, log, tls, meet } = await clocked('passing.crl', await pki.pki.passingList(600));
    const { near, far } = await meet(pki.operator);
    const closed = once(near, 'close');
    const warnings = () => log.texts('warn').filter((text) => text.includes('passing.crl'));
    await time.advanceBy(440_000);
    expect(warnings()).toEqual([]);
    await time.advanceBy(20_000);
    expect(warnings()).toEqual([expect.stringMatching(/ends in 3 min.*not trusted/)]);
    expect(tls.isRetired(far)).toBe(false);
    await time.advanceBy(140_000);
    expect(tls.isRetired(far)).toBe(true);
    expect(log.texts('error')).toEqual([expect.stringMatching(/passing\.crl.* out of date.*no longer trusted/)]);
    await time.advanceBy(1_000);
    await closed;
    await time.advanceBy(60_000);
    expect(log.texts('error')).toHaveLength(1);
  });

  it('is logged before one that expires later, in any order in the file', async () => {
    const [later, sooner] = [await pki.pki.passingList(700), await pki.pki.passingList(600)];
    const { log } = await clocked('two.crl', later + sooner, 540_000);
    const warnings = log.texts('warn').filter((text) => text.includes('two.crl'));
    expect(warnings).toEqual([expect.stringContaining('ends in 1 min')]);
  });

  it('trusts no client of its CA afterwards', async () => {
    const list = await pki.pki.passingList(1);
    await expect.poll(() => Date.now() > Math.max(...listsOf(list).terms.map(({ until }) => until)), POLL).toBe(true);
    const { tls, log, meet } = await clocked('over.crl', list);
    expect(tls.shownBy((await meet(pki.operator)).far)?.standing.kind).toBe('untrusted');
    expect(log.texts('error')).toEqual([expect.stringContaining('out of date')]);
  });

  it('is replaced as soon as a new list exists', async () => {
    const { time, log, tls, meet, rewrite } = await clocked('renewed.crl', await pki.pki.passingList(600));
    await rewrite();
    await time.advanceBy(1_000);
    const { far } = await meet(pki.operator);
    await time.advanceBy(700_000);
    expect(tls.isRetired(far)).toBe(false);
    expect(log.texts('error')).toEqual([]);
  });
});

describe('a registry whose files have changed', () => {
  it('refuses a revoked certificate after one second of the registry’s clock, and ends its connections after two', async () => {
    const doomed = await pki.pki.sign({ sans: ['URI:rollcall:reader'] });
    const { time, tls, meet, rewrite } = await clocked('clocked.crl');
    const before = await meet(doomed);
    expect(tls.shownBy(before.far)?.standing.kind).toBe('valid');
    const closed = once(before.near, 'close');
    await rewrite(doomed);
    await time.advanceBy(1_000);
    expect(tls.isRetired(before.far)).toBe(true);
    expect(tls.shownBy(before.far)).toBeNull();
    expect(tls.shownBy((await meet(doomed)).far)?.standing.kind).toBe('untrusted');
    expect(tls.shownBy((await meet(pki.reader)).far)?.standing.kind).toBe('valid');
    await time.advanceBy(1_000);
    expect(before.far.destroyed).toBe(true);
    await closed;
  });

  it('keeps the former ones if Node cannot use the new ones, and logs that once', async () => {
    const { time, log, files, tls, server, meet } = await clocked('unusable.crl');
    const setContext = server.setSecureContext.bind(server);
    server.setSecureContext = () => {
      throw new Error('ee key too small');
    };
    const first = tls.describe().fingerprint;
    const next = await pki.pki.sign({ sans: ['IP:127.0.0.1'] });
    const nameOf = (path: string): string => path.slice(pki.pki.folder.length + 1);
    await pki.pki.write(nameOf(files.certFile), next.cert);
    await pki.pki.write(nameOf(files.keyFile), next.key);
    for (let second = 0; second < 3; second += 1) await time.advanceBy(1_000);
    expect(log.texts('error')).toEqual([expect.stringMatching(/cannot serve with them: ee key too small.*previous/)]);
    expect(tls.describe().fingerprint).toBe(first);
    expect((await meet(pki.reader)).near.getPeerX509Certificate()?.fingerprint256).toBe(first);
    server.setSecureContext = setContext;
    await time.advanceBy(1_000);
    expect(tls.describe().fingerprint).not.toBe(first);
    expect((await meet(pki.reader)).near.getPeerX509Certificate()?.fingerprint256).toBe(tls.describe().fingerprint);
  });
});
