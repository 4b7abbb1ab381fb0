import { NestApplicationContext } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { MEMBERSHIP } from './inject.js';
import type { Membership } from './membership.js';
import { application, ask, LOOPBACK, microservice, Pool, portOf, world } from './nest.fixture.js';

describe('the drain', () => {
  it('keeps app.close() of a standalone microservice from cutting a request in flight', async () => {
    const here = await world();
    const app = microservice(here);
    await app.listen();
    const { answer, socket } = await ask(here.rollcall.port, 'slow');
    await here.gate.entered;
    const closed = app.close();
    await here.time.advanceBy(1_000);
    expect(here.rollcall.events).toEqual(['start', 'register', 'drain']);
    here.gate.open();
    expect(await answer).toMatchObject({ response: 'done' });
    await here.time.advanceBy(100);
    await closed;
    expect(here.rollcall.events.at(-1)).toBe('close');
    socket.destroy();
  });

  it.each(['express', 'fastify'] as const)(
    'serves new and old requests on %s until it is over, then closes',
    async (framework) => {
      const here = await world();
      here.rollcall.onDrain = () => Promise.resolve(1);
      const app = application(here, framework, { return503OnClosing: true });
      await app.listen(0);
      const url = `http://127.0.0.1:${portOf(app)}`;
      const slow = fetch(`${url}/slow`);
      await here.gate.entered;
      const closed = app.close();
      await here.time.advanceBy(1_000);
      const quick = await fetch(`${url}/quick`);
      expect([quick.status, quick.headers.get('connection')]).toEqual([200, 'close']);
      here.gate.open();
      expect((await slow).status).toBe(200);
      await here.time.advanceBy(200);
      await closed;
      await expect(fetch(`${url}/quick`)).rejects.toThrow();
    },
  );

  it('comes before the user’s own modules are destroyed, when a signal ends the process', async () => {
    const here = await world();
    let poolWasClosed: boolean | null = null;
    here.rollcall.onDrain = () => {
      poolWasClosed = here.module.get(Pool).closed;
      return Promise.resolve(0);
    };
    const app = microservice(here);
    await app.listen();
    // what a signal does, where app.close() would close the server first
    await NestApplicationContext.prototype.close.call(app, 'SIGTERM');
    expect(poolWasClosed).toBe(false);
    expect(here.module.get(Pool).closed).toBe(true);
  });

  it('lets callers move away: it lasts until no request has come for 100 ms', async () => {
    const here = await world();
    here.rollcall.onDrain = () => Promise.resolve(3);
    const app = microservice(here);
    await app.listen();
    const { port } = here.rollcall;
    let isClosed = false;
    const closed = app.close().then(() => void (isClosed = true));
    await here.time.advanceBy(90);
    const { answer, socket } = await ask(port, 'quick');
    await answer;
    await here.time.advanceBy(90);
    expect(isClosed).toBe(false);
    await here.time.advanceBy(10);
    await closed;
    expect(here.time.pending().foreground).toBe(0);
    socket.destroy();
  });

  it('waits for no request longer than its deadline, and says how many it cut', async () => {
    const here = await world({ service: 'orders', drain: { deadlineMs: 300 } });
    const app = microservice(here);
    await app.listen();
    const { socket } = await ask(here.rollcall.port, 'slow');
    await here.gate.entered;
    const closed = app.close();
    await here.time.advanceBy(300);
    await closed;
    expect(here.log.texts('warn')).toEqual(['Not drained within 300 ms. Requests in flight that are cut: 1.']);
    socket.destroy();
  });

  it.each([
    ['express', undefined],
    ['express', 'text/event-stream'],
    ['fastify', 'text/event-stream'],
  ] as const)('does not wait for an event stream over HTTP, on %s when %s was asked for', async (framework, accept) => {
    const here = await world();
    const app = application(here, framework, { forceCloseConnections: true });
    await app.listen(0);
    const headers: Record<string, string> = accept === undefined ? {} : { accept };
    const response = await fetch(`http://127.0.0.1:${portOf(app)}/stream`, { headers });
    const drained = here.module.get<Membership>(MEMBERSHIP).drain();
    await here.time.advanceBy(0);
    await drained;
    expect(here.time.now()).toBe(0);
    await response.body?.cancel();
  });

  it('is final: who drains does not register any more', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    const membership = here.module.get<Membership>(MEMBERSHIP);
    await membership.drain();
    await app.listen(0);
    expect(here.rollcall.events).toEqual(['start']);
  });

  it('does not wait for a registry that gives no answer beyond its deadline', async () => {
    const here = await world({ service: 'orders', drain: { deadlineMs: 300 } });
    here.rollcall.onDrain = () => new Promise(() => {});
    const app = microservice(here);
    await app.listen();
    const closed = app.close();
    await here.time.advanceBy(400);
    await closed;
    expect(here.rollcall.events.at(-1)).toBe('close');
    expect(here.time.pending().foreground).toBe(0);
  });
});
