import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { encodeFrame, FrameDecoder } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { RollcallOptions } from './options.js';
import { createInstance, resetFrame, FakeLink, startHttpRegistry } from './registry-client/registry-client.fixture.js';
import { Rollcall } from './rollcall.js';
import { tcpToy } from './transport/transport.fixture.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function setUp(options: RollcallOptions = {}) {
  const time = new ManualTime();
  const log = recordingLog();
  const link = new FakeLink();
  const meter = memoryMeter();
  const rollcall = new Rollcall(options, { time, random: seededRandom(1), meter, log, link });
  cleanups.push(() => rollcall.close());
  return { time, log, link, meter, rollcall };
}

const OTHER_EPOCH = '0192f3a0-0000-7000-8000-000000000002';
const orders = resetFrame([createInstance()]);
const endpoints = [{ protocol: 'tcp' as const, port: 3001 }];

describe('Rollcall', () => {
  it('opens no connection when it is created, nor for services that are only looked up', () => {
    const { rollcall, link, time } = setUp({ service: 'gateway' });
    rollcall.service('orders');
    time.advance(60_000);
    expect(link.streams).toEqual([]);
    expect(link.registrations).toEqual([]);
    expect(rollcall.status).toBe('waiting');
  });

  it('watches the requested services once it is started', () => {
    const { rollcall, link, time } = setUp();
    rollcall.service('orders');
    rollcall.start();
    time.advance(0);
    expect(link.stream.request).toMatchObject({ namespace: 'default', services: ['orders'], line: null });
  });

  it('starts by itself with the first call', async () => {
    const { rollcall, link, time } = setUp();
    const failed = expect(rollcall.call('orders', 'find', {})).rejects.toMatchObject({ code: 'NO_CATALOG' });
    time.advance(0);
    expect(link.stream.request.services).toEqual(['orders']);
    await time.advanceBy(5_000);
    await failed;
  });

  it('refuses unknown options', () => {
    expect(() => new Rollcall({ servcie: 'orders' } as RollcallOptions)).toThrow('Did you mean service?');
  });

  it('returns the instances of a service once it knows them', async () => {
    const { rollcall, link, time } = setUp();
    const instances = rollcall.instances('orders');
    time.advance(0);
    link.stream.accept([orders]);
    await expect(instances).resolves.toEqual([createInstance()]);
  });

  it('rejects instead of returning an empty list while no registry has answered', async () => {
    const { rollcall, time } = setUp();
    const rejected = expect(rollcall.instances('orders')).rejects.toMatchObject({
      code: 'NO_CATALOG',
      retryable: true,
    });
    await time.advanceBy(5_000);
    await rejected;
  });

  it('returns no instances for a service that the registry does not know', async () => {
    const { rollcall, link, time } = setUp();
    const instances = rollcall.instances('orders');
    time.advance(0);
    link.stream.accept([{ event: 'unknown', data: { namespace: 'default', service: 'orders' } }]);
    await expect(instances).resolves.toEqual([]);
  });

  it('reports the connection to the registry to listeners and to the meter', () => {
    const { rollcall, link, time, meter } = setUp();
    const events: string[] = [];
    rollcall.onStatus((status) => events.push(status));
    rollcall.service('orders');
    rollcall.start();
    time.advance(0);
    link.stream.accept([orders]);
    expect(meter.count('rollcall_registry_connected')).toBe(1);
    link.stream.end();
    expect(events).toEqual(['connected', 'disconnected']);
    expect(meter.count('rollcall_registry_connected')).toBe(0);
  });

  it('continues calls from its own copy when the registry is unreachable', async () => {
    const { rollcall, link, time } = setUp();
    const ready = rollcall.ready('orders');
    time.advance(0);
    link.stream.accept([orders]);
    await ready;
    link.stream.end();
    await time.advanceBy(86_400_000);
    await expect(rollcall.instances('orders')).resolves.toHaveLength(1);
    expect(rollcall.service('orders').stale).toBe(true);
  });
});

describe('Rollcall, the registration', () => {
  it('registers, holds its line, and reports its state in the registry', async () => {
    const { rollcall, link, time } = setUp({ service: 'orders', namespace: 'shop', version: '1.2.3' });
    rollcall.register(endpoints);
    await time.advanceBy(0);
    expect(link.registrations[0]).toMatchObject({ id: rollcall.id, service: 'orders', namespace: 'shop', endpoints });
    expect(link.stream.request).toMatchObject({ namespace: 'shop', services: [], line: { id: rollcall.id } });
    expect(rollcall.state).toBeNull();
    link.stream.accept();
    await time.advanceBy(1);
    expect(rollcall.state).toBe('HEALTHY');
  });

  it('advertises the configured host, unless an endpoint has its own', async () => {
    const { rollcall, link, time } = setUp({ service: 'orders', advertiseHost: 'orders.internal' });
    rollcall.register([...endpoints, { protocol: 'http', port: 3000, host: '10.0.0.9' }]);
    await time.advanceBy(0);
    expect(link.registrations[0]?.endpoints.map(({ host }) => host)).toEqual(['orders.internal', '10.0.0.9']);
  });

  it('answers the identity check, with or without a service', () => {
    for (const options of [{ service: 'orders' }, {}]) {
      const { rollcall } = setUp(options);
      expect(rollcall.answer({ nonce: 'nonce-0001' })).toEqual({ instance: rollcall.id, nonce: 'nonce-0001' });
      expect(rollcall.answer({})).toEqual({ instance: rollcall.id, nonce: null });
    }
  });

  it('cannot register without a service', () => {
    const { rollcall } = setUp();
    expect(() => rollcall.register(endpoints)).toThrow('set the option `service`');
  });

  it('drains, and leaves when it is closed', async () => {
    const { rollcall, link, time } = setUp({ service: 'orders' });
    rollcall.register(endpoints);
    await time.advanceBy(0);
    await expect(rollcall.drain({ deadlineMs: 500 })).resolves.toBe(2);
    expect(link.drains).toEqual([{ deadlineMs: 500 }]);
    await rollcall.close();
    expect(link.goodbyes).toHaveLength(1);
  });

  it('waits for its watchers, and closes, even if the registry can store neither drain nor goodbye', async () => {
    const { rollcall, link, time } = setUp({ service: 'orders' });
    link.onDrain = () => ({ ok: true, value: { watchers: 3, stored: false } });
    link.onLeave = () => ({
      ok: false,
      problem: { code: 'NOT_READY', detail: 'The store is not available.', fix: 'Wait.' },
    });
    rollcall.register(endpoints);
    await time.advanceBy(0);
    await expect(rollcall.drain({ deadlineMs: 500 })).resolves.toBe(3);
    await rollcall.close();
    expect(link.goodbyes).toHaveLength(1);
  });

  it('has no instance to drain without a service', async () => {
    await expect(setUp().rollcall.drain({ deadlineMs: 500 })).resolves.toBe(0);
  });
});

/** A Nest TCP server that answers with the id of another instance. */
async function startOtherServer(): Promise<number> {
  const server = createServer((socket) => {
    const decoder = new FrameDecoder();
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      for (const frame of decoder.push(String(text)).frames) {
        const { id } = frame as { readonly id: string };
        socket.write(encodeFrame({ id, response: { instance: 'users-7', nonce: null }, isDisposed: true }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

describe('Rollcall, a broken instance', () => {
  it('is reported to the registry at once', async () => {
    const closed = await startHttpRegistry(() => {});
    await closed.close();
    const { link, rollcall, time } = setUp({ calls: { attempts: 1 } });
    const port = Number(new URL(closed.url).port);
    const endpoint = { protocol: 'tcp' as const, host: '127.0.0.1', port, tls: false };
    const failed = rollcall.call('orders', 'find', {}).catch((error: unknown) => error);
    time.advance(0);
    link.stream.accept([resetFrame([createInstance({ endpoints: [endpoint] })])]);
    await failed;
    expect(link.suspicions).toEqual([{ id: 'orders-1', by: rollcall.id, outcome: 'refused' }]);
  });

  it('is removed when another process has its address and a new registry does not list it', async () => {
    const endpoint = { protocol: 'tcp' as const, host: '127.0.0.1', port: await startOtherServer(), tls: false };
    const { link, rollcall, time } = setUp({ calls: { attempts: 1 } });
    const ready = rollcall.ready('orders');
    time.advance(0);
    link.stream.accept([resetFrame([createInstance({ endpoints: [endpoint] })])]);
    await ready;
    link.stream.end();
    time.advance(100);
    link.stream.accept([resetFrame([], 1, OTHER_EPOCH)], 1, OTHER_EPOCH);
    await expect(rollcall.instances('orders')).resolves.toHaveLength(1);
    await expect(rollcall.call('orders', 'find', {})).rejects.toMatchObject({ code: 'TRANSPORT' });
    expect(link.suspicions).toMatchObject([{ id: 'orders-1', outcome: 'misdirected' }]);
    await expect(rollcall.instances('orders')).resolves.toEqual([]);
  });
});

describe('Rollcall, the call statistics', () => {
  it('are reported with heartbeats: the last complete window of each service, once', async () => {
    const toy = await tcpToy();
    cleanups.push(() => toy.close());
    const { link, rollcall, time } = setUp({ service: 'gateway' });
    rollcall.register(endpoints);
    const ready = rollcall.ready('orders');
    await time.advanceBy(0);
    const endpoint = { protocol: 'tcp' as const, host: '127.0.0.1', port: toy.port, tls: false };
    link.stream.accept([resetFrame([createInstance({ endpoints: [endpoint] })])]);
    await ready;
    for (let n = 0; n < 3; n += 1) await rollcall.call('orders', 'find', n);
    await time.advanceBy(20_000);
    const reportedEdges = link.beats.flatMap(({ edges = [] }) => edges);
    expect(reportedEdges).toEqual([
      expect.objectContaining({ service: 'orders', windowMs: 5_000, calls: 3, failures: 0 }),
    ]);
  });
});

describe('Rollcall, closing', () => {
  it('closes everything, leaves no timer, and may be closed twice', async () => {
    const { rollcall, link, time } = setUp({ service: 'orders' });
    rollcall.register(endpoints);
    const waiting = expect(rollcall.ready('users')).rejects.toMatchObject({ code: 'CLOSED' });
    await time.advanceBy(0);
    const [first, second] = [rollcall.close(), rollcall.close()];
    await Promise.all([first, second, waiting]);
    expect(link.isClosed).toBe(true);
    expect(link.goodbyes).toHaveLength(1);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('refuses every call after close', async () => {
    const { rollcall } = setUp({ service: 'orders' });
    await rollcall.close();
    const closed = { code: 'CLOSED' };
    await expect(rollcall.call('users', 'find', {})).rejects.toMatchObject(closed);
    await expect(rollcall.instances('users')).rejects.toMatchObject(closed);
    await expect(rollcall.ready('users')).rejects.toMatchObject(closed);
    expect(() => rollcall.register(endpoints)).toThrow(/closed/);
  });

  it('does not affect another client in the same process', async () => {
    const one = setUp({ service: 'orders' });
    const other = setUp({ service: 'orders' });
    one.rollcall.service('users');
    await one.rollcall.close();
    other.rollcall.register(endpoints);
    await other.time.advanceBy(0);
    expect(other.link.stream.request.services).toEqual([]);
    expect(other.link.registrations).toHaveLength(1);
    expect(one.link.registrations).toEqual([]);
  });
});
