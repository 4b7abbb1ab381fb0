import type { Endpoint, EndpointProtocol, HeartbeatCall, Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { ProbeProtocol, ProbeOutcome } from './caller.js';

/** A protocol as the suite speaks it, over plain sockets. */
export interface CallerHarness {
  readonly protocol: EndpointProtocol;
  make(time: Time): ProbeProtocol;
  /** The call in a request (one character per byte), or null while the request is incomplete. */
  readRequest(text: string): HeartbeatCall | null;
  /** The bytes of an answer to the call from the application `instance`. */
  writeAnswer(call: HeartbeatCall, instance: string): string;
  /** An answer of at least this many bytes, correct except for its size. */
  writeHugeAnswer(call: HeartbeatCall, bytes: number): string;
}

/** One accepted connection and the request that came on it. */
interface Visit {
  readonly socket: Socket;
  readonly call: HeartbeatCall;
}

export const heartbeatCall: HeartbeatCall = {
  replica: 'replica-one',
  instance: 'orders-1',
  nonce: 'nonce-0123456789',
  purpose: 'beat',
  mac: 'ab'.repeat(32),
};
const TIMEOUT_MS = 2_000;

/** The contract of every `ProbeProtocol`. Real sockets on loopback; time stands still until the suite advances it. */
export function callerContract(name: string, harness: CallerHarness): void {
  describe(`the caller contract: ${name}`, () => {
    const bench = new Bench(harness);
    afterEach(() => bench.close());
    describe('an answer', () => itReportsAnswers(bench));
    describe('a failure', () => itReportsFailures(bench));
    describe('a timeout', () => itTimesOut(bench));
    describe('closing a connection', () => itClosesPolitely(bench));
    describe('close', () => itCloses(bench));
  });
}

function itReportsAnswers(bench: Bench): void {
  it('is reported with its id and nonce, and the call arrives unchanged', async () => {
    const { outcome, visit } = await bench.call();
    expect(visit.call).toEqual(heartbeatCall);
    visit.socket.end(bench.harness.writeAnswer(visit.call, 'orders-1'));
    expect(await outcome).toEqual({ kind: 'answered', instance: 'orders-1', nonce: heartbeatCall.nonce, ms: 0 });
  });

  it('is reported with the id of its process even if that is another one; the caller does not check it', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end(bench.harness.writeAnswer(visit.call, 'billing-7'));
    expect(await outcome).toMatchObject({ kind: 'answered', instance: 'billing-7' });
  });

  it('may arrive in any number of pieces', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.setNoDelay(true);
    for (const byte of Buffer.from(bench.harness.writeAnswer(visit.call, 'orders-1'))) {
      await new Promise((written) => visit.socket.write(Uint8Array.of(byte), written));
    }
    expect(await outcome).toMatchObject({ kind: 'answered', instance: 'orders-1' });
  });

  it('is reported with its duration', async () => {
    const { outcome, visit } = await bench.call();
    bench.time.advance(120);
    visit.socket.end(bench.harness.writeAnswer(visit.call, 'orders-1'));
    expect(await outcome).toMatchObject({ kind: 'answered', ms: 120 });
  });
}

function itReportsFailures(bench: Bench): void {
  it('is refused when nothing listens, with the text of the system', async () => {
    const endpoint = await bench.deadEndpoint();
    const outcome = await bench.caller.call(endpoint, heartbeatCall, TIMEOUT_MS);
    expect(outcome).toEqual({ kind: 'refused', text: `connect ECONNREFUSED 127.0.0.1:${endpoint.port}`, ms: 0 });
  });

  it('is closed when the connection ends without an answer', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end();
    expect(await outcome).toMatchObject({ kind: 'closed', text: bench.textWithAddress() });
  });

  it('is closed when the connection is reset, as a dying process does', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.resetAndDestroy();
    expect(await outcome).toMatchObject({ kind: 'closed', text: bench.textWithAddress('ECONNRESET') });
  });

  it('is closed when the answer breaks off', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end(bench.harness.writeAnswer(visit.call, 'orders-1').slice(0, -20));
    expect(await outcome).toMatchObject({ kind: 'closed' });
  });

  it('is a failure when another program answers, and does not repeat its text', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end('220 secret-banner ESMTP\r\n\r\n');
    const { kind, text } = textOf(await outcome);
    expect(kind).toBe('failed');
    expect(text).not.toContain('secret-banner');
  });

  it('is a failure when the answer is too large', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end(bench.harness.writeHugeAnswer(visit.call, 2_000));
    expect(await outcome).toMatchObject({ kind: 'failed' });
  });

  it('fails and stops reading when the answer never ends', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.on('error', () => {});
    const closed = once(visit.socket, 'close').catch(() => {});
    visit.socket.write(bench.harness.writeHugeAnswer(visit.call, 1_000_000));
    expect(await outcome).toMatchObject({ kind: 'failed' });
    await closed;
  });
}

function itTimesOut(bench: Bench): void {
  it('fails exactly when the timeout has passed', async () => {
    const { outcome, settled } = await bench.call();
    await bench.time.advanceBy(TIMEOUT_MS - 1);
    expect(settled()).toBe(false);
    await bench.time.advanceBy(1);
    expect(await outcome).toEqual({
      kind: 'failed',
      text: bench.textWithAddress('no answer within 2000 ms'),
      ms: TIMEOUT_MS,
    });
  });

  it('is not extended by an answer that trickles in', async () => {
    const { outcome, visit } = await bench.call();
    for (const char of bench.harness.writeAnswer(visit.call, 'orders-1').slice(0, 10)) {
      visit.socket.write(char);
      await bench.time.advanceBy(TIMEOUT_MS / 10);
    }
    expect(await outcome).toMatchObject({ kind: 'failed', ms: TIMEOUT_MS });
  });
}

function itClosesPolitely(bench: Bench): void {
  it('lets the called side close first, and follows', async () => {
    const { outcome, visit } = await bench.call();
    const ended = watch(visit.socket, 'end');
    visit.socket.write(bench.harness.writeAnswer(visit.call, 'orders-1'));
    await outcome;
    await bench.time.advanceBy(100);
    expect(ended()).toBe(false);
    visit.socket.end();
    expect(await once(visit.socket, 'close')).toEqual([false]);
  });

  it('closes itself when the called side does not', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.write(bench.harness.writeAnswer(visit.call, 'orders-1'));
    await outcome;
    const ended = once(visit.socket, 'end');
    await bench.time.advanceBy(500);
    await ended;
    visit.socket.end();
    expect(await once(visit.socket, 'close')).toEqual([false]);
  });

  it('reads a late answer without a reset', async () => {
    const { outcome, visit } = await bench.call();
    const ended = watch(visit.socket, 'end');
    await bench.time.advanceBy(TIMEOUT_MS);
    await outcome;
    for (const char of bench.harness.writeAnswer(visit.call, 'orders-1')) {
      await new Promise((written) => visit.socket.write(char, written));
    }
    expect(ended()).toBe(false);
    visit.socket.end();
    expect(await once(visit.socket, 'close')).toEqual([false]);
  });

  it('drops a connection that stays silent for ever', async () => {
    const { outcome, visit } = await bench.call();
    await bench.time.advanceBy(TIMEOUT_MS);
    await outcome;
    const ended = once(visit.socket, 'end');
    await bench.time.advanceBy(2_000);
    await ended;
    await bench.time.advanceBy(2_000);
    await bench.isQuiet();
  });

  it('keeps no timer and no connection afterwards', async () => {
    const { outcome, visit } = await bench.call();
    visit.socket.end(bench.harness.writeAnswer(visit.call, 'orders-1'));
    await outcome;
    await once(visit.socket, 'close');
    await bench.isQuiet();
  });
}

function itCloses(bench: Bench): void {
  it('ends the call under way, and may be called twice', async () => {
    const { outcome, visit } = await bench.call();
    const closed = once(visit.socket, 'close');
    bench.caller.close();
    bench.caller.close();
    expect(await outcome).toMatchObject({ kind: 'closed' });
    visit.socket.end();
    await closed;
    await bench.isQuiet();
  });
}

/** A caller, a server on loopback whose connections the test controls, and the clock of both. */
class Bench {
  readonly harness: CallerHarness;
  #servers: Server[] = [];
  #sockets: Socket[] = [];
  time = new ManualTime();
  caller: ProbeProtocol;
  #port = 0;

  constructor(harness: CallerHarness) {
    this.harness = harness;
    this.caller = harness.make(this.time);
  }

  /** Calls a server, and resolves when the whole request has arrived. */
  async call(): Promise<{ outcome: Promise<ProbeOutcome>; visit: Visit; settled: () => boolean }> {
    const server = await this.#listen();
    const visit = this.#visit(server);
    const outcome = this.caller.call(this.#endpoint(), heartbeatCall, TIMEOUT_MS);
    let isSettled = false;
    void outcome.then(() => (isSettled = true));
    return { outcome, visit: await visit, settled: () => isSettled };
  }

  /** An address at which nothing listens any more. */
  async deadEndpoint(): Promise<Endpoint> {
    const server = await this.#listen();
    await new Promise((closed) => server.close(closed));
    return this.#endpoint();
  }

  /** Matches a text that names the address. */
  textWithAddress(what = ''): unknown {
    return expect.stringMatching(new RegExp(`${what}.*127\\.0\\.0\\.1:${this.#port}`));
  }

  /** Resolves when no timer is left; fails by the time limit of the suite. */
  async isQuiet(): Promise<void> {
    while (this.time.pending().background + this.time.pending().foreground > 0) {
      await this.time.advanceBy(0);
    }
  }

  async close(): Promise<void> {
    this.caller.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((closed) => server.close(closed))));
    this.#servers = [];
    this.#sockets = [];
    this.time = new ManualTime();
    this.caller = this.harness.make(this.time);
  }

  async #listen(): Promise<Server> {
    const server = createServer({ allowHalfOpen: true });
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    return server;
  }

  #endpoint(): Endpoint {
    return { protocol: this.harness.protocol, host: '127.0.0.1', port: this.#port, tls: false };
  }

  #visit(server: Server): Promise<Visit> {
    return new Promise((resolve) => {
      server.once('connection', (socket) => {
        this.#sockets.push(socket);
        let text = '';
        socket.setEncoding('latin1').on('data', (chunk: string) => {
          text += chunk;
          const call = this.harness.readRequest(text);
          if (call !== null) resolve({ socket, call });
        });
      });
    });
  }
}

function watch(socket: Socket, event: string): () => boolean {
  let isSeen = false;
  socket.once(event, () => (isSeen = true));
  return () => isSeen;
}

function textOf(outcome: ProbeOutcome): { readonly kind: string; readonly text: string } {
  return { kind: outcome.kind, text: 'text' in outcome ? outcome.text : '' };
}
