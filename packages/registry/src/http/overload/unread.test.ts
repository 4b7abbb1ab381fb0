import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { fastify } from 'fastify';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Unread } from './unread.js';

const MIB = 1_048_576;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A server whose answers have this length. */
async function serving(bytes: number) {
  const time = new ManualTime();
  const log = recordingLog();
  const unread = new Unread({ log, time });
  const app = fastify();
  app.addHook('onSend', unread.hook);
  app.get('/', () => 'x'.repeat(bytes));
  await app.listen({ port: 0, host: '127.0.0.1' });
  closers.push(() => {
    app.server.closeAllConnections();
    return app.close();
  });
  const ask = async (localAddress = '127.0.0.1'): Promise<Socket> => {
    const { port } = app.server.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    closers.push(() => socket.destroy());
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    // the answer has begun to arrive, and is not read
    await once(socket, 'readable');
    return socket;
  };
  return { time, log, unread, ask };
}

/** Reads to the end of the connection. */
async function rest(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on('data', (part: Buffer) => (bytes += part.length));
  await once(socket, 'close');
  return bytes;
}

it('cuts the oldest answers if too much is unread, and logs their sources', async () => {
  const { log, ask } = await serving(30 * MIB);
  const first = await ask();
  const second = await ask();
  expect(log.texts('warn')).toEqual([]);
  const third = await ask();
  expect(await rest(first)).toBeLessThan(30 * MIB);
  expect(log.texts('warn')).toEqual([expect.stringContaining('are cut, now one to 127.0.0.1')]);
  for (const socket of [second, third]) {
    let bytes = 0;
    socket.on('data', (part: Buffer) => (bytes += part.length));
    await expect.poll(() => bytes, { timeout: 10_000 }).toBeGreaterThan(30 * MIB);
  }
});

it('cuts no answer of a source with less unread data', async () => {
  const { log, ask } = await serving(12 * MIB);
  const slow = await ask('127.0.0.2');
  for (let index = 0; index < 8; index += 1) await ask('127.0.0.3');
  expect(log.texts('warn')[0]).toContain('now one to 127.0.0.3');
  let bytes = 0;
  slow.on('data', (part: Buffer) => (bytes += part.length));
  await expect.poll(() => bytes, { timeout: 10_000 }).toBeGreaterThan(12 * MIB);
});

it('does not cut a single answer beyond the limit', async () => {
  const { log, ask } = await serving(70 * MIB);
  const socket = await ask();
  let bytes = 0;
  socket.on('data', (part: Buffer) => (bytes += part.length));
  await expect.poll(() => bytes, { timeout: 10_000 }).toBeGreaterThan(70 * MIB);
  expect(log.texts('warn')).toEqual([]);
});

it('is busy while much is written, but not because of slow readers', async () => {
  const { time, unread, ask } = await serving(10 * MIB);
  expect(unread.isBusy()).toBe(false);
  const slow = await ask();
  expect(unread.isBusy()).toBe(true);
  await time.advanceBy(201);
  expect(unread.isBusy()).toBe(false);
  const quick = await ask();
  expect(unread.isBusy()).toBe(true);
  quick.resume();
  slow.resume();
  await expect.poll(() => unread.isBusy(), { timeout: 10_000 }).toBe(false);
});
