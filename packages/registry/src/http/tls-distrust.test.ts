import { EventEmitter, once } from 'node:events';
import { connect as connectPlain, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Guarded } from './access.fixture.js';
import type { Pair } from './pki.fixture.js';
import { Court, soon } from './tls.fixture.js';

let court: Court;
beforeAll(async () => {
  court = await Court.make();
});
afterEach(() => court.clear());
afterAll(() => court.close());

const REQUEST = 'GET /api/v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';

/** A registry with a revocation list, and how to put a new one in its place. */
async function listed(name: string) {
  const crlFile = await court.pki.write(name, await court.pki.revocationList());
  const registry = await court.registry({ crlFile });
  const reloads = () => registry.log.texts('info').filter((text) => text.includes('fewer are trusted now')).length;
  return {
    registry,
    /** Resolves when the new list, with these on it, counts. */
    revoke: async (...pairs: readonly Pair[]): Promise<void> => {
      const before = reloads();
      await court.pki.write(name, await court.pki.revocationList(...pairs));
      await expect.poll(reloads, soon).toBe(before + 1);
    },
    rewrite: async () => void (await court.pki.write(name, await court.pki.revocationList())),
  };
}

/** A connection, and all that comes over it. */
function dial(registry: Guarded, options: ConnectionOptions) {
  const port = Number(new URL(registry.url).port);
  const socket = connect({ host: '127.0.0.1', port, ca: court.pki.ca, ...options });
  court.add({ close: async () => socket.destroy() });
  const heard = { text: '', isOver: false };
  socket.on('data', (part: Buffer) => (heard.text += String(part)));
  socket.on('error', () => {});
  socket.once('close', () => (heard.isOver = true));
  return { socket, heard };
}

/** The way to a registry on which all that a client says after its first word is held back until `release`. */
async function holdingBack(registry: Guarded) {
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
  court.add({ close: async () => void proxy.close() });
  return { port: (proxy.address() as AddressInfo).port, spoken, release: () => signs.emit('release') };
}

describe('a certificate that is revoked', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`opens nothing while its handshake is under way, over ${maxVersion}`, async () => {
      const doomed = await court.pki.sign({ sans: ['URI:rollcall:operator'] });
      const { registry, revoke } = await listed(`stalled-${maxVersion}.crl`);
      const way = await holdingBack(registry);
      const { socket, heard } = dial(registry, { port: way.port, maxVersion, ...doomed });
      socket.write(REQUEST);
      await way.spoken;
      await revoke(doomed);
      way.release();
      await expect.poll(() => heard.isOver || heard.text !== '', soon).toBe(true);
      expect(heard).toEqual({ text: '', isOver: true });
      expect((await registry.ask('/api/v1/services', { certificate: court.reader })).status).toBe(200);
    });
  }

  it('leaves no request to be answered that waits for its turn: its connection is closed', async () => {
    const { registry, rewrite } = await listed('queue.crl');
    // they ask all the time, so that many wait in whichever moment the list changes
    const crowd = Array.from({ length: 40 }, () => dial(registry, court.reader));
    for (const { socket } of crowd) {
      socket.on('data', () => socket.write(REQUEST));
      socket.write(REQUEST);
    }
    await expect.poll(() => crowd.every(({ heard }) => heard.text.includes(' 200 ')), soon).toBe(true);
    await rewrite();
    await expect.poll(() => crowd.every(({ heard }) => heard.isOver), soon).toBe(true);
    expect(crowd.filter(({ heard }) => heard.text.includes(' 401 '))).toHaveLength(0);
  });

  it('was never one that was shown after the handshake', async () => {
    const { registry } = await listed('later.crl');
    const { socket, heard } = dial(registry, { maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    socket.setKeyCert(court.operator);
    socket.renegotiate({}, () => socket.write(REQUEST));
    await expect.poll(() => heard.isOver || heard.text !== '', soon).toBe(true);
    expect(heard).toEqual({ text: '', isOver: true });
  });
});
