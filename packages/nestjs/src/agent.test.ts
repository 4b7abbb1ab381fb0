import { Transport } from '@nestjs/microservices';
import { describe, expect, it } from 'vitest';
import { RollcallAgent } from './agent.js';
import { application, ask, LOOPBACK, microservice, portOf, world } from './nest.fixture.js';

describe('registration', () => {
  it('announces the port that a microservice on port 0 got, without a host when it listens on every address', async () => {
    const here = await world();
    await microservice(here, { transport: Transport.TCP, options: { host: '0.0.0.0', port: 0 } }).listen();
    expect(here.rollcall.events).toEqual(['start', 'register']);
    expect(here.rollcall.registered).toEqual([{ protocol: 'tcp', port: expect.any(Number), tls: false }]);
    expect(here.rollcall.port).toBeGreaterThan(0);
  });

  it.each(['express', 'fastify'] as const)('announces an HTTP server on %s', async (framework) => {
    const here = await world();
    const app = application(here, framework);
    await app.listen(0, '127.0.0.1');
    expect(here.rollcall.registered).toEqual([{ protocol: 'http', host: '127.0.0.1', port: portOf(app), tls: false }]);
  });

  it('announces the endpoints of a hybrid application once, when the last of them listens', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    expect(here.rollcall.registered).toBeNull();
    await app.init();
    expect(here.rollcall.registered).toBeNull();
    await app.listen(0);
    expect(here.rollcall.registered?.map((endpoint) => endpoint.protocol)).toEqual(['tcp', 'http']);
    expect(here.rollcall.events).toEqual(['start', 'register']);
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn').join()).not.toContain('Not registered');
  });

  it('says after 5 s what does not listen', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    await app.init();
    await here.time.advanceBy(4_999);
    expect(here.log.texts('warn')).toEqual([]);
    await here.time.advanceBy(1);
    expect(here.log.texts('warn')).toEqual([
      expect.stringMatching(/^Not registered after 5000 ms: http does not listen/),
    ]);
  });

  it('says so as well when the application was not even initialised', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([expect.stringContaining('app.listen')]);
  });

  it('waits for the word of the user when it is manual', async () => {
    const here = await world({ service: 'orders', register: 'manual' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    await here.module.get(RollcallAgent).register();
    await here.module.get(RollcallAgent).register();
    expect(here.rollcall.events).toEqual(['start', 'register']);
  });

  it('refuses to register by hand what does not listen', async () => {
    const here = await world({ service: 'orders', register: 'manual' });
    await expect(here.module.get(RollcallAgent).register()).rejects.toThrow('no TCP, HTTP or gRPC server that listens');
  });

  it('is not possible with a transport that nobody calls an instance by, and says so', async () => {
    const here = await world();
    const strategy = { listen: (listening: () => void) => listening(), close: () => {}, addHandler: () => {} };
    await microservice(here, { strategy }).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining('no TCP, HTTP or gRPC server')]);
  });

  it('does not announce a loopback address to a registry that is elsewhere, and says which line to change', async () => {
    const here = await world({ service: 'orders', registry: 'http://10.0.0.9:1337' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining("options: { host: '0.0.0.0', … }")]);
  });

  it('nor where one of several registries is elsewhere', async () => {
    const here = await world({ service: 'orders', registry: ['http://127.0.0.1:1337', 'http://10.0.0.9:1337'] });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining('http://10.0.0.9:1337')]);
  });

  it('announces the address that was set, whatever is bound', async () => {
    const here = await world({ service: 'orders', registry: 'http://10.0.0.9:1337', advertiseHost: 'orders.internal' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toMatchObject([{ host: 'orders.internal' }]);
  });

  it('is not attempted without a service: such a process only watches', async () => {
    const here = await world({});
    await microservice(here).listen();
    expect(here.rollcall.events).toEqual(['start']);
  });

  it('opens nothing before something listens', async () => {
    const here = await world();
    await application(here).init();
    expect(here.rollcall.events).toEqual([]);
  });

  it('warns, some time after, that signals will not drain when nobody listens to them', async () => {
    const here = await world();
    await microservice(here).listen();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([expect.stringContaining('enableShutdownHooks')]);
  });

  it('does not warn of signals when they are listened to', async () => {
    const here = await world();
    const app = microservice(here);
    app.enableShutdownHooks(['SIGTERM']);
    await app.listen();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([]);
  });
});

describe('two applications in one process', () => {
  it('do not know of each other', async () => {
    const one = await world({ service: 'orders' }, { id: 'orders-1' });
    const other = await world({ service: 'users' }, { id: 'users-1' });
    const [oneApp, otherApp] = [microservice(one), microservice(other)];
    await oneApp.listen();
    expect(other.rollcall.events).toEqual([]);
    await otherApp.listen();
    await oneApp.close();
    expect(other.rollcall.events).toEqual(['start', 'register']);
    const { answer, socket } = await ask(other.rollcall.port, 'rollcall.heartbeat-1', {});
    expect(await answer).toMatchObject({ response: { instance: 'users-1' } });
    socket.destroy();
  });
});
