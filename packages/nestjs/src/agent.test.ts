import 'reflect-metadata';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Controller, Get, Inject, Injectable, Module } from '@nestjs/common';
import type { CanActivate, INestApplication, INestMicroservice, OnModuleDestroy } from '@nestjs/common';
import { APP_GUARD, NestApplicationContext } from '@nestjs/core';
import { MessagePattern, Server, Transport } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import type { RecordingLog } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { RollcallAgent } from './agent.js';
import { PORTS, ROLLCALL } from './inject.js';
import { RollcallModule } from './rollcall.module.js';
import type { RollcallModuleOptions } from './rollcall.module-definition.js';
import { FakeRollcall } from './testing.js';

const PATH = '/.well-known/rollcall/heartbeat-1';
const CALL = { replica: 'replica-1', instance: 'orders-1', nonce: 'nonce-123', purpose: 'beat', mac: 'ab' };
const LOOPBACK = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } } as const;

/** What a user's handler waits for, so that a test decides when it ends. */
class Gate {
  readonly entered: Promise<void>;
  readonly passed: Promise<void>;
  enter: () => void = () => {};
  open: () => void = () => {};

  constructor() {
    this.entered = new Promise((resolve) => void (this.enter = resolve));
    this.passed = new Promise((resolve) => void (this.open = resolve));
  }

  async pass(): Promise<string> {
    this.enter();
    await this.passed;
    return 'done';
  }
}

@Injectable()
class NobodyMayEnter implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Controller()
class Orders {
  constructor(@Inject(Gate) private readonly gate: Gate) {}

  @MessagePattern('slow')
  overTcp(): Promise<string> {
    return this.gate.pass();
  }

  @MessagePattern('quick')
  quick(): string {
    return 'quick';
  }

  @Get('slow')
  overHttp(): Promise<string> {
    return this.gate.pass();
  }

  @Get('quick')
  quickOverHttp(): string {
    return 'quick';
  }
}

/** Stands for a connection pool of the user's: gone as soon as modules are destroyed. */
@Injectable()
class Pool implements OnModuleDestroy {
  closed = false;
  onModuleDestroy(): void {
    this.closed = true;
  }
}

interface World {
  readonly module: TestingModule;
  readonly rollcall: FakeRollcall;
  readonly time: ManualTime;
  readonly log: RecordingLog;
  readonly gate: Gate;
}

interface Extras {
  readonly guarded?: boolean;
  readonly id?: string;
}

const opened: (INestApplication | INestMicroservice)[] = [];
afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
});

async function world(options: RollcallModuleOptions = { service: 'orders' }, extras: Extras = {}): Promise<World> {
  const rollcall = new FakeRollcall(extras.id);
  // most tests are not about the drain: nobody watches, so it ends at once
  rollcall.onDrain = () => Promise.resolve({ watchers: 0 });
  const [time, log, gate] = [new ManualTime(), recordingLog(), new Gate()];
  const guard = extras.guarded === true ? [{ provide: APP_GUARD, useClass: NobodyMayEnter }] : [];
  @Module({
    imports: [RollcallModule.forRoot(options)],
    controllers: [Orders],
    providers: [{ provide: Gate, useValue: gate }, Pool, ...guard],
  })
  class AppModule {}
  const module = await Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(ROLLCALL)
    .useValue(rollcall)
    .overrideProvider(PORTS)
    .useValue({ time, log })
    .compile();
  return { module, rollcall, time, log, gate };
}

function keep<App extends INestApplication | INestMicroservice>(app: App): App {
  app.useLogger(false);
  opened.push(app);
  return app;
}

function microservice(of: World, options: object = LOOPBACK): INestMicroservice {
  return keep(of.module.createNestMicroservice(options));
}

const ADAPTERS = {
  express: () => new ExpressAdapter(),
  fastify: () => new FastifyAdapter(),
} as const;
type Framework = keyof typeof ADAPTERS;

function application(of: World, framework: Framework = 'express', options: object = {}): INestApplication {
  return keep(of.module.createNestApplication(ADAPTERS[framework](), options));
}

function portOf(app: INestApplication): number {
  return app.getHttpServer().address().port;
}

async function beat(port: number, body: unknown = CALL): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(`http://127.0.0.1:${port}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: text,
  });
}

interface Asked {
  readonly socket: Socket;
  readonly answer: Promise<{ response?: unknown; err?: unknown }>;
}

/** One request in Nest's own frames. */
async function ask(port: number, pattern: string, data: unknown = {}): Promise<Asked> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const json = JSON.stringify({ pattern, data, id: '1' });
  socket.write(`${json.length}#${json}`);
  const answer = once(socket, 'data').then(([frame]) => JSON.parse(String(frame).replace(/^\d+#/, '')));
  answer.catch(() => {});
  return { socket, answer };
}

describe('registration', () => {
  it('announces the port that a microservice on port 0 got, without a host when it listens on every address', async () => {
    const here = await world();
    await microservice(here, { transport: Transport.TCP, options: { host: '0.0.0.0', port: 0 } }).listen();
    expect(here.rollcall.events).toEqual(['start', 'register']);
    expect(here.rollcall.registered).toEqual([{ protocol: 'tcp', port: expect.any(Number), tls: false }]);
    expect(here.rollcall.registered![0]!.port).toBeGreaterThan(0);
  });

  it.each(['express', 'fastify'] as const)('announces an HTTP server on %s', async (framework) => {
    const here = await world();
    const app = application(here, framework);
    await app.listen(0, '127.0.0.1');
    expect(here.rollcall.registered).toEqual([
      { protocol: 'http', host: '127.0.0.1', port: portOf(app), tls: false },
    ]);
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
    expect(here.log.texts('warn')).toEqual([expect.stringMatching(/^Not registered after 5000 ms: http does not listen/)]);
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
    await expect(here.module.get(RollcallAgent).register()).rejects.toThrow('no TCP or HTTP server that listens');
  });

  it('does not announce a loopback address to a registry that is elsewhere, and says which line to change', async () => {
    const here = await world({ service: 'orders', url: 'http://10.0.0.9:1337' });
    await microservice(here).listen();
    expect(here.rollcall.registered).toBeNull();
    expect(here.log.texts('error')).toEqual([expect.stringContaining("options: { host: '0.0.0.0', … }")]);
  });

  it('announces the address that was set, whatever is bound', async () => {
    const here = await world({ service: 'orders', url: 'http://10.0.0.9:1337', advertise: 'orders.internal' });
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

describe('Heartbeat-1 over TCP', () => {
  async function guarded() {
    const here = await world({ service: 'orders' }, { guarded: true });
    await microservice(here).listen();
    return { ...here, port: here.rollcall.registered![0]!.port };
  }

  it('is answered past a guard that lets nobody in', async () => {
    const { port, rollcall } = await guarded();
    expect((await (await ask(port, 'quick')).answer).err).toBeDefined();
    const { answer } = await ask(port, 'rollcall.heartbeat-1', CALL);
    expect(await answer).toMatchObject({ response: { instance: 'orders-1', nonce: CALL.nonce } });
    expect(rollcall.heard).toEqual([CALL]);
  });

  it('ends with our FIN, after the answer', async () => {
    const { port } = await guarded();
    const { socket, answer } = await ask(port, 'rollcall.heartbeat-1', CALL);
    const ended = once(socket, 'end');
    await answer;
    await ended;
  });

  it('leaves the connection open for a caller who only asked who we are', async () => {
    const { port, rollcall } = await guarded();
    const { socket, answer } = await ask(port, 'rollcall.heartbeat-1', {});
    let ended = false;
    socket.once('end', () => void (ended = true));
    expect(await answer).toMatchObject({ response: { instance: 'orders-1', nonce: null } });
    const other = await ask(port, 'rollcall.heartbeat-1', CALL);
    await once(other.socket, 'end');
    expect(ended).toBe(false);
    expect(rollcall.heard).toEqual([{}, CALL]);
    socket.destroy();
  });

  it('turns Nagle off on the connections of the server', async () => {
    const here = await world();
    const app = microservice(here);
    const delays: unknown[] = [];
    app.unwrap<import('node:net').Server>().prependListener('connection', (socket: Socket) => {
      const original = socket.setNoDelay.bind(socket);
      socket.setNoDelay = (on) => (delays.push(on), original(on));
    });
    await app.listen();
    const { answer, socket } = await ask(here.rollcall.registered![0]!.port, 'quick');
    await answer;
    socket.destroy();
    expect(delays).toEqual([true]);
  });
});

describe.each(['express', 'fastify'] as const)('Heartbeat-1 over HTTP on %s', (framework) => {
  it.each([
    ['a guard', async (app: INestApplication) => void app],
    ['a global prefix', async (app: INestApplication) => void app.setGlobalPrefix('api')],
    [
      'middleware that refuses everybody',
      async (app: INestApplication) => void app.use((_: unknown, response: any) => (response.statusCode = 401, response.end())),
    ],
  ])('is answered past %s', async (_, prepare) => {
    const here = await world({ service: 'orders' }, { guarded: true });
    const app = application(here, framework);
    await prepare(app);
    await app.listen(0);
    expect((await fetch(`http://127.0.0.1:${portOf(app)}/quick`)).status).toBeGreaterThanOrEqual(400);
    const response = await beat(portOf(app));
    expect([response.status, await response.json()]).toEqual([200, { instance: 'orders-1', nonce: CALL.nonce }]);
    expect(response.headers.get('connection')).toBe('close');
  });

  it('needs no body parser, and keeps the connection of a caller who only asked who we are', async () => {
    const here = await world();
    const app = application(here, framework, { bodyParser: false });
    await app.listen(0);
    const response = await beat(portOf(app), {});
    expect(await response.json()).toEqual({ instance: 'orders-1', nonce: null });
    expect(response.headers.get('connection')).not.toBe('close');
  });

  it('refuses what is no heartbeat', async () => {
    const here = await world();
    const app = application(here, framework);
    await app.listen(0);
    const port = portOf(app);
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect((await beat(port, 'no json')).status).toBe(400);
    expect((await beat(port, { ...CALL, more: 'x'.repeat(1_024) })).status).toBe(413);
    expect((await get(PATH)).status).toBe(405);
    expect((await get('/.well-known/rollcall/other')).status).toBe(404);
    expect(here.rollcall.heard).toEqual([]);
  });
});

describe.each(['express', 'fastify'] as const)('a request over HTTP on %s', (framework) => {
  async function status(headers: Record<string, string>): Promise<number> {
    const here = await world();
    const app = application(here, framework);
    await app.listen(0);
    return (await fetch(`http://127.0.0.1:${portOf(app)}/quick`, { headers })).status;
  }

  it('is refused with 421 when it was meant for another process', async () => {
    expect(await status({ 'rollcall-target': 'orders-2' })).toBe(421);
    expect(await status({ 'rollcall-target': 'orders-1' })).toBe(200);
  });

  it('is refused with 504 when its deadline has passed', async () => {
    expect(await status({ 'rollcall-deadline-ms': '0' })).toBe(504);
    expect(await status({ 'rollcall-deadline-ms': '1' })).toBe(200);
  });
});

describe('the drain', () => {
  it('keeps app.close() of a standalone microservice from cutting a request in flight', async () => {
    const here = await world();
    const app = microservice(here);
    await app.listen();
    const { answer, socket } = await ask(here.rollcall.registered![0]!.port, 'slow');
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

  it.each(['express', 'fastify'] as const)('serves new and old requests on %s until it is over, then closes', async (framework) => {
    const here = await world();
    here.rollcall.onDrain = () => Promise.resolve({ watchers: 1 });
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
  });

  it('comes before the user’s own modules are destroyed, when a signal ends the process', async () => {
    const here = await world();
    let poolWasClosed: boolean | null = null;
    here.rollcall.onDrain = () => {
      poolWasClosed = here.module.get(Pool).closed;
      return Promise.resolve({ watchers: 0 });
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
    here.rollcall.onDrain = () => Promise.resolve({ watchers: 3 });
    const app = microservice(here);
    await app.listen();
    const { port } = here.rollcall.registered![0]!;
    let isClosed = false;
    const closed = app.close().then(() => void (isClosed = true));
    await here.time.advanceBy(90);
    const { answer, socket } = await ask(port, 'quick');
    await answer;
    await here.time.advanceBy(90);
    expect(isClosed).toBe(false);
    await here.time.advanceBy(10);
    await closed;
    socket.destroy();
  });

  it('waits for no request longer than its deadline, and says how many it cut', async () => {
    const here = await world({ service: 'orders', drain: { deadlineMs: 300 } });
    const app = microservice(here);
    await app.listen();
    const { socket } = await ask(here.rollcall.registered![0]!.port, 'slow');
    await here.gate.entered;
    const closed = app.close();
    await here.time.advanceBy(300);
    await closed;
    expect(here.log.texts('warn')).toEqual(['Not drained within 300 ms: 1 requests in flight are cut.']);
    socket.destroy();
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

describe('hooks of the user', () => {
  it('for the start and end of processing are called as before, whenever they were set', async () => {
    const here = await world();
    const app = microservice(here);
    const seen: string[] = [];
    await app.init();
    const server: Server = (app as any).serverInstance;
    server.setOnProcessingStartHook((_: unknown, __: unknown, done: () => Promise<unknown>) => {
      seen.push('start');
      return done();
    });
    server.setOnProcessingEndHook(() => seen.push('end'));
    await app.listen();
    const { answer, socket } = await ask(here.rollcall.registered![0]!.port, 'quick');
    await answer;
    socket.destroy();
    expect(seen).toEqual(['start', 'end']);
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
    const { answer, socket } = await ask(other.rollcall.registered![0]!.port, 'rollcall.heartbeat-1', {});
    expect(await answer).toMatchObject({ response: { instance: 'users-1' } });
    socket.destroy();
  });
});
