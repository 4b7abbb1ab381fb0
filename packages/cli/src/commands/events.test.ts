import type { RegistryEvent } from '@rollcall/core';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../run.js';
import { createTestShell } from '../terminal/shell.fixture.js';
import { Testbed } from '../testbed.fixture.js';

let testbed: Testbed;
beforeAll(async () => {
  testbed = await Testbed.start({ intervalMs: 60_000 });
  await testbed.register('orders-1e07', 'orders');
  await testbed.register('orders-b2c4', 'orders');
  await testbed.register('stock-77aa', 'stock', { namespace: 'staging' });
  for (let weight = 1; weight <= 5; weight += 1) await testbed.run('weight', '1e07', String(weight));
});
afterAll(() => testbed.close());

async function events(...argv: readonly string[]) {
  const { code, out, err } = await testbed.run('events', '-o', 'json', ...argv);
  const listed = out === '' ? [] : out.split('\n').map((line) => JSON.parse(line) as RegistryEvent);
  return { code, err, events: listed };
}

describe('rollcall events', () => {
  it('filters by instance, whose id may be short, by state and by kind', async () => {
    const { events: listed } = await events('--instance', '1e07', '--kind', 'admin', '--state', 'REGISTERING');
    expect(listed).toHaveLength(5);
    expect(new Set(listed.map(({ instance }) => instance))).toEqual(new Set(['orders-1e07']));
    expect((await events('--state', 'CRITICAL')).events).toEqual([]);
    const both = await events('--instance', '1e07', '--instance', 'orders…b2c4', '--kind', 'registered');
    expect(both.events.map(({ instance }) => instance)).toEqual(['orders-1e07', 'orders-b2c4']);
  });

  it('filters by time: an age, a time of today, or a date', async () => {
    expect((await events('--since', '1h')).events.length).toBeGreaterThan(5);
    expect((await events('--until', '1h')).events).toEqual([]);
    expect((await events('--since', '2000-01-01', '--until', '2000-01-02T12:00')).events).toEqual([]);
  });

  it('goes back page by page, and prints how to', async () => {
    const { out, err } = await testbed.run('events', '--instance', '1e07', '--limit', '2');
    expect(out.split('\n')).toHaveLength(2);
    const [, before = ''] = /^Older events match: --before (\d+)$/m.exec(err) ?? [];
    const page = await events('--instance', '1e07', '--limit', '2', '--before', before);
    expect(page.events.map(({ text }) => text)).toEqual([
      'weight set to 2 by an operator',
      'weight set to 3 by an operator',
    ]);
    expect((await testbed.run('events', '--instance', '1e07')).err).toBe('');
  });

  it('prints with --all all kept events that match, in any number of pages', async () => {
    const { url, server, questions: queries } = await startRegistryWithEvents(2_500);
    const shell = createTestShell({ ROLLCALL_URL: url });
    expect(await run(['events', '--all', '-o', 'json', '--kind', 'state'], shell)).toBe(0);
    server.close();
    expect(shell.outLines.map((line) => (JSON.parse(line) as RegistryEvent).seq)).toEqual(
      Array.from({ length: 2_500 }, (_, at) => at + 1),
    );
    expect(queries.map((query) => [query.get('after'), query.get('limit'), query.get('kind')])).toEqual([
      ['0', '1000', 'state'],
      ['1000', '1000', 'state'],
      ['2000', '1000', 'state'],
    ]);
  });

  it('prints the number of events that are no longer kept', async () => {
    const { url, server } = await startRegistryWithEvents(3, 4_711);
    const shell = createTestShell({ ROLLCALL_URL: url });
    expect(await run(['events'], shell)).toBe(0);
    server.close();
    expect(shell.errLines.join('\n')).toContain('4,711 older events are no longer kept.');
  });

  it('prints a date on events that are not of today', async () => {
    const { url, server } = await startRegistryWithEvents(1);
    const shell = createTestShell({ ROLLCALL_URL: url });
    expect(await run(['events'], shell)).toBe(0);
    server.close();
    expect(shell.outLines[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}state/);
    expect((await testbed.run('events')).out).toMatch(/^\d\d:\d\d:\d\d {2}/);
  });

  it.each([
    [['--before', '5', '--follow'], '--follow'],
    [['--all', '--limit', '5'], '--all'],
    [['--all', '--before', '5'], '--all'],
    [['--until', '1h', '--follow'], '--until'],
    [['--since', 'yesterday'], '--since: received "yesterday"'],
    [['--since', '1h', '--until', '2h'], '--until'],
    [['--state', 'DEAD'], 'CRITICAL'],
    [['--before', '0'], '--before'],
  ])('refuses %j as an invalid command line', async (argv, why) => {
    expect(await testbed.run('events', ...argv)).toEqual({ code: 2, out: '', err: expect.stringContaining(why) });
  });

  it('refuses an unknown instance', async () => {
    expect(await testbed.run('events', '--instance', 'unknown')).toMatchObject({
      code: 1,
      err: expect.stringContaining('unknown'),
    });
  });
});

/** A registry with `count` events, all of the year 2000, numbered from 1. */
async function startRegistryWithEvents(count: number, dropped = 0) {
  const queries: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname !== '/api/v1/events') return void response.end('{"services":[]}');
    queries.push(url.searchParams);
    const after = Number(url.searchParams.get('after') ?? 0);
    const page = Array.from({ length: Math.min(1_000, count - after) }, (_, at) => eventAt(after + at + 1));
    const last = after + page.length;
    const answer = { epoch: 'e', since: 0, last, more: last < count, missed: 0, older: false, dropped, events: page };
    return void response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, questions: queries };
}

function eventAt(seq: number): RegistryEvent {
  return {
    seq,
    at: Date.UTC(2000, 5, 1) + seq,
    kind: 'state',
    namespace: 'default',
    service: 'orders',
    instance: 'orders-1e07',
    state: 'HEALTHY',
    reason: null,
    revision: 1,
    by: 'registry',
    text: 'REGISTERING → HEALTHY',
  };
}
