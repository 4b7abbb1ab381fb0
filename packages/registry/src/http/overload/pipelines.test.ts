import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Pipelines } from './pipelines.js';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server whose answers the test controls, and one client of it. */
async function served() {
  const log = recordingLog();
  const pipelines = new Pipelines({ log, time: new ManualTime() });
  const begun: { readonly url: string; readonly isFirst: boolean; readonly response: ServerResponse }[] = [];
  let parsed = 0;
  const server = createServer((request, response) => {
    parsed += 1;
    const note = (isFirst: boolean) => () => void begun.push({ url: request.url ?? '', isFirst, response });
    pipelines.enter(request, response, note(true), note(false));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {}).setEncoding('latin1');
  let received = '';
  client.on('data', (part: string) => (received += part));
  closers.push(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = (...urls: readonly string[]) =>
    client.write(urls.map((url) => `GET ${url} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''));
  return { begun, log, client, ask, received: () => received, parsed: () => parsed };
}

it('processes the requests of a connection one after another, in order', async () => {
  const { begun, ask, received } = await served();
  ask('/a', '/b', '/c');
  for (const url of ['/a', '/b', '/c']) {
    await expect.poll(() => begun.at(-1)?.url).toBe(url);
    begun.at(-1)?.response.end(url);
  }
  await expect.poll(received).toMatch(/\/a[\s\S]*\/b[\s\S]*\/c$/);
  expect(begun.map(({ isFirst }) => isFirst)).toEqual([true, false, false]);
  ask('/d');
  await expect.poll(() => begun.at(-1)).toMatchObject({ url: '/d', isFirst: true });
});

it('closes a connection with too many requests, and logs that once', async () => {
  const { begun, log, client, ask } = await served();
  const closed = once(client, 'close');
  ask(...Array.from({ length: 100 }, (_, index) => `/${index}`));
  await closed;
  expect(begun.map(({ url }) => url)).toEqual(['/0']);
  expect(log.texts('warn')).toEqual([expect.stringContaining('without waiting for answers')]);
});

it('does not begin requests of a connection that has closed', async () => {
  const { begun, client, ask } = await served();
  ask('/a', '/b');
  await expect.poll(() => begun.length).toBe(1);
  const [first] = begun;
  if (first === undefined) throw new Error('One has begun.');
  const over = once(first.response, 'close');
  client.destroy();
  await over;
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toHaveLength(1);
});

it('does not process requests after an answer that closes the connection', async () => {
  const { begun, client, ask } = await served();
  const closed = once(client, 'close');
  ask('/a', '/b');
  await expect.poll(() => begun.length).toBe(1);
  begun[0]?.response.setHeader('connection', 'close').end('no');
  await closed;
  expect(begun).toHaveLength(1);
});

it('stops parsing a chunk once the connection is closed', async () => {
  const { client, ask, parsed } = await served();
  const closed = once(client, 'close');
  // a single network read
  ask(...Array.from({ length: 1_500 }, (_, index) => `/${index}`));
  await closed;
  expect(parsed()).toBeLessThan(100);
});
