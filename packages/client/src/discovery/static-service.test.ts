import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { encodeFrame, FrameDecoder } from '@rollcall/core';
import { expect, it, onTestFinished } from 'vitest';
import { Rollcall } from '../rollcall.js';
import { staticService } from './static-service.js';
import type { StaticEndpoint } from './static-service.js';

const TERMS = { service: 'legacy', namespace: 'default', now: 5, wall: 1_000 };
const place = (fields: object = {}): StaticEndpoint => ({ protocol: 'tcp', host: '10.0.0.5', port: 4001, ...fields });

/** A plain Nest server without Rollcall: it handles one pattern, and has no identity check. */
async function legacy(name: string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((socket) => {
    const decoder = new FrameDecoder(10_000);
    socket.on('data', (bytes) => {
      for (const frame of decoder.push(bytes).frames) {
        const { id, pattern } = frame as { id: string; pattern: string };
        const answer = pattern === 'find' ? { response: name } : { err: 'There is no matching message handler' };
        socket.write(encodeFrame({ id, ...answer, isDisposed: true }));
      }
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, close };
}

it('makes each address an instance that counts as HEALTHY', () => {
  const { status, instances, stale } = staticService([place(), place({ port: 4002, tls: true })], TERMS);
  expect([status, stale]).toEqual(['known', false]);
  expect(instances).toMatchObject([
    { id: 'legacy-static-tcp-10.0.0.5:4001', state: 'HEALTHY', endpoints: [{ ...place(), tls: false }] },
    { endpoints: [{ port: 4002, tls: true }] },
  ]);
});

it.each([
  ['no address', [], 'no address'],
  ['the same address twice', [place(), place()], 'each once'],
  ['an invalid port', [place({ port: 0 })], 'port 0'],
  ['a URL as the host', [place({ host: 'http://legacy' })], 'host http://legacy'],
  ['a protocol without calls', [place({ protocol: 'heartbeat' })], 'protocol heartbeat'],
])('rejects %s', (_, endpoints, text) => {
  expect(() => staticService(endpoints, TERMS)).toThrow(text);
});

it('is called without a registry, with load balancing, and continues when one of its addresses fails', async () => {
  const [one, other] = [await legacy('one'), await legacy('other')];
  const rollcall = new Rollcall({ registry: 'http://127.0.0.1:9' });
  onTestFinished(() => rollcall.close());
  rollcall.fix(
    'legacy',
    [one, other].map(({ port }) => place({ host: '127.0.0.1', port })),
  );
  const answers = new Set<unknown>();
  for (let call = 0; call < 20; call += 1) answers.add(await rollcall.call('legacy', 'find', {}));
  expect(answers).toEqual(new Set(['one', 'other']));
  expect(rollcall.status).toBe('waiting');
  await expect(rollcall.call('legasy', 'find', {}, { deadlineMs: 50 })).rejects.toThrow();
});

it('uses another address when the first refuses the connection', async () => {
  const [one, gone] = [await legacy('one'), await legacy('gone')];
  await gone.close();
  const rollcall = new Rollcall({ registry: 'http://127.0.0.1:9' });
  onTestFinished(() => rollcall.close());
  rollcall.fix(
    'legacy',
    [one, gone].map(({ port }) => place({ host: '127.0.0.1', port })),
  );
  for (let call = 0; call < 10; call += 1) expect(await rollcall.call('legacy', 'find', {})).toBe('one');
});
