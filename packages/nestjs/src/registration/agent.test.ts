import { Transport } from '@nestjs/microservices';
import { VERSION } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import {
  application,
  sendRequest,
  beat,
  CALL,
  LOOPBACK,
  microservice,
  portOf,
  createFixture,
} from '../nest.fixture.js';
import type { RollcallModuleOptions } from '../rollcall.module-definition.js';
import { RollcallAgent } from './agent.js';

/** Stands for a broker: it listens to no port. */
const strategy = () => ({ listen: (listening: () => void) => listening(), close: () => {}, addHandler: () => {} });

describe('registration', () => {
  it('announces the port that a microservice on port 0 got, without a host when it listens on every address', async () => {
    const fixture = await createFixture();
    await microservice(fixture, { transport: Transport.TCP, options: { host: '0.0.0.0', port: 0 } }).listen();
    expect(fixture.rollcall.events).toEqual(['start', 'register']);
    expect(fixture.rollcall.registered).toEqual([{ protocol: 'tcp', port: expect.any(Number), tls: false }]);
    expect(fixture.rollcall.port).toBeGreaterThan(0);
  });

  it.each(['express', 'fastify'] as const)('announces an HTTP server on %s', async (framework) => {
    const fixture = await createFixture();
    const app = application(fixture, framework);
    await app.listen(0, '127.0.0.1');
    expect(fixture.rollcall.registered).toEqual([
      { protocol: 'http', host: '127.0.0.1', port: portOf(app), tls: false },
    ]);
  });

  it('announces the endpoints of a hybrid application once, when the last of them listens', async () => {
    const fixture = await createFixture();
    const app = application(fixture);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    expect(fixture.rollcall.registered).toBeNull();
    await app.init();
    expect(fixture.rollcall.registered).toBeNull();
    await app.listen(0);
    expect(fixture.rollcall.registered?.map((endpoint) => endpoint.protocol)).toEqual(['tcp', 'http']);
    expect(fixture.rollcall.events).toEqual(['start', 'register']);
    await fixture.time.advanceBy(5_000);
    expect(fixture.log.texts('warn').join()).not.toContain('Not registered');
  });

  it('logs after 5 s which servers do not listen', async () => {
    const fixture = await createFixture();
    const app = application(fixture);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    await app.init();
    await fixture.time.advanceBy(4_999);
    expect(fixture.log.texts('warn')).toEqual([]);
    await fixture.time.advanceBy(1);
    expect(fixture.log.texts('warn')).toEqual([
      expect.stringMatching(/^Not registered after 5000 ms: http does not listen/),
    ]);
  });

  it('logs that also if the application was not initialised', async () => {
    const fixture = await createFixture();
    const app = application(fixture);
    app.connectMicroservice(LOOPBACK);
    await app.startAllMicroservices();
    await fixture.time.advanceBy(5_000);
    expect(fixture.log.texts('warn')).toEqual([expect.stringContaining('app.listen')]);
  });

  it('waits for register() if it is manual', async () => {
    const fixture = await createFixture({ service: 'orders', register: 'manual' });
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).toBeNull();
    await fixture.module.get(RollcallAgent).register();
    await fixture.module.get(RollcallAgent).register();
    expect(fixture.rollcall.events).toEqual(['start', 'register']);
  });

  it('rejects a manual registration if nothing listens', async () => {
    const fixture = await createFixture({ service: 'orders', register: 'manual' });
    microservice(fixture);
    await expect(fixture.module.get(RollcallAgent).register()).rejects.toThrow('no server that listens');
    const other = await createFixture({ service: 'orders', register: 'manual' });
    application(other);
    await expect(other.module.get(RollcallAgent).register()).rejects.toThrow('no server that listens');
  });

  it('does not announce a loopback address to a remote registry, and names the line to change', async () => {
    const fixture = await createFixture({ service: 'orders', registry: 'http://10.0.0.9:1337' });
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).toBeNull();
    expect(fixture.log.texts('error')).toEqual([expect.stringContaining("options: { host: '0.0.0.0', … }")]);
  });

  it('does not announce a loopback address if one of several registries is remote', async () => {
    const fixture = await createFixture({
      service: 'orders',
      registry: ['http://127.0.0.1:1337', 'http://10.0.0.9:1337'],
    });
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).toBeNull();
    expect(fixture.log.texts('error')).toEqual([expect.stringContaining('http://10.0.0.9:1337')]);
  });

  it('announces the configured address, regardless of the bound one', async () => {
    const fixture = await createFixture({
      service: 'orders',
      registry: 'http://10.0.0.9:1337',
      advertiseHost: 'orders.internal',
    });
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).toMatchObject([{ host: 'orders.internal' }]);
  });

  it('is not attempted without a service name: such a process only watches', async () => {
    const fixture = await createFixture({});
    await microservice(fixture).listen();
    expect(fixture.rollcall.events).toEqual(['start']);
  });

  it('opens nothing before a server listens', async () => {
    const fixture = await createFixture();
    await application(fixture).init();
    expect(fixture.rollcall.events).toEqual([]);
  });

  it('warns after a while that signals do not drain without a handler', async () => {
    const fixture = await createFixture();
    await microservice(fixture).listen();
    await fixture.time.advanceBy(5_000);
    expect(fixture.log.texts('warn')).toEqual([expect.stringContaining('enableShutdownHooks')]);
    expect(fixture.rollcall.metadata).toEqual({ 'rollcall.version': VERSION, 'rollcall.shutdown-hooks': 'off' });
  });

  it('does not warn about signals with a handler', async () => {
    const fixture = await createFixture();
    const app = microservice(fixture);
    app.enableShutdownHooks(['SIGTERM']);
    await app.listen();
    await fixture.time.advanceBy(5_000);
    expect(fixture.log.texts('warn')).toEqual([]);
    expect(fixture.rollcall.metadata).toEqual({ 'rollcall.version': VERSION });
  });

  it('adds no metadata if that of the application leaves no room', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`key-${index}`, 'x']));
    const fixture = await createFixture({ service: 'orders', metadata });
    await microservice(fixture).listen();
    expect(fixture.rollcall.registered).not.toBeNull();
    expect(fixture.rollcall.metadata).toEqual({});
  });
});

/** One without a port, once it has registered. */
async function start(options: RollcallModuleOptions = { service: 'orders' }) {
  const fixture = await createFixture(options);
  const app = microservice(fixture, { strategy: strategy() });
  await app.listen();
  await expect.poll(() => fixture.rollcall.registered).not.toBeNull();
  return { ...fixture, app, port: fixture.rollcall.port };
}

describe('an application without a port for callers', () => {
  it('opens one for Heartbeat-1, which is not an endpoint for calls', async () => {
    const fixture = await start();
    expect(fixture.rollcall.registered).toEqual([
      { protocol: 'heartbeat', host: '127.0.0.1', port: expect.any(Number), tls: false },
    ]);
    const response = await beat(fixture.rollcall.port);
    expect([response.status, await response.json()]).toEqual([200, { instance: 'orders-1', nonce: CALL.nonce }]);
    expect(fixture.log.texts('info')).toEqual([
      expect.stringContaining(`opened ${fixture.rollcall.port} for heartbeats`),
    ]);
  });

  it('answers nothing else there', async () => {
    const fixture = await start();
    const url = `http://127.0.0.1:${fixture.rollcall.port}`;
    const response = await fetch(`${url}/quick`);
    expect([response.status, await response.json()]).toMatchObject([404, { code: 'NOT_FOUND' }]);
    expect((await beat(fixture.rollcall.port, 'x'.repeat(2_000))).status).toBe(413);
  });

  it('opens it on every address, and leaves the host to the registry, if that is remote', async () => {
    const fixture = await start({ service: 'orders', registry: 'http://10.0.0.9:1337' });
    expect(fixture.rollcall.registered).toEqual([{ protocol: 'heartbeat', port: expect.any(Number), tls: false }]);
  });

  it('opens the configured one, and names the fix if it is taken', async () => {
    const taken = await createFixture();
    await microservice(taken).listen();
    const fixture = await createFixture({ service: 'orders', heartbeatPort: taken.rollcall.port });
    await microservice(fixture, { strategy: strategy() }).listen();
    await expect.poll(() => fixture.log.texts('error')).toEqual([expect.stringMatching(/EADDRINUSE.*heartbeatPort/)]);
    expect(fixture.rollcall.registered).toBeNull();
  });

  it('answers the registry while it drains, and closes the port after it has deregistered', async () => {
    const fixture = await start();
    const { app, port } = fixture;
    let duringDrain = 0;
    fixture.rollcall.onDrain = async () => {
      duringDrain = (await beat(port)).status;
      return 0;
    };
    await app.close();
    expect(duringDrain).toBe(200);
    await expect(beat(port)).rejects.toThrow('fetch failed');
  });

  it('needs none if one of its servers has a port', async () => {
    const fixture = await createFixture();
    const app = application(fixture);
    app.connectMicroservice({ strategy: strategy() });
    await app.startAllMicroservices();
    await app.listen(0);
    expect(fixture.rollcall.registered?.map(({ protocol }) => protocol)).toEqual(['http']);
  });

  it('may have no server at all, if it registers itself', async () => {
    const fixture = await createFixture({ service: 'orders', register: 'manual' });
    await fixture.module.init();
    await fixture.module.get(RollcallAgent).register();
    expect(fixture.rollcall.registered).toMatchObject([{ protocol: 'heartbeat' }]);
    await fixture.module.close();
  });
});

describe('a probe of the platform', () => {
  it.each(['express', 'fastify'] as const)('reports on %s that the process is ready until it drains', async (name) => {
    const fixture = await createFixture({ service: 'orders' }, { guarded: true });
    const app = application(fixture, name);
    app.setGlobalPrefix('api');
    await app.listen(0);
    const ready = async (method = 'GET'): Promise<number> =>
      (await fetch(`http://127.0.0.1:${portOf(app)}/.well-known/rollcall/ready`, { method })).status;
    expect([await ready(), await ready('HEAD'), await ready('POST')]).toEqual([200, 200, 405]);
    let duringDrain = 0;
    fixture.rollcall.onDrain = async () => {
      duringDrain = await ready();
      return 0;
    };
    await app.close();
    expect(duringDrain).toBe(503);
  });
});

describe('two applications in one process', () => {
  it('do not affect each other', async () => {
    const one = await createFixture({ service: 'orders' }, { id: 'orders-1' });
    const other = await createFixture({ service: 'users' }, { id: 'users-1' });
    const [oneApp, otherApp] = [microservice(one), microservice(other)];
    await oneApp.listen();
    expect(other.rollcall.events).toEqual([]);
    await otherApp.listen();
    await oneApp.close();
    expect(other.rollcall.events).toEqual(['start', 'register']);
    const { answer, socket } = await sendRequest(other.rollcall.port, 'rollcall.heartbeat-1', {});
    expect(await answer).toMatchObject({ response: { instance: 'users-1' } });
    socket.destroy();
  });
});
