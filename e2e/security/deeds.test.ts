import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SOON, Stage } from './stage.fixture.js';

/** "What acts is told in the log: which token, what, from which address": also of those who wait for no answer. */

const ROUNDS = 12;
/** Whatever was sent has been done by then. */
const SETTLED_MS = 300;
const FROM = '127.0.0.77';

let stage: Stage;
let service = '';
let operator = '';

beforeEach(async () => {
  stage = await Stage.make();
  service = await stage.token({ services: ['orders'] });
  operator = await stage.token({ role: 'operator', services: [] });
  await stage.start({ intervalMs: 60_000 });
});
afterEach(() => stage.close());

const LEAVINGS: Readonly<Record<string, (socket: Socket, bytes: string) => void>> = {
  'closes its sending side': (socket, bytes) => void socket.end(bytes),
  'closes its connection': (socket, bytes) => void socket.write(bytes, () => socket.destroy()),
  'resets its connection': (socket, bytes) => void socket.write(bytes, () => socket.resetAndDestroy()),
  'resets it before it was accepted': (socket, bytes) => {
    socket.write(bytes);
    socket.resetAndDestroy();
  },
};

async function leave(how: string, bytes: string): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: stage.port, localAddress: FROM });
  const closed = once(
    socket.on('error', () => {}),
    'close',
  );
  await once(socket, 'connect');
  socket.resume();
  LEAVINGS[how]?.(socket, bytes);
  await closed;
}

function bytesOf(line: string, bearer: string, body: object): string {
  const text = JSON.stringify(body);
  const head = [`${line} HTTP/1.1`, 'host: 127.0.0.1', `authorization: Bearer ${bearer}`];
  const about = ['content-type: application/json', `content-length: ${text.length}`];
  return `${[...head, ...about].join('\r\n')}\r\n\r\n${text}`;
}

it.each(Object.keys(LEAVINGS))('whoever sends a request and %s acts not unseen', async (how) => {
  const ids = Array.from({ length: ROUNDS }, (_, round) => `orders-${round}`);
  const about = async (id: string) => (await stage.ask(`/api/v1/instances/${id}`, { bearer: operator })).body;
  const told = (line: string) =>
    stage.log.texts().filter((text) => text.startsWith('Access: ') && text.includes(` from ${FROM}: ${line}`));

  for (const [round, id] of ids.entries()) {
    const body = { id, service: 'orders', endpoints: [{ protocol: 'tcp', port: 30_000 + round }] };
    await leave(how, bytesOf('POST /api/v1/register', service, body));
  }
  const registered = async () => {
    const { body } = await stage.ask('/api/v1/services/orders', { bearer: operator });
    return (body.instances ?? []).map(({ id }: { id: string }) => id) as string[];
  };
  await pause(SETTLED_MS);
  await expect.poll(async () => (await registered()).length - told('POST ').length, SOON).toBe(0);

  const known = await registered();
  for (const id of known) await leave(how, bytesOf(`PATCH /api/v1/instances/${id}`, operator, { weight: 7 }));
  const patched = async () => (await Promise.all(known.map(about))).filter(({ weight }) => weight === 7).length;
  await pause(SETTLED_MS);
  await expect.poll(async () => (await patched()) - told('PATCH ').length, SOON).toBe(0);

  const texts = stage.log.texts().filter((text) => text.startsWith('Access'));
  expect(texts.filter((text) => !/ from 127\.0\.0\.\d+: /.test(text))).toEqual([]);
});

it('whoever tries the secret of an instance by registering in its place is told in the log, and then to wait', async () => {
  await stage.register(service, 'orders-1');
  const statuses: number[] = [];
  for (let round = 0; round < 60; round += 1) {
    const body = {
      id: 'orders-1',
      service: 'orders',
      secret: `guess-number-${round}-of-too-many`,
      endpoints: [{ protocol: 'tcp', port: 9 }],
    };
    statuses.push((await stage.ask('/api/v1/register', { method: 'POST', bearer: service, body, from: FROM })).status);
  }
  expect(statuses.filter((status) => status === 409).length).toBeLessThan(40);
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(20);
  expect(stage.log.texts('warn').join('\n')).toMatch(
    new RegExp(
      `Access refused: service token \\S+ from ${FROM}: POST /api/v1/register id=orders-1 service=orders → 409`,
    ),
  );
});
