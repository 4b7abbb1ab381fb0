import { Transport } from '@nestjs/microservices';
import { VERSION } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { application, ask, beat, CALL, LOOPBACK, microservice, portOf, world } from '../nest.fixture.js';
import type { RollcallModuleOptions } from '../rollcall.module-definition.js';
import { RollcallAgent } from './agent.js';

/** Stands for a broker: it listens to no port. */
const strategy = () => ({ listen: (listening: () => void) => listening(), close: () => {}, addHandler: () => {} });

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

  it('logs after 5 s which servers do not listen', async () => {
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

  it('logs that also if the application was not initialised', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([expect.stringContaining('app.listen')]);
  });

  it('waits for register() if it is manual', async () => {
    const here = await world({ service: 'orders', register: 'manual' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    await here.module.get(RollcallAgent).register();
    await here.module.get(RollcallAgent).register();
    expect(here.rollcall.events).toEqual(['start', 'register']);
  });

  it('rejects a manual registration if nothing listens', async () => {
    const here = await world({ service: 'orders', register: 'manual' });
    microservice(here);
    await expect(here.module.get(RollcallAgent).register()).rejects.toThrow('no server that listens');
    const other = await world({ service: 'orders', register: 'manual' });
    application(other);
    await expect(other.module.get(RollcallAgent).register()).rejects.toThrow('no server that listens');
  });

  it('does not announce a loopback address to a remote registry, and names the line to change', async () => {
    const here = await world({ service: 'orders', registry: 'http://10.0.0.9:1337' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining("options: { host: '0.0.0.0', … }")]);
  });

  it('nor if one of several registries is remote', async () => {
    const here = await world({ service: 'orders', registry: ['http://127.0.0.1:1337', 'http://10.0.0.9:1337'] });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining('http://10.0.0.9:1337')]);
  });

  it('announces the configured address, regardless of the bound one', async () => {
    const here = await world({ service: 'orders', registry: 'http://10.0.0.9:1337', advertiseHost: 'orders.internal' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toMatchObject([{ host: 'orders.internal' }]);
  });

  it('is not attempted without a service name: such a process only watches', async () => {
    const here = await world({});
    await microservice(here).listen();
    expect(here.rollcall.events).toEqual(['start']);
  });

  it('opens nothing before a server listens', async () => {
    const here = await world();
    await application(here).init();
    expect(here.rollcall.events).toEqual([]);
  });

  it('warns after a while that signals do not drain without a handler', async () => {
    const here = await world();
    await microservice(here).listen();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([expect.stringContaining('enableShutdownHooks')]);
    expect(here.rollcall.said).toEqual({ 'rollcall.version': VERSION, 'rollcall.shutdown-hooks': 'off' });
  });

  it('does not warn about signals with a handler', async () => {
    const here = await world();
    const app = microservice(here);
    app.enableShutdownHooks(['SIGTERM']);
    await app.listen();
    await here.time.advanceBy(5_000);
    expect(here.log.texts('warn')).toEqual([]);
    expect(here.rollcall.said).toEqual({ 'rollcall.version': VERSION });
  });

  it('adds no metadata if that of the application leaves no room', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`key-${index}`, 'x']));
    const here = await world({ service: 'orders', metadata });
    await microservice(here).listen();
    expect(here.rollcall.registered).not.toBeNull();
    expect(here.rollcall.said).toEqual({});
  });
});

/** One without a port, once it has registered. */
async function start(options: RollcallModuleOptions = { service: 'orders' }) {
  const here = await world(options);
  const app = microservice(here, { strategy: strategy() });
  await app.listen();
  await expect.poll(() => here.rollcall.registered).not.toBeNull();
  return { ...here, app, port: here.rollcall.port };
}

describe('an application without a port for callers', () => {
  it('opens one for Heartbeat-1, which is not an endpoint for calls', async () => {
    const here = await start();
    expect(here.rollcall.registered).toEqual([
      { protocol: 'heartbeat', host: '127.0.0.1', port: expect.any(Number), tls: false },
    ]);
    const response = await beat(here.rollcall.port);
    expect([response.status, await response.json()]).toEqual([200, { instance: 'orders-1', nonce: CALL.nonce }]);
    expect(here.log.texts('info')).toEqual([expect.stringContaining(`opened ${here.rollcall.port} for heartbeats`)]);
  });

  it('answers nothing else there', async () => {
    const here = await start();
    const url = `http://127.0.0.1:${here.rollcall.port}`;
    const response = await fetch(`${url}/quick`);
    expect([response.status, await response.json()]).toMatchObject([404, { code: 'NOT_FOUND' }]);
    expect((await beat(here.rollcall.port, 'x'.repeat(2_000))).status).toBe(413);
  });

  it('opens it on every address, and leaves the host to the registry, if that is remote', async () => {
    const here = await start({ service: 'orders', registry: 'http://10.0.0.9:1337' });
    expect(here.rollcall.registered).toEqual([{ protocol: 'heartbeat', port: expect.any(Number), tls: false }]);
  });

  it('opens the configured one, and says what to do if it is taken', async () => {
    const taken = await world();
    await microservice(taken).listen();
    const here = await world({ service: 'orders', heartbeatPort: taken.rollcall.port });
    await microservice(here, { strategy: strategy() }).listen();
    await expect.poll(() => here.log.texts('error')).toEqual([expect.stringMatching(/EADDRINUSE.*heartbeatPort/)]);
    expect(here.rollcall.registered).toBeNull();
  });

  it('answers the registry while it drains, and closes it after the goodbye', async () => {
    const here = await start();
    const { app, port } = here;
    let duringDrain = 0;
    here.rollcall.onDrain = async () => {
      duringDrain = (await beat(port)).status;
      return 0;
    };
    await app.close();
    expect(duringDrain).toBe(200);
    await expect(beat(port)).rejects.toThrow('fetch failed');
  });

  it('needs none if one of its servers has a port', async () => {
    const here = await world();
    const app = application(here);
    app.connectMicroservice({ strategy: strategy() });
    await app.startAllMicroservices();
    await app.listen(0);
    expect(here.rollcall.registered?.map(({ protocol }) => protocol)).toEqual(['http']);
  });

  it('may have no server at all, if it registers itself', async () => {
    const here = await world({ service: 'orders', register: 'manual' });
    await here.module.init();
    await here.module.get(RollcallAgent).register();
    expect(here.rollcall.registered).toMatchObject([{ protocol: 'heartbeat' }]);
    await here.module.close();
  });
});

describe('a probe of the platform', () => {
  it.each(['express', 'fastify'] as const)('learns on %s that the process is ready until it drains', async (name) => {
    const here = await world({ service: 'orders' }, { guarded: true });
    const app = application(here, name);
    app.setGlobalPrefix('api');
    await app.listen(0);
    const ready = async (method = 'GET'): Promise<number> =>
      (await fetch(`http://127.0.0.1:${portOf(app)}/.well-known/rollcall/ready`, { method })).status;
    expect([await ready(), await ready('HEAD'), await ready('POST')]).toEqual([200, 200, 405]);
    let duringDrain = 0;
    here.rollcall.onDrain = async () => {
      duringDrain = await ready();
      return 0;
    };
    await app.close();
    expect(duringDrain).toBe(503);
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
