import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { Queue } from './request-queue.js';

const CROWD = '10.0.0.9';
const OTHER_SOURCE = '10.0.0.5';
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function queue() {
  const begun: string[] = [];
  const refused: number[] = [];
  const log = recordingLog();
  const clock = { now: 0, isBusy: false };
  // the test sets how long work takes; timers are real
  const rests: number[] = [];
  const setTimer: Time['setTimer'] = (ms, run) => {
    rests.push(ms);
    return systemTime.setTimer(ms, run);
  };
  const time = { ...systemTime, now: () => clock.now, setTimer };
  const made = new Queue({ log, time, isBusy: () => clock.isBusy });
  const join = (remoteAddress: string, count = 1, tookMs = 0, head: Pick<IncomingMessage, 'method' | 'url'> = {}) => {
    const request = { ...head, socket: { remoteAddress }, destroyed: false };
    const response = { writeHead: (status: number) => refused.push(status), end() {} };
    for (let index = 0; index < count; index += 1) {
      made.join(request as unknown as IncomingMessage, response as unknown as ServerResponse, () => {
        begun.push(remoteAddress);
        clock.now += tookMs;
      });
    }
    return request;
  };
  const turn = (remoteAddress: string) => made.turn({ socket: { remoteAddress } as Socket });
  return { begun, refused, log, rests, join, turn, clock, connectionCame: () => made.connectionCame() };
}

it('begins requests at once under low load', () => {
  const { begun, join } = queue();
  join(CROWD, 4);
  expect(begun).toHaveLength(4);
});

it('begins a few requests per turn of the event loop, and all in the end', async () => {
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

it('lets sources take turns: a request behind a thousand of another source is second', async () => {
  const { begun, join } = queue();
  join(CROWD, 1_000);
  join(OTHER_SOURCE);
  await nextTurn();
  expect(begun.indexOf(OTHER_SOURCE)).toBeGreaterThan(0);
  expect(begun.indexOf(OTHER_SOURCE)).toBeLessThanOrEqual(5);
});

it('refuses requests of one source beyond the limit, logs that once, and accepts others', async () => {
  const { begun, refused, log, join } = queue();
  join(CROWD, 26_000);
  expect(refused.length).toBeGreaterThan(500);
  expect(new Set(refused)).toEqual(new Set([429]));
  expect(log.texts('warn')).toHaveLength(1);
  join(OTHER_SOURCE);
  await nextTurn();
  expect(begun).toContain(OTHER_SOURCE);
});

it('skips requests whose sender has disconnected', async () => {
  const { begun, join } = queue();
  join(CROWD, 4);
  join(OTHER_SOURCE).destroyed = true;
  await nextTurn();
  expect(begun).toEqual(Array.from({ length: 4 }, () => CROWD));
});

it('begins one request in four turns while new connections arrive, of which Node accepts one a turn', async () => {
  const { begun, join, connectionCame } = queue();
  join(CROWD, 100);
  const before = begun.length;
  for (let turn = 0; turn < 16; turn += 1) {
    connectionCame();
    await nextTurn();
  }
  expect(begun.length - before).toBe(4);
});

it('rests after long work for the same time, which leaves half of the time for heartbeats', async () => {
  const { begun, join, clock } = queue();
  join(CROWD, 3, 20);
  await nextTurn();
  expect(begun).toHaveLength(3);
  join(OTHER_SOURCE);
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
  expect(begun).toHaveLength(3);
  clock.now += 60;
  await expect.poll(() => begun.at(-1)).toBe(OTHER_SOURCE);
});

it('does not shorten a rest after a shorter turn', async () => {
  const { begun, join, clock, rests } = queue();
  join(CROWD, 4);
  join(CROWD, 4, 50);
  join(CROWD);
  // heartbeats of others, behind that work
  setImmediate(() => (clock.now += 20));
  await nextTurn();
  await nextTurn();
  expect(begun).toHaveLength(8);
  expect(rests).toEqual([180]);
  clock.now += 180;
  await expect.poll(() => begun.length).toBe(9);
});

it('counts the synchronous continuations of a request', async () => {
  const { begun, join, turn, clock } = queue();
  void turn(CROWD)
    .then(() => Promise.resolve())
    .then(() => (clock.now += 50));
  await nextTurn();
  join(OTHER_SOURCE);
  expect(begun).toEqual([]);
  clock.now += 50;
  join(CROWD);
  await expect.poll(() => begun).toEqual([OTHER_SOURCE, CROWD]);
});

it('queues requests that arrived long ago behind others of their source', async () => {
  const { begun, join, turn } = queue();
  join(CROWD, 12);
  const over = turn(CROWD).then(() => begun.length);
  const other = turn(OTHER_SOURCE).then(() => begun.length);
  expect(await other).toBeLessThanOrEqual(8);
  expect(await over).toBe(12);
});

it('begins no request with a long answer while others are being written, but all other requests', async () => {
  const { begun, join, clock } = queue();
  clock.isBusy = true;
  join(CROWD, 1, 0, { method: 'GET', url: '/api/v1/services/orders' });
  join(OTHER_SOURCE, 1, 0, { method: 'POST', url: '/api/v1/register' });
  join('10.0.0.6', 1, 0, { method: 'GET', url: '/health/live' });
  join('10.0.0.7', 1, 0, { method: 'GET', url: '/api/v1/watch?service=orders' });
  await expect.poll(() => begun).toEqual([OTHER_SOURCE, '10.0.0.6', '10.0.0.7']);
  clock.now += 1;
  await nextTurn();
  expect(begun).not.toContain(CROWD);
  clock.isBusy = false;
  clock.now += 1;
  await expect.poll(() => begun.at(-1)).toBe(CROWD);
});
