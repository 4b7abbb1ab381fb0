import { describe, expect, it } from 'vitest';
import { deadPort } from '../transport/transport.fixture.js';
import { hangUp, httpWorld, instanceAt, ok } from './http-world.fixture.js';
import type { Script } from './http-world.fixture.js';

const refuse =
  (status: number, headers = {}): Script =>
  (_request, response) =>
    response.writeHead(status, headers).end(`no: ${status}`);

/** Announces more than it sends. */
const cut: Script = (request, response) => {
  response.writeHead(200, { 'content-length': '100' }).write('half');
  setImmediate(() => request.socket.destroy());
};

describe('an HTTP call', () => {
  it.each([
    ['is cut in the middle of its answer', cut],
    ['breaks before its answer', hangUp],
    ['is answered with 503', refuse(503)],
    ['is answered with 503 and Retry-After', refuse(503, { 'retry-after': '1' })],
    ['is answered with 429', refuse(429)],
    ['is answered with 502', refuse(502)],
    ['is answered with 504', refuse(504)],
    ['is answered with 421 by another process', refuse(421)],
  ])('that %s is retried elsewhere if it is idempotent', async (_name, script) => {
    const world = await httpWorld(2, [script, ok]);
    expect(await (await world.calls.fetch('orders', '/7')).text()).toBe('ok');
    expect(new Set(world.instances).size).toBe(2);
  });

  it.each([
    ['is cut in the middle of its answer', cut, 'TRANSPORT'],
    ['breaks before its answer', hangUp, 'TRANSPORT'],
  ])('that %s is not retried if it is not idempotent', async (_name, script, code) => {
    const world = await httpWorld(2, [script, ok]);
    const posted = world.calls.fetch('orders', '/', { method: 'POST', body: 'pay' });
    await expect(posted).rejects.toMatchObject({ code, retryable: false });
    expect(world.requests.length).toBe(1);
  });

  it('is retried even if it is not idempotent when it met another instance: it was not executed', async () => {
    const world = await httpWorld(2, [refuse(421), ok]);
    const posted = await world.calls.fetch('orders', '/', { method: 'POST', body: 'pay' });
    expect(await posted.text()).toBe('ok');
    expect(world.suspects).toEqual([`${world.instances[0]} misdirected`]);
  });

  it.each([200, 301, 400, 401, 404, 409, 500, 501])(
    'returns an answer with status %i, and blames no instance',
    async (status) => {
      const world = await httpWorld(2, [refuse(status)]);
      expect((await world.calls.fetch('orders', '/')).status).toBe(status);
      expect([world.requests.length, world.suspects]).toEqual([1, []]);
    },
  );

  it.each([502, 503, 504])(
    'returns an answer with status %i that the instance got from a service it called, and blames no instance',
    async (status) => {
      const world = await httpWorld(2, [refuse(status, { 'rollcall-error': 'TRANSPORT', 'retry-after': '1' })]);
      expect((await world.calls.fetch('orders', '/')).status).toBe(status);
      expect([world.requests.length, world.suspects]).toEqual([1, []]);
    },
  );

  it('with a streamed body goes elsewhere until the body is read', async () => {
    const world = await httpWorld(1, [(_request, response, body) => response.end(body)]);
    const dead = instanceAt('z', await deadPort());
    // the pick is by chance: ten calls meet the dead one, or it is no longer picked
    world.view.become([dead, ...world.view.instances]);
    for (let n = 0; n < 10; n += 1) {
      const body = new Blob([`upload ${n}`]).stream();
      const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
      expect(await (await world.calls.fetch('orders', '/', init)).text()).toBe(`upload ${n}`);
    }
    expect(world.suspects).toContain('z refused');
  });

  it('with a streamed body is sent once when the body was read', async () => {
    const world = await httpWorld(2, [hangUp, ok]);
    const init = { method: 'PUT', body: new Blob(['x']).stream(), duplex: 'half' } as RequestInit;
    await expect(world.calls.fetch('orders', '/', init)).rejects.toMatchObject({ code: 'TRANSPORT' });
    expect(world.requests.length).toBe(1);
  });
});
