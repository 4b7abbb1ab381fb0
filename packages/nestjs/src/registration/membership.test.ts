import { ModulesContainer, NestApplicationContext } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { MEMBERSHIP } from '../inject.js';
import { application, sendRequest, LOOPBACK, microservice, Pool, portOf, createFixture } from '../nest.fixture.js';
import type { Membership } from './membership.js';

describe('the drain', () => {
  it('keeps app.close() of a standalone microservice from cutting a request in flight', async () => {
    const fixture = await createFixture();
    const app = microservice(fixture);
    await app.listen();
    const { answer, socket } = await sendRequest(fixture.rollcall.port, 'slow');
    await fixture.gate.entered;
    const closed = app.close();
    await fixture.time.advanceBy(1_000);
    expect(fixture.rollcall.events).toEqual(['start', 'register', 'drain']);
    fixture.gate.open();
    expect(await answer).toMatchObject({ response: 'done' });
    await fixture.time.advanceBy(100);
    await closed;
    expect(fixture.rollcall.events.at(-1)).toBe('close');
    socket.destroy();
  });

  it.each(['express', 'fastify'] as const)(
    'serves new and old requests on %s until it is over, then closes',
    async (framework) => {
      const fixture = await createFixture();
      fixture.rollcall.onDrain = () => Promise.resolve(1);
      const app = application(fixture, framework, { return503OnClosing: true });
      await app.listen(0);
      const url = `http://127.0.0.1:${portOf(app)}`;
      const slow = fetch(`${url}/slow`);
      await fixture.gate.entered;
      const closed = app.close();
      await fixture.time.advanceBy(1_000);
      const quick = await fetch(`${url}/quick`);
      expect([quick.status, quick.headers.get('connection')]).toEqual([200, 'close']);
      fixture.gate.open();
      expect((await slow).status).toBe(200);
      await fixture.time.advanceBy(200);
      await closed;
      await expect(fetch(`${url}/quick`)).rejects.toThrow();
    },
  );

  it('comes before the user’s own modules are destroyed, when a signal ends the process', async () => {
    const fixture = await createFixture();
    let poolWasClosed: boolean | null = null;
    fixture.rollcall.onDrain = () => {
      poolWasClosed = fixture.module.get(Pool).closed;
      return Promise.resolve(0);
    };
    const app = microservice(fixture);
    await app.listen();
    // what a signal does, where app.close() would close the server first
    await NestApplicationContext.prototype.close.call(app, 'SIGTERM');
    expect(poolWasClosed).toBe(false);
    expect(fixture.module.get(Pool).closed).toBe(true);
  });

  it.each(['express', 'fastify'] as const)(
    'comes before them on %s also where Nest does not let it be destroyed first',
    async (framework) => {
      const fixture = await createFixture();
      let poolWasClosed: boolean | null = null;
      fixture.rollcall.onDrain = () => {
        poolWasClosed = fixture.module.get(Pool).closed;
        return Promise.resolve(0);
      };
      const app = application(fixture, framework);
      await app.listen(0);
      // as if the setter did not exist
      for (const module of fixture.module.get(ModulesContainer).values())
        if (module.name === 'RollcallLifecycleModule') module.distance = Number.MAX_VALUE;
      await app.close();
      expect([poolWasClosed, fixture.module.get(Pool).closed]).toEqual([false, true]);
    },
  );

  it('lets callers move away: it lasts until no request has come for 100 ms', async () => {
    const fixture = await createFixture();
    fixture.rollcall.onDrain = () => Promise.resolve(3);
    const app = microservice(fixture);
    await app.listen();
    const { port } = fixture.rollcall;
    let isClosed = false;
    const closed = app.close().then(() => void (isClosed = true));
    await fixture.time.advanceBy(90);
    const { answer, socket } = await sendRequest(port, 'quick');
    await answer;
    await fixture.time.advanceBy(90);
    expect(isClosed).toBe(false);
    await fixture.time.advanceBy(10);
    await closed;
    expect(fixture.time.pending().foreground).toBe(0);
    socket.destroy();
  });

  it('does not take a stall of this process for quiet: requests that wait in its sockets are answered', async () => {
    const fixture = await createFixture();
    fixture.rollcall.onDrain = () => Promise.resolve(3);
    const app = microservice(fixture);
    await app.listen();
    const { port } = fixture.rollcall;
    let isClosed = false;
    const closed = app.close().then(() => void (isClosed = true));
    await fixture.time.advanceBy(10);
    fixture.time.advance(5_000); // promises do not get on meanwhile
    await fixture.time.advanceBy(10);
    const { answer, socket } = await sendRequest(port, 'quick');
    expect([await answer, isClosed]).toMatchObject([{ response: 'quick' }, false]);
    await fixture.time.advanceBy(120);
    await closed;
    socket.destroy();
  });

  it('waits for no request longer than its deadline, and logs how many it cut', async () => {
    const fixture = await createFixture({ service: 'orders', drain: { deadlineMs: 300 } });
    const app = microservice(fixture);
    await app.listen();
    const { socket } = await sendRequest(fixture.rollcall.port, 'slow');
    await fixture.gate.entered;
    const closed = app.close();
    await fixture.time.advanceBy(300);
    await closed;
    expect(fixture.log.texts('warn')).toEqual([
      'Not drained within 300 ms. Requests in flight that are cut: 1: tcp slow (for 300 ms).',
    ]);
    socket.destroy();
  });

  it.each([
    ['express', undefined],
    ['express', 'text/event-stream'],
    ['fastify', 'text/event-stream'],
  ] as const)('does not wait for an event stream over HTTP, on %s when %s was asked for', async (framework, accept) => {
    const fixture = await createFixture();
    const app = application(fixture, framework, { forceCloseConnections: true });
    await app.listen(0);
    const headers: Record<string, string> = accept === undefined ? {} : { accept };
    const response = await fetch(`http://127.0.0.1:${portOf(app)}/stream`, { headers });
    const drained = fixture.module.get<Membership>(MEMBERSHIP).drain();
    await fixture.time.advanceBy(0);
    await drained;
    expect(fixture.time.now()).toBe(0);
    await response.body?.cancel();
  });

  it('logs what it waited for', async () => {
    const fixture = await createFixture();
    fixture.rollcall.onDrain = () => Promise.resolve(3);
    const app = application(fixture);
    await app.listen(0);
    const slow = fetch(`http://127.0.0.1:${portOf(app)}/slow?token=secret`);
    await fixture.gate.entered;
    await fixture.time.advanceBy(30);
    const closed = app.close();
    await fixture.time.advanceBy(50);
    fixture.gate.open();
    await (await slow).text();
    await fixture.time.advanceBy(300);
    await closed;
    const drained = fixture.log.texts('info').filter((text) => text.startsWith('Drained'));
    expect(drained).toEqual([
      expect.stringMatching(
        /^Drained in \d+ ms: 3 watchers had to be notified; 1 in flight \(GET \/slow \(for 30 ms\)\); no request/,
      ),
    ]);
  });

  it('lasts at least the configured time, for callers that the registry does not notify', async () => {
    const fixture = await createFixture({ service: 'orders', drain: { leastMs: 2_000 } });
    const app = application(fixture);
    await app.listen(0);
    const closed = app.close();
    await fixture.time.advanceBy(1_980);
    expect((await fetch(`http://127.0.0.1:${portOf(app)}/quick`)).status).toBe(200);
    await fixture.time.advanceBy(50);
    await closed;
    await fixture.time.advanceBy(0);
    expect(fixture.log.texts('info').at(-1)).toContain('at least 2000 ms, as the option leastMs requires');
    expect(fixture.time.now()).toBeLessThan(2_100);
  });

  it('has no least time if nothing listens', async () => {
    const fixture = await createFixture({ drain: { leastMs: 2_000 } });
    await fixture.module.init();
    await fixture.module.close();
    expect(fixture.time.now()).toBe(0);
  });

  it('rejects a least time beyond its deadline', async () => {
    await expect(createFixture({ drain: { leastMs: 2_000, deadlineMs: 1_000 } })).rejects.toThrow('drain.leastMs 2000');
  });

  it('waits for messages that a broker delivered before callers stopped sending, not for later ones', async () => {
    const fixture = await createFixture();
    fixture.rollcall.onDrain = () => Promise.resolve(3);
    await microservice(fixture).listen();
    const membership = fixture.module.get<Membership>(MEMBERSHIP);
    const jobs: object[] = [];
    let isOver = false;
    const drained = membership.drain().then(() => void (isOver = true));
    for (let at = 0; at < 200; at += 10) {
      jobs.push({});
      membership.inFlight.begin(jobs.at(-1)!, undefined, { nameOf: () => 'redis jobs', isPulled: true });
      await fixture.time.advanceBy(10);
    }
    expect([isOver, membership.inFlight.count]).toEqual([false, 20]);
    for (const job of jobs.slice(0, 12)) membership.inFlight.end(job);
    await fixture.time.advanceBy(10);
    await drained;
    expect(membership.inFlight.count).toBe(8);
  });

  it('is final: a draining process does not register again', async () => {
    const fixture = await createFixture();
    const app = application(fixture);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    const membership = fixture.module.get<Membership>(MEMBERSHIP);
    await membership.drain();
    await app.listen(0);
    expect(fixture.rollcall.events).toEqual(['start']);
  });

  it('waits for a registry without an answer no longer than its deadline', async () => {
    const fixture = await createFixture({ service: 'orders', drain: { deadlineMs: 300 } });
    fixture.rollcall.onDrain = () => new Promise(() => {});
    const app = microservice(fixture);
    await app.listen();
    const closed = app.close();
    await fixture.time.advanceBy(400);
    await closed;
    expect(fixture.rollcall.events.at(-1)).toBe('close');
    expect(fixture.time.pending().foreground).toBe(0);
  });
});
