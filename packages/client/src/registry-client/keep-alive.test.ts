import type { ServerResponse } from 'node:http';
import { EventEmitter, once } from 'node:events';
import { isRollcallError, systemTime } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpRegistryClient } from './http.js';
import { startHttpRegistry } from './registry-client.fixture.js';
import type { HttpRegistry } from './registry-client.fixture.js';

const proof = { id: 'orders-1', secret: 'a-secret-of-22-letters' };
const shared = { fresh: false };
const HEALTHY = { ok: true, value: { state: 'HEALTHY', revision: 7 } };

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const answer = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(HEALTHY.value));
};
const breakOff = (response: ServerResponse): void => void response.socket?.destroy();
const cutOff = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-length': 100 }).write('{"state"', () => response.socket?.end());
};

/** A handler that does not answer, and reports when a request arrives. */
function holdRequest(): {
  readonly handle: (response: ServerResponse) => void;
  readonly requested: Promise<ServerResponse>;
} {
  const events = new EventEmitter();
  const requested = once(events, 'asked').then(([response]) => response as ServerResponse);
  return { handle: (response) => void events.emit('asked', response), requested };
}

/** A registry that handles the first requests by these functions, in order, and answers all later ones. */
async function setUp(handlers: readonly ((response: ServerResponse) => void)[] = [], time: Time = systemTime) {
  let requestCount = 0;
  const registry = await startHttpRegistry((response) => {
    const handle = handlers[requestCount] ?? answer;
    requestCount += 1;
    handle(response);
  });
  const link = new HttpRegistryClient({ url: registry.url, time });
  cleanups.push(
    () => link.close(),
    () => registry.close(),
  );
  let seq = 0;
  const beat = (options = shared) => {
    seq += 1;
    return link.beat(proof, { nonce: null, seq }, options);
  };
  return { registry, link, beat };
}

const seqs = (registry: HttpRegistry): number[] => registry.requests.map(({ body }) => JSON.parse(body).seq);

/** Resolves when the n-th connection of the registry is closed, with the side that closed first. */
async function endOf(registry: HttpRegistry, nth: number): Promise<'peer' | 'registry'> {
  const socket = registry.sockets[nth];
  if (socket === undefined) throw new Error(`There was no connection ${nth}.`);
  let first: 'peer' | 'registry' = 'registry';
  socket.prependListener('end', () => (first = socket.writableEnded ? 'registry' : 'peer'));
  if (!socket.closed) await once(socket, 'close');
  return first;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return isRollcallError(error) ? error.code : 'no RollcallError';
}

describe('beats that may share a connection', () => {
  it('share one connection, and a fresh beat opens its own', async () => {
    const { registry, beat } = await setUp();
    for (const options of [shared, shared, { fresh: true }, shared])
      await expect(beat(options)).resolves.toEqual(HEALTHY);
    expect(seqs(registry)).toEqual([1, 2, 3, 4]);
    expect(registry.sockets).toHaveLength(2);
  });

  it('succeed even if the registry closed the kept connection, and then keep another one', async () => {
    const { registry, beat } = await setUp();
    await beat();
    const closed = endOf(registry, 0);
    registry.server.closeIdleConnections();
    await closed;
    for (let round = 0; round < 2; round += 1) await expect(beat()).resolves.toEqual(HEALTHY);
    const opened = registry.sockets.length;
    await expect(beat()).resolves.toEqual(HEALTHY);
    expect(seqs(registry)).toEqual([1, 2, 3, 4]);
    expect(registry.sockets).toHaveLength(opened);
  });

  it.each([
    ['breaks', breakOff],
    ['breaks in the middle of the answer', cutOff],
  ])('are sent once more on a fresh connection if the kept connection %s', async (_, handle) => {
    const { registry, beat } = await setUp([answer, handle]);
    await beat();
    await expect(beat()).resolves.toEqual(HEALTHY);
    expect(seqs(registry)).toEqual([1, 2, 2]);
    expect(registry.sockets).toHaveLength(2);
    await expect(endOf(registry, 1)).resolves.toBe('peer');
  });

  it('are lost if the fresh connection also breaks', async () => {
    const { registry, beat } = await setUp([answer, breakOff, breakOff]);
    await beat();
    await expect(codeOf(beat())).resolves.toBe('REGISTRY_UNREACHABLE');
    expect(seqs(registry)).toEqual([1, 2, 2]);
  });

  it('are lost if a new connection breaks', async () => {
    const { registry, beat } = await setUp([breakOff]);
    await expect(codeOf(beat())).resolves.toBe('REGISTRY_UNREACHABLE');
    expect(seqs(registry)).toEqual([1]);
  });

  it('have one time limit for all attempts', async () => {
    const time = new ManualTime();
    const [kept, fresh] = [holdRequest(), holdRequest()];
    const { registry, beat } = await setUp([answer, kept.handle, fresh.handle], time);
    await beat();
    const outcome = codeOf(beat());
    const { socket } = await kept.requested;
    time.advance(2_000);
    socket?.destroy();
    await fresh.requested;
    expect(time.nextAt()).toBe(3_000);
    time.advance(1_000);
    await expect(outcome).resolves.toBe('REGISTRY_UNREACHABLE');
    expect(seqs(registry)).toEqual([1, 2, 2]);
  });

  it('are not sent again if no answer arrives, and the connection is dropped', async () => {
    const time = new ManualTime();
    const { handle, requested } = holdRequest();
    const { registry, beat } = await setUp([answer, handle], time);
    await beat();
    const outcome = codeOf(beat());
    await requested;
    const closed = endOf(registry, 0);
    time.advance(3_000);
    await expect(outcome).resolves.toBe('REGISTRY_UNREACHABLE');
    await closed;
    await expect(beat()).resolves.toEqual(HEALTHY);
    expect(seqs(registry)).toEqual([1, 2, 3]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('keep a connection until it is released; the instance closes it first', async () => {
    const { registry, link, beat } = await setUp();
    await beat();
    const ended = endOf(registry, 0);
    link.releaseConnection();
    link.releaseConnection();
    await expect(ended).resolves.toBe('peer');
    await expect(beat()).resolves.toEqual(HEALTHY);
    expect(registry.sockets).toHaveLength(2);
  });

  it('are answered on a connection that was released meanwhile, which is closed only after that', async () => {
    const { registry, link, beat } = await setUp();
    const answered = beat();
    await once(registry.server, 'connection');
    const ended = endOf(registry, 0);
    link.releaseConnection();
    await expect(answered).resolves.toEqual(HEALTHY);
    await expect(ended).resolves.toBe('peer');
  });

  it('leave no connection behind when the client is closed', async () => {
    const { registry, link, beat } = await setUp();
    await beat();
    const ended = endOf(registry, 0);
    await link.close();
    await expect(ended).resolves.toBe('peer');
    await expect(codeOf(beat())).resolves.toBe('CLOSED');
  });
});
