import 'reflect-metadata';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Controller, Get, Inject, Injectable, Module, Sse } from '@nestjs/common';
import type {
  CanActivate,
  INestApplication,
  INestMicroservice,
  MessageEvent,
  OnModuleDestroy,
  Provider,
  Type,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { MessagePattern, Transport } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import type {
  CallerListener,
  ContactStatus,
  EdgeStats,
  Explanation,
  GrpcCall,
  GrpcMethod,
  MessageSource,
  OneCall,
  ServiceView,
  StaticEndpoint,
  StreamObserver,
} from '@rollcall/client';
import { encodeFrame, nonceOf } from '@rollcall/core';
import type { AnnouncedEndpoint, HeartbeatAnswer, Instance, Metadata, Methods, State } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog } from '@rollcall/core/testing';
import type { MemoryMeter, RecordingLog } from '@rollcall/core/testing';
import { NEVER } from 'rxjs';
import type { Observable } from 'rxjs';
import { onTestFinished } from 'vitest';
import { PORTS, ROLLCALL } from './inject.js';
import type { RollcallApi } from './inject.js';
import { RollcallModule } from './rollcall.module.js';
import type { RollcallModuleOptions } from './rollcall.module-definition.js';
import type { RequestTracer } from './calls/tracing.js';

export const PATH = '/.well-known/rollcall/heartbeat-1';
export const CALL = { replica: 'replica-1', instance: 'orders-1', nonce: 'nonce-123', purpose: 'beat', mac: 'ab' };
export const LOOPBACK = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } } as const;

/** One outgoing request of the application. */
export interface MadeCall {
  readonly verb: 'call' | 'stream' | 'emit' | 'fetch' | 'grpc';
  readonly service: string;
  readonly pattern: unknown;
  readonly data: unknown;
  readonly options: OneCall | undefined;
}

/** A Rollcall without a registry that records its calls. Its answers can be replaced. */
export class FakeRollcall implements RollcallApi {
  readonly id: string;
  status: ContactStatus = 'waiting';
  state: State | null = null;
  /** In order: `start`, `register`, `drain`, `close`, and the names of the requested services. */
  readonly events: string[] = [];
  readonly questions: unknown[] = [];
  readonly made: MadeCall[] = [];
  registered: readonly AnnouncedEndpoint[] | null = null;
  methods: Methods | undefined;
  metadata: Metadata = {};
  cancelled = 0;
  readonly listeners = new Set<(status: ContactStatus) => void>();
  readonly callerListeners = new Set<CallerListener>();
  /** The number of watchers of the service; 0 by default, so that a drain ends at once. */
  onDrain: () => Promise<number | null> = () => Promise.resolve(0);
  onCall: () => Promise<unknown> = () => Promise.resolve('answered');
  onStream: (observer: StreamObserver) => void = (observer) => observer.complete();

  constructor(id = 'orders-1') {
    this.id = id;
  }

  /** The port of the first registered endpoint. */
  get port(): number {
    return this.registered?.[0]?.port ?? 0;
  }

  onStatus(listener: (status: ContactStatus) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  start(): void {
    this.events.push('start');
  }

  service(name: string): ServiceView {
    this.events.push(name);
    return {
      service: name,
      status: 'waiting',
      instances: [],
      changedAt: 0,
      statusAt: 0,
      confirmedAt: 0,
      answers: 0,
      answeredAt: 0,
      isWatched: false,
      stale: true,
      onChange: () => () => {},
    };
  }

  fix(name: string, endpoints: readonly StaticEndpoint[]): void {
    this.events.push(`fix ${name} ${endpoints.map(({ port }) => port).join()}`);
  }

  useTcpCodec(name: string): void {
    this.events.push(`codec ${name}`);
  }

  dependOn(): void {}

  instances(name: string): Promise<readonly Instance[]> {
    this.events.push(`instances ${name}`);
    return Promise.resolve([]);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  register(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): void {
    this.events.push('register');
    this.registered = endpoints;
    this.methods = methods;
  }

  say(metadata: Metadata): void {
    this.metadata = { ...this.metadata, ...metadata };
  }

  answer(question: unknown): HeartbeatAnswer {
    this.questions.push(question);
    return { instance: this.id, nonce: nonceOf(question) };
  }

  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown> {
    this.made.push({ verb: 'call', service, pattern, data, options });
    return this.onCall();
  }

  // eslint-disable-next-line max-params -- the signature of the real one
  stream(service: string, pattern: unknown, data: unknown, observer: StreamObserver, options?: OneCall) {
    this.made.push({ verb: 'stream', service, pattern, data, options });
    this.onStream(observer);
    return { cancel: () => void (this.cancelled += 1) };
  }

  async emit(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<void> {
    this.made.push({ verb: 'emit', service, pattern, data, options });
    await this.onCall();
  }

  fetch(service: string, path: string, init?: RequestInit, options?: OneCall): Promise<Response> {
    this.made.push({ verb: 'fetch', service, pattern: path, data: init, options });
    return Promise.resolve(new Response('fetched'));
  }

  async grpc<Input, Output>(service: string, method: GrpcMethod<Input, Output>, data: Input, options?: GrpcCall) {
    this.made.push({ verb: 'grpc', service, pattern: method.path, data, options });
    return (await this.onCall()) as Output; // as the test defines it
  }

  // eslint-disable-next-line max-params -- that of the client
  grpcStream<Input>(
    service: string,
    method: GrpcMethod<Input>,
    data: Input | MessageSource<Input>,
    observer: StreamObserver,
    options?: GrpcCall,
  ): { cancel(): void } {
    this.made.push({ verb: 'grpc', service, pattern: method.path, data, options });
    this.onStream(observer);
    return { cancel: () => void (this.cancelled += 1) };
  }

  explain(service: string): Explanation {
    return { service, status: 'waiting', isStale: true, callsUnderWay: 0, retriesLeft: 0, protocols: [] };
  }

  edges(): readonly EdgeStats[] {
    return [];
  }

  onEvent(listener: CallerListener): () => void {
    this.callerListeners.add(listener);
    return () => void this.callerListeners.delete(listener);
  }

  drain(): Promise<number | null> {
    this.events.push('drain');
    return this.onDrain();
  }

  close(): Promise<void> {
    this.events.push('close');
    return Promise.resolve();
  }
}

/** Blocks a user's handler until the test releases it. */
export class Gate {
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
class DenyAllGuard implements CanActivate {
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

  @Sse('stream')
  stream(): Observable<MessageEvent> {
    this.gate.enter();
    return NEVER;
  }

  @Get('quick')
  quickHttp(): string {
    return 'quick';
  }
}

/** Stands for a connection pool of the user, which is closed as soon as modules are destroyed. */
@Injectable()
export class Pool implements OnModuleDestroy {
  closed = false;
  onModuleDestroy(): void {
    this.closed = true;
  }
}

export interface Fixture {
  readonly module: TestingModule;
  readonly rollcall: FakeRollcall;
  readonly time: ManualTime;
  readonly log: RecordingLog;
  readonly meter: MemoryMeter;
  readonly gate: Gate;
}

export interface Extras {
  readonly guarded?: boolean;
  readonly id?: string;
  /** Modules before `RollcallModule.forRoot`; those of `imports` come after it. */
  readonly importsBefore?: readonly Type[];
  /** In addition to the default ones. */
  readonly imports?: readonly Type[];
  readonly controllers?: readonly Type[];
  readonly providers?: readonly Provider[];
  /** Traces incoming messages. */
  readonly requests?: RequestTracer;
}

export async function createFixture(
  options: RollcallModuleOptions = { service: 'orders' },
  extras: Extras = {},
): Promise<Fixture> {
  const rollcall = new FakeRollcall(extras.id);
  const [time, log, meter, gate] = [new ManualTime(), recordingLog(), memoryMeter(), new Gate()];
  const guard = extras.guarded === true ? [{ provide: APP_GUARD, useClass: DenyAllGuard }] : [];
  @Module({
    imports: [...(extras.importsBefore ?? []), RollcallModule.forRoot(options), ...(extras.imports ?? [])],
    controllers: [Orders, ...(extras.controllers ?? [])],
    providers: [{ provide: Gate, useValue: gate }, Pool, ...guard, ...(extras.providers ?? [])],
  })
  class AppModule {}
  const module = await Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(ROLLCALL)
    .useValue(rollcall)
    .overrideProvider(PORTS)
    .useValue({ time, log, meter, ...(extras.requests === undefined ? {} : { requests: extras.requests }) })
    .compile();
  return { module, rollcall, time, log, meter, gate };
}

function keep<App extends INestApplication | INestMicroservice>(app: App): App {
  app.useLogger(false);
  onTestFinished(() => app.close());
  return app;
}

export function microservice(of: Fixture, options: object = LOOPBACK): INestMicroservice {
  return keep(of.module.createNestMicroservice(options));
}

export const ADAPTERS = {
  express: () => new ExpressAdapter(),
  fastify: () => new FastifyAdapter(),
} as const;
export type Framework = keyof typeof ADAPTERS;

export function application(of: Fixture, framework: Framework = 'express', options: object = {}): INestApplication {
  return keep(of.module.createNestApplication(ADAPTERS[framework](), options));
}

export function portOf(app: INestApplication): number {
  return app.getHttpServer().address().port;
}

export async function beat(port: number, body: unknown = CALL): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(`http://127.0.0.1:${port}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: text,
  });
}

export interface SentRequest {
  readonly socket: Socket;
  readonly answer: Promise<{ response?: unknown; err?: unknown }>;
}

/** Sends one request in Nest's own frames; `metadata` travels beside its payload. */
export async function sendRequest(
  port: number,
  pattern: unknown,
  data: unknown = {},
  metadata?: unknown,
): Promise<SentRequest> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(encodeFrame({ pattern, data, id: '1', metadata }));
  const answer = once(socket, 'data').then(([frame]) => JSON.parse(String(frame).replace(/^\d+#/, '')));
  answer.catch(() => {});
  return { socket, answer };
}
