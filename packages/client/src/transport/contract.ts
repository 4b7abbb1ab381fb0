import { AsyncLocalStorage } from 'node:async_hooks';
import { systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { breakingWire, deadPort, RecordingSink, targetOf, TERMS } from './transport.fixture.js';
import type { Settled, Toy, Wire } from './transport.fixture.js';
import type { Channel, Transport } from './transport.js';

/** The functions with which the suite drives one transport. */
export interface TransportHarness<Request> {
  toy(): Promise<Toy>;
  /** With one connection for each instance, and a connect timeout of 500 ms. */
  transport(time: Time): Transport<Request>;
  request(data: unknown): Request;
  /** The value in the answer of a test server to `request(data)`. */
  valueOf(value: unknown): unknown;
}

/** The contract of every transport with the policies above it. */
export function transportContract<Request>(name: string, harness: TransportHarness<Request>): void {
  describe(`the ${name} transport`, () => {
    const bench = new Bench(harness);
    itAnswers(bench);
    itReportsFailuresAsText(bench);
    itChecksIdentity(bench);
    itCancels(bench);
    itEnds(bench);
    itSurvives(bench);
  });
}

class Bench<Request> {
  readonly harness: TransportHarness<Request>;

  constructor(harness: TransportHarness<Request>) {
    this.harness = harness;
  }

  async toy(): Promise<Toy> {
    const made = await this.harness.toy();
    onTestFinished(() => made.close());
    return made;
  }

  async transport(time: Time = systemTime): Promise<Transport<Request>> {
    const made = this.harness.transport(time);
    onTestFinished(() => made.close());
    await made.prepare();
    return made;
  }

  ask(channel: Channel<Request>, data: unknown): Promise<Settled> {
    const sink = new RecordingSink();
    channel.send(this.harness.request(data), TERMS, sink);
    return sink.settled;
  }
}

function itAnswers<Request>(bench: Bench<Request>): void {
  it('delivers answers, on one connection with one identity check', async () => {
    const service = await bench.toy();
    const channel = (await bench.transport()).channel(targetOf(service));
    for (let n = 0; n < 3; n += 1) {
      const { values, failure } = await bench.ask(channel, { n });
      expect(failure).toBeNull();
      expect(await bench.harness.valueOf(values[0])).toEqual({ n });
    }
    expect(service).toMatchObject({ connections: 1, identityCalls: 1, received: [{ n: 0 }, { n: 1 }, { n: 2 }] });
  });

  it('opens no connection before it has to send', async () => {
    const service = await bench.toy();
    (await bench.transport()).channel(targetOf(service));
    const other = await bench.toy();
    await bench.ask((await bench.transport()).channel(targetOf(other)), 'meanwhile');
    expect(service.connections).toBe(0);
  });

  it('reports since when a connection was open, if a request had to wait for it', async () => {
    const service = await bench.toy();
    const channel = (await bench.transport()).channel(targetOf(service));
    const before = systemTime.now();
    const first = new RecordingSink();
    const waited = channel.send(bench.harness.request(1), TERMS, first);
    await first.settled;
    expect(waited.openedAt).toBeGreaterThan(before);
  });

  it('answers a ping of the instance itself', async () => {
    const service = await bench.toy();
    const channel = (await bench.transport()).channel(targetOf(service));
    const sink = new RecordingSink();
    channel.ping(TERMS, sink);
    expect((await sink.settled).failure).toBeNull();
  });
}

function itReportsFailuresAsText<Request>(bench: Bench<Request>): void {
  it('fails as refused if the port is closed', async () => {
    const target = targetOf({ port: await deadPort(), protocol: (await bench.toy()).protocol });
    const { failure } = await bench.ask((await bench.transport()).channel(target), 1);
    expect(failure).toMatchObject({ kind: 'refused', cause: { code: 'ECONNREFUSED' } });
  });

  it('continues to wait when the identity check is late, and reports that connections to the instance stall', async () => {
    const time = new ManualTime();
    const service = await bench.toy();
    service.id = null;
    const requested = service.nextRequest();
    const channel = (await bench.transport(time)).channel(targetOf(service));
    const sink = new RecordingSink();
    const exchange = channel.send(bench.harness.request(1), TERMS, sink);
    await requested;
    time.advance(499);
    expect(channel.stall).toBeNull();
    time.advance(1);
    expect(channel.stall?.kind).toBe('unreachable');
    time.advance(10_000);
    expect([exchange.isSent, sink.isSettled]).toEqual([false, false]);
  });

  it('gives up a connection that does not open if no call waits for it, and leaves no timer', async () => {
    const time = new ManualTime();
    const service = await bench.toy();
    service.id = null;
    const requested = service.nextRequest();
    const channel = (await bench.transport(time)).channel(targetOf(service));
    channel.send(bench.harness.request(1), TERMS, new RecordingSink()).cancel();
    await requested;
    time.advance(500);
    time.advance(15_000);
    expect(time.nextAt()).toBeNull();
    expect(service.received).toEqual([]);
  });

  it('fails as closed when the connection breaks after the request was written, and opens another for the next', async () => {
    const service = await bench.toy();
    service.habit = 'hang-up';
    const channel = (await bench.transport()).channel(targetOf(service));
    expect((await bench.ask(channel, 1)).failure?.kind).toBe('closed');
    service.habit = 'answer';
    expect((await bench.ask(channel, 2)).failure).toBeNull();
    expect(service.connections).toBe(2);
  });
}

function itChecksIdentity<Request>(bench: Bench<Request>): void {
  it('fails as misdirected if another process answers, which never sees the request', async () => {
    const service = await bench.toy();
    service.id = 'payments-7';
    const { failure } = await bench.ask((await bench.transport()).channel(targetOf(service)), 1);
    expect(failure?.kind).toBe('misdirected');
    expect(String(failure?.cause)).toContain('payments-7');
    expect(service.received).toEqual([]);
  });

  it('does not check the identity at a configured address', async () => {
    const service = await bench.toy();
    service.id = 'payments-7';
    const { failure } = await bench.ask((await bench.transport()).channel(targetOf(service, 'api')), 1);
    expect(failure).toBeNull();
    expect(service.identityCalls).toBe(0);
  });
}

function itCancels<Request>(bench: Bench<Request>): void {
  it('delivers no value of a cancelled request, and serves other requests', async () => {
    const service = await bench.toy();
    service.habit = 'hold';
    const channel = (await bench.transport()).channel(targetOf(service));
    const sink = new RecordingSink();
    const received = service.nextRequest().then(() => service.nextRequest());
    const exchange = channel.send(bench.harness.request(1), TERMS, sink);
    await received;
    exchange.cancel();
    exchange.cancel();
    service.habit = 'answer';
    expect((await bench.ask(channel, 2)).failure).toBeNull();
    expect(sink).toMatchObject({ isSettled: false, values: [] });
  });

  it('does not send a request that was cancelled before the connection was open', async () => {
    const service = await bench.toy();
    const channel = (await bench.transport()).channel(targetOf(service));
    const sink = new RecordingSink();
    channel.send(bench.harness.request('cancelled'), TERMS, sink).cancel();
    expect((await bench.ask(channel, 'wanted')).failure).toBeNull();
    expect(service.received).toEqual(['wanted']);
    expect(sink.isSettled).toBe(false);
  });
}

function itEnds<Request>(bench: Bench<Request>): void {
  it('ends requests under way when it is closed, refuses later ones, and leaves no connection', async () => {
    const service = await bench.toy();
    service.habit = 'hold';
    const made = await bench.transport();
    const channel = made.channel(targetOf(service));
    const received = service.nextRequest().then(() => service.nextRequest());
    const settled = bench.ask(channel, 1);
    await received;
    await made.close();
    await made.close();
    expect(['closed', 'stopped']).toContain((await settled).failure?.kind);
    expect((await bench.ask(channel, 2)).failure?.kind).toBe('stopped');
    expect((await bench.ask(made.channel(targetOf(service)), 3)).failure?.kind).toBe('stopped');
    await expect.poll(() => service.open).toBe(0);
  });

  it('lets the calls to a removed instance end before it closes their connection', async () => {
    const service = await bench.toy();
    const channel = (await bench.transport()).channel(targetOf(service));
    await bench.ask(channel, 1);
    const settled = bench.ask(channel, 2);
    channel.retire();
    expect((await settled).failure).toBeNull();
    await expect.poll(() => service.open).toBe(0);
  });

  it('keeps no AsyncLocalStorage of the call that opened a connection', async () => {
    const storage = new AsyncLocalStorage<string>();
    const service = await bench.toy();
    const made = await bench.transport();
    const channel = storage.run('the first request', () => made.channel(targetOf(service)));
    await storage.run('the first request', () => bench.ask(channel, 1));
    const seen = await new Promise((resolve) => {
      const sink = new RecordingSink();
      service.habit = 'hang-up';
      channel.send(bench.harness.request(2), TERMS, {
        next: () => {},
        last: () => sink.complete(),
        complete: () => sink.complete(),
        fail: () => resolve(storage.getStore()),
      });
    });
    expect(seen).toBeUndefined();
  });
}

/** Positions in the answers at which the connection breaks. */
const BREAKS = 20;

function itSurvives<Request>(bench: Bench<Request>): void {
  const wired = async (service: Toy, breaksAfter: number): Promise<[Wire, readonly Settled[]]> => {
    const wire = await breakingWire(service, breaksAfter);
    const made = await bench.transport();
    const channel = made.channel(targetOf({ port: wire.port, protocol: service.protocol }));
    const settled = await Promise.all([bench.ask(channel, { n: 1 }), bench.ask(channel, { n: 1 })]);
    await made.close();
    await wire.close();
    return [wire, settled];
  };

  it('ends each request once, at whatever byte of the answers the connection breaks', async () => {
    const service = await bench.toy();
    const [{ passed }] = await wired(service, Infinity);
    expect(passed).toBeGreaterThan(BREAKS);
    for (let i = 0; i < BREAKS; i += 1) {
      const [, settled] = await wired(service, 1 + Math.floor((i * passed) / BREAKS));
      for (const { values, failure } of settled) {
        if (failure === null) expect(await bench.harness.valueOf(values[0])).toEqual({ n: 1 });
        else expect(['unsent', 'closed', 'unreachable']).toContain(failure.kind);
      }
    }
  });
}
