import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { application, beat, CALL, PATH, portOf, createFixture } from '../nest.fixture.js';

/** A Heartbeat-1 as the registry sends it. */
function requestOf(call: object): string {
  const body = JSON.stringify(call);
  const fields = ['host: localhost', 'content-type: application/json', `content-length: ${body.length}`];
  return `${[`POST ${PATH} HTTP/1.1`, ...fields].join('\r\n')}\r\n\r\n${body}`;
}

describe.each(['express', 'fastify'] as const)('Heartbeat-1 over HTTP on %s', (framework) => {
  it.each([
    ['a guard', async (app: INestApplication) => void app],
    ['a global prefix', async (app: INestApplication) => void app.setGlobalPrefix('api')],
    [
      'middleware that refuses every request',
      async (app: INestApplication) =>
        void app.use((_: unknown, response: any) => ((response.statusCode = 401), response.end())),
    ],
  ])('is answered past %s', async (_, prepare) => {
    const fixture = await createFixture({ service: 'orders' }, { guarded: true });
    const app = application(fixture, framework);
    await prepare(app);
    await app.listen(0);
    expect((await fetch(`http://127.0.0.1:${portOf(app)}/quick`)).status).toBeGreaterThanOrEqual(400);
    const response = await beat(portOf(app));
    expect([response.status, await response.json()]).toEqual([200, { instance: 'orders-1', nonce: CALL.nonce }]);
    expect(response.headers.get('connection')).toBe('close');
  });

  it('needs no body parser, and keeps the connection of an identity check', async () => {
    const fixture = await createFixture();
    const app = application(fixture, framework, { bodyParser: false });
    await app.listen(0);
    const response = await beat(portOf(app), {});
    expect(await response.json()).toEqual({ instance: 'orders-1', nonce: null });
    expect(response.headers.get('connection')).not.toBe('close');
  });

  it('keeps the connection if the call requests it, for longer than Node does, and closes it at the last one', async () => {
    const fixture = await createFixture();
    const app = application(fixture, framework);
    await app.listen(0);
    const server: Server = app.getHttpServer();
    const accepted = once(server, 'connection');
    const socket = connect(portOf(app), '127.0.0.1');
    socket.setEncoding('utf8').write(requestOf({ ...CALL, keep: true }));
    const [answer] = await once(socket, 'data');
    expect(String(answer).toLowerCase()).toContain('connection: keep-alive');
    const [peer]: Socket[] = await accepted;
    await expect.poll(() => peer?.timeout).toBeGreaterThan(server.keepAliveTimeout);
    const ended = once(socket, 'end');
    socket.write(requestOf(CALL));
    expect(String(await once(socket, 'data')).toLowerCase()).toContain('connection: close');
    await ended;
  });

  it('rejects a request that is not a heartbeat', async () => {
    const fixture = await createFixture();
    const app = application(fixture, framework);
    await app.listen(0);
    const port = portOf(app);
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect((await beat(port, 'no json')).status).toBe(400);
    expect((await beat(port, { ...CALL, more: 'x'.repeat(1_024) })).status).toBe(413);
    expect((await get(PATH)).status).toBe(405);
    expect((await get('/.well-known/rollcall/other')).status).toBe(404);
    expect(fixture.rollcall.questions).toEqual([]);
  });
});

describe.each(['express', 'fastify'] as const)('a request over HTTP on %s', (framework) => {
  async function status(headers: Record<string, string>): Promise<number> {
    const fixture = await createFixture();
    const app = application(fixture, framework);
    await app.listen(0);
    return (await fetch(`http://127.0.0.1:${portOf(app)}/quick`, { headers })).status;
  }

  it('is refused with 421 if it is for another process', async () => {
    expect(await status({ 'rollcall-target': 'orders-2' })).toBe(421);
    expect(await status({ 'rollcall-target': 'orders-1' })).toBe(200);
  });

  it('is refused with 504 if its deadline has passed', async () => {
    expect(await status({ 'rollcall-deadline-ms': '0' })).toBe(504);
    expect(await status({ 'rollcall-deadline-ms': '1' })).toBe(200);
  });
});
