import { ManualTime } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ProbeOutcome } from './caller.js';
import { heartbeatCall } from './contract.js';
import { Lingering } from './lingering.js';
import { TcpCaller } from './tcp.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanups.splice(0)) end();
});

const TIMEOUT_MS = 2_000;
const json = JSON.stringify({
  response: { instance: 'orders-1', nonce: heartbeatCall.nonce },
  isDisposed: true,
  id: heartbeatCall.nonce,
});
const ANSWER = `${json.length}#${json}`;

/**
 * A caller with two places, and a service that treats each connection alike; `open` counts them on the side of the
 * service.
 */
async function stage(treat: (socket: Socket) => void) {
  const time = new ManualTime();
  const lingering = new Lingering(2);
  const caller = new TcpCaller({ time, lingering });
  const sockets: Socket[] = [];
  const ended: number[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const at = sockets.push(socket) - 1;
    socket.on('error', () => {}).on('end', () => ended.push(at));
    socket.on('data', () => treat(socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanups.push(() => {
    caller.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  const call = (): Promise<ProbeOutcome> =>
    caller.call({ protocol: 'tcp', host: '127.0.0.1', port, tls: false }, heartbeatCall, TIMEOUT_MS);
  return { time, lingering, sockets, ended, call };
}

describe('lingering connections', () => {
  it('have a limited number of places for peers that answer and do not close: the oldest is cut', async () => {
    const { ended, lingering, call } = await stage((socket) => socket.write(ANSWER));
    for (let count = 1; count <= 5; count += 1) {
      expect(await call()).toMatchObject({ kind: 'answered' });
      expect(lingering.size).toBe(Math.min(count, 2));
    }
    await vi.waitFor(() => expect(ended).toEqual([0, 1, 2]));
  });

  it('have the same limit for silent peers, whose call has its whole timeout first', async () => {
    const { time, ended, sockets, lingering, call } = await stage(() => {});
    const calls = Array.from({ length: 5 }, call);
    await vi.waitFor(() => expect(sockets).toHaveLength(5));
    await vi.waitFor(() => expect(sockets.every(({ bytesRead }) => bytesRead > 0)).toBe(true));
    await time.advanceBy(TIMEOUT_MS - 1);
    expect([ended, lingering.size]).toEqual([[], 0]);
    await time.advanceBy(1);
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ kind: 'failed', ms: TIMEOUT_MS });
    await vi.waitFor(() => expect(ended).toHaveLength(3));
    expect(lingering.size).toBe(2);
  });

  it('hold no place once they are closed, and stay untouched until the called side has closed', async () => {
    const { ended, lingering, call } = await stage((socket) => socket.end(ANSWER));
    for (let count = 0; count < 5; count += 1) {
      expect(await call()).toMatchObject({ kind: 'answered' });
      await vi.waitFor(() => expect(lingering.size).toBe(0));
    }
    await vi.waitFor(() => expect(ended).toHaveLength(5));
  });

  it('are removed once they are cut, even if their time is up in the same moment', async () => {
    const { time, sockets, ended, lingering, call } = await stage((socket) => {
      if (socket !== sockets[0]) socket.write(ANSWER);
    });
    const silent = call();
    await vi.waitFor(() => expect(sockets[0]?.bytesRead).toBeGreaterThan(0));
    time.advance(TIMEOUT_MS - 500);
    await call();
    await call();
    time.advance(500);
    expect(await silent).toMatchObject({ kind: 'failed' });
    await vi.waitFor(() => expect(ended.toSorted((one, other) => one - other)).toEqual([1, 2]));
    expect(lingering.size).toBe(2);
  });

  it('free their places when their time is up', async () => {
    const { time, lingering, call } = await stage((socket) => socket.write(ANSWER));
    await call();
    await call();
    await time.advanceBy(500);
    await time.advanceBy(2_000);
    await vi.waitFor(() => expect(lingering.size).toBe(0));
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
