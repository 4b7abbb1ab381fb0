import { ManualTime, recordingLog } from '@rollcall/core/testing';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { Queue } from './queue.js';

const CROWD = '10.0.0.9';
const SOMEBODY = '10.0.0.5';
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function queue() {
  const begun: string[] = [];
  const refused: number[] = [];
  const log = recordingLog();
  const made = new Queue({ log, time: new ManualTime() }, ({ socket }) => begun.push(socket.remoteAddress ?? ''));
  const join = (remoteAddress: string, count = 1) => {
    const request = { socket: { remoteAddress }, destroyed: false };
    const response = { writeHead: (status: number) => refused.push(status), end() {} };
    for (let index = 0; index < count; index += 1) {
      made.join(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    }
    return request;
  };
  return { begun, refused, log, join, connectionCame: () => made.connectionCame() };
}

it('begins at once what comes while there is little', () => {
  const { begun, join } = queue();
  join(CROWD, 4);
  expect(begun).toHaveLength(4);
});

it('begins a few in each turn of the event loop, and all in the end', async () => {
  const { begun, join } = queue();
  join(CROWD, 100);
  let before = 0;
  for (let turns = 0; begun.length < 100; turns += 1) {
    expect(begun.length - before).toBeLessThanOrEqual(4);
    expect(turns).toBeLessThan(30);
    before = begun.length;
    await nextTurn();
  }
});

it('lets sources take turns: who comes behind a thousand of another one is the next but one', async () => {
  const { begun, join } = queue();
  join(CROWD, 1_000);
  join(SOMEBODY);
  await nextTurn();
  expect(begun.indexOf(SOMEBODY)).toBeGreaterThan(0);
  expect(begun.indexOf(SOMEBODY)).toBeLessThanOrEqual(5);
});

it('refuses what one source has too much of, tells the log once, and takes others in', async () => {
  const { begun, refused, log, join } = queue();
  join(CROWD, 3_000);
  expect(refused.length).toBeGreaterThan(500);
  expect(new Set(refused)).toEqual(new Set([429]));
  expect(log.texts('warn')).toHaveLength(1);
  join(SOMEBODY);
  await nextTurn();
  expect(begun).toContain(SOMEBODY);
});

it('does nothing for a sender that has gone meanwhile', async () => {
  const { begun, join } = queue();
  join(CROWD, 4);
  join(SOMEBODY).destroyed = true;
  await nextTurn();
  expect(begun).toEqual(Array.from({ length: 4 }, () => CROWD));
});

it('begins one in four turns while new connections come, which are taken in one a turn', async () => {
  const { begun, join, connectionCame } = queue();
  join(CROWD, 100);
  const before = begun.length;
  for (let turn = 0; turn < 16; turn += 1) {
    connectionCame();
    await nextTurn();
  }
  expect(begun.length - before).toBe(4);
});
