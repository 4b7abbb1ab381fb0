import { once } from 'node:events';
import type { Server as NetServer, Socket } from 'node:net';
import type { Server } from '@nestjs/microservices';
import { encodeFrame } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { MEMBERSHIP } from '../inject.js';
import { sendRequest, CALL, microservice, createFixture } from '../nest.fixture.js';
import type { Membership } from '../registration/membership.js';

async function guarded() {
  const fixture = await createFixture({ service: 'orders' }, { guarded: true });
  await microservice(fixture).listen();
  return { ...fixture, port: fixture.rollcall.port };
}

describe('Heartbeat-1 over TCP', () => {
  it('is answered past a guard that rejects everything', async () => {
    const { port, rollcall } = await guarded();
    expect((await (await sendRequest(port, 'quick')).answer).err).toBeDefined();
    const { answer } = await sendRequest(port, 'rollcall.heartbeat-1', CALL);
    expect(await answer).toMatchObject({ response: { instance: 'orders-1', nonce: CALL.nonce } });
    expect(rollcall.questions).toEqual([CALL]);
  });

  it('ends with our FIN, after the answer', async () => {
    const { port } = await guarded();
    const { socket, answer } = await sendRequest(port, 'rollcall.heartbeat-1', CALL);
    const ended = once(socket, 'end');
    await answer;
    await ended;
  });

  it('leaves the connection open for the next call if requested', async () => {
    const { port, rollcall } = await guarded();
    const { socket, answer } = await sendRequest(port, 'rollcall.heartbeat-1', { ...CALL, keep: true });
    expect(await answer).toMatchObject({ response: { instance: 'orders-1', nonce: CALL.nonce } });
    const ended = once(socket, 'end');
    const last = { ...CALL, nonce: 'nonce-of-the-last' };
    socket.write(encodeFrame({ pattern: 'rollcall.heartbeat-1', data: last, id: '2' }));
    await ended;
    expect(rollcall.questions).toEqual([{ ...CALL, keep: true }, last]);
  });

  it('leaves the connection open after an identity check', async () => {
    const { port, rollcall } = await guarded();
    const { socket, answer } = await sendRequest(port, 'rollcall.heartbeat-1', {});
    let ended = false;
    socket.once('end', () => void (ended = true));
    expect(await answer).toMatchObject({ response: { instance: 'orders-1', nonce: null } });
    const other = await sendRequest(port, 'rollcall.heartbeat-1', CALL);
    await once(other.socket, 'end');
    expect(ended).toBe(false);
    expect(rollcall.questions).toEqual([{}, CALL]);
    socket.destroy();
  });

  it('turns Nagle off on the connections of the server', async () => {
    const fixture = await createFixture();
    const app = microservice(fixture);
    const delays: unknown[] = [];
    app.unwrap<NetServer>().prependListener('connection', (socket: Socket) => {
      const original = socket.setNoDelay.bind(socket);
      socket.setNoDelay = (on) => (delays.push(on), original(on));
    });
    await app.listen();
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'quick');
    await answer;
    socket.destroy();
    expect(delays).toEqual([true]);
  });
});

it('counts requests but not heartbeats: a drain that waits for quiet does not wait for the registry', async () => {
  const fixture = await createFixture();
  await microservice(fixture).listen();
  const { inFlight } = fixture.module.get<Membership>(MEMBERSHIP);
  await fixture.time.advanceBy(5);
  await (
    await sendRequest(fixture.rollcall.port, 'rollcall.heartbeat-1', CALL)
  ).answer;
  expect(inFlight.changedAt).toBe(0);
  const { answer, socket } = await sendRequest(fixture.rollcall.port, 'quick');
  await answer;
  socket.destroy();
  expect(inFlight.changedAt).toBe(fixture.time.now());
});

describe('the handler of a message', () => {
  it('is found by a pattern of any kind, the first time and later', async () => {
    const fixture = await createFixture();
    const app = microservice(fixture);
    const server: Server = (app as any).serverInstance;
    server.addHandler({ cmd: 'sum', of: ['two', 1] }, async () => 'sum');
    server.addHandler('7', async () => 'seven');
    await app.listen();
    const patterns: readonly [unknown, unknown][] = [
      [{ of: ['two', 1], cmd: 'sum' }, 'sum'],
      ['7', 'seven'],
      [7, 'seven'],
    ];
    for (const [pattern, response] of [...patterns, ...patterns]) {
      const { answer, socket } = await sendRequest(fixture.rollcall.port, pattern);
      expect(await answer).toMatchObject({ response });
      socket.destroy();
    }
    for (let i = 0; i < 2; i += 1) {
      const { answer, socket } = await sendRequest(fixture.rollcall.port, 'nobody');
      expect((await answer).err).toContain('no matching message handler');
      socket.destroy();
    }
  });
});

it('caches no long pattern, since patterns are untrusted', async () => {
  const fixture = await createFixture();
  const app = microservice(fixture);
  const server: Server = (app as any).serverInstance;
  const parsed: unknown[] = [];
  const find: (pattern: unknown) => unknown = Reflect.get(server, 'normalizePattern').bind(server);
  Reflect.set(server, 'normalizePattern', (pattern: unknown) => (parsed.push(pattern), find(pattern)));
  await app.listen();
  const long = 'x'.repeat(10_000);
  parsed.length = 0;
  for (const pattern of ['short', 'short', long, long]) {
    const { answer, socket } = await sendRequest(fixture.rollcall.port, pattern);
    await answer;
    socket.destroy();
  }
  expect(parsed.filter((pattern) => pattern === 'short')).toHaveLength(1);
  expect(parsed.filter((pattern) => pattern === long)).toHaveLength(2);
});

describe('hooks of the user', () => {
  it('for the start and end of processing are called, and requests are still counted', async () => {
    const fixture = await createFixture();
    const app = microservice(fixture);
    const seen: string[] = [];
    await app.init();
    const server: Server = (app as any).serverInstance;
    server.setOnProcessingStartHook((_: unknown, __: unknown, done: () => Promise<unknown>) => {
      seen.push('start');
      void done();
    });
    server.setOnProcessingEndHook(() => seen.push('end'));
    await app.listen();
    const { inFlight } = fixture.module.get<Membership>(MEMBERSHIP);
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'slow');
    await fixture.gate.entered;
    expect([seen, inFlight.count]).toEqual([['start'], 1]);
    fixture.gate.open();
    await answer;
    socket.destroy();
    expect([seen, inFlight.count]).toEqual([['start', 'end'], 0]);
  });
});
