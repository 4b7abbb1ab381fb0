import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { once } from 'node:events';
import { connect as connectPlain, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ENDPOINT } from './access.fixture.js';
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
async function listed(name: string, but: Parameters<Court['registry']>[1] = {}) {
  const crlFile = await court.pki.write(name, await court.pki.revocationList());
  const registry = await court.registry({ crlFile }, but);
  const reloads = () => registry.log.texts('info').filter((text) => text.includes('fewer are trusted now')).length;
  return {
    registry,
    /** Resolves when the new list, with these on it, counts. */
    async revoke(...pairs: readonly Pair[]): Promise<void> {
      const before = reloads();
      await court.pki.write(name, await court.pki.revocationList(...pairs));
      await expect.poll(reloads, soon).toBe(before + 1);
    },
    rewrite: async () => void (await court.pki.write(name, await court.pki.revocationList())),
    reloads,
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
  let release = (): void => {};
  let hasSpoken = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const spoken = new Promise<void>((resolve) => (hasSpoken = resolve));
  const proxy = createServer((near) => {
    const far = connectPlain(Number(new URL(registry.url).port), '127.0.0.1');
    let isFirst = true;
    near.on('data', (part) => {
      if (isFirst) far.write(part);
      else void held.then(() => far.write(part));
      isFirst = false;
    });
    far.once('data', () => hasSpoken());
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
  return { port: (proxy.address() as AddressInfo).port, spoken, release: () => release() };
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

  it('leaves no request to be answered that waits for its turn: the connection is closed', async () => {
    const { registry, rewrite } = await listed('queue.crl');
    const { socket, heard } = dial(registry, court.reader);
    const most = 300;
    const countOf = (status: number): number => heard.text.split(`HTTP/1.1 ${status} `).length - 1;
    const flood = (): void => {
      heard.text = '';(globalThis as any).floods=((globalThis as any).floods??0)+1;
      socket.write(REQUEST.repeat(most));
    };
    // a flood all the time, so that many wait in whichever moment the list changes
    socket.on('data', () => {
      if (countOf(200) === most) flood();
    });
    flood();
    await rewrite();
    await expect.poll(() => heard.isOver || countOf(401) > 0, soon).toBe(true);
    console.log('DBG', globalThis.floods, heard.text.slice(-300), countOf(200));expect(countOf(401)).toBe(0);
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
