import { once } from 'node:events';
import { connect } from 'node:net';
import { Body, Controller, Get, Inject, Injectable, Post } from '@nestjs/common';
import type { CallHandler, CanActivate, NestInterceptor } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import type { Server } from '@nestjs/microservices';
import { Rollcall } from '@rollcall/client';
import { encodeFrame } from '@rollcall/core';
import { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { INHERITANCE, PORTS } from '../inject.js';
import type { Ports } from '../inject.js';
import { application, sendRequest, microservice, portOf, createFixture } from '../nest.fixture.js';
import type { Fixture } from '../nest.fixture.js';
import type { DeadlineContext } from './deadline-context.js';

/** The values inherited at one point of a request: the rest in ms, and whether it is a retry; null for none. */
type Inheritance = readonly [number, boolean] | null;

/** Records what is inherited at each point. */
@Injectable()
class Recorder {
  readonly notes = new Map<string, Inheritance>();
  readonly ran: unknown[] = [];
  /** Work that a handler left behind, which runs when the test releases it. */
  background: Promise<void> = Promise.resolve();
  release: () => void = () => {};

  constructor(
    @Inject(INHERITANCE) private readonly inheritance: DeadlineContext,
    @Inject(PORTS) private readonly ports: Ports,
    @Inject(Rollcall) readonly rollcall: unknown,
  ) {}

  note(place: string): void {
    const inherited = this.inheritance.current();
    this.notes.set(
      place,
      inherited === null ? null : [inherited.deadlineAt - this.ports.time.now(), inherited.isRetry],
    );
  }

  /** Everything a handler may do before it has answered. */
  async work(): Promise<Observable<string>> {
    this.note('handler');
    await new Promise((resolve) => void setImmediate(resolve));
    this.note('after a wait');
    const released = new Promise<void>((resolve) => void (this.release = resolve));
    this.background = released.then(() => this.note('left behind'));
    return new Observable((observer) => {
      this.note('returned observable');
      observer.next('done');
      observer.complete();
    });
  }
}

@Injectable()
class RecordedGuard implements CanActivate {
  constructor(@Inject(Recorder) private readonly recorder: Recorder) {}

  async canActivate(): Promise<boolean> {
    this.recorder.note('guard');
    return true;
  }
}

@Injectable()
class RecordedInterceptor implements NestInterceptor {
  constructor(@Inject(Recorder) private readonly recorder: Recorder) {}

  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    this.recorder.note('interceptor');
    return next.handle();
  }
}

@Controller()
class Inheritors {
  constructor(@Inject(Recorder) private readonly recorder: Recorder) {}

  @MessagePattern('heir')
  overTcp(): Promise<Observable<string>> {
    return this.recorder.work();
  }

  @Get('heir')
  overHttp(): Promise<Observable<string>> {
    return this.recorder.work();
  }

  @Post('heir')
  withBody(@Body() body: unknown): Promise<Observable<string>> {
    this.recorder.ran.push(body);
    return this.recorder.work();
  }

  @EventPattern('placed')
  placed(data: unknown): void {
    this.recorder.note('event');
    this.recorder.ran.push(data);
  }
}

async function startRecorded(): Promise<Fixture & { readonly recorder: Recorder }> {
  const providers = [
    Recorder,
    { provide: APP_GUARD, useClass: RecordedGuard },
    { provide: APP_INTERCEPTOR, useClass: RecordedInterceptor },
  ];
  const fixture = await createFixture({ service: 'orders' }, { controllers: [Inheritors], providers });
  return { ...fixture, recorder: fixture.module.get(Recorder) };
}

const STAGES = ['guard', 'interceptor', 'handler', 'after a wait', 'returned observable'];
const atEachStage = (inheritance: Inheritance): unknown => STAGES.map((place) => [place, inheritance]);
const MALFORMED: readonly (readonly [unknown, unknown])[] = [
  ['soon', 'twice'],
  ['', '0'],
  ['1e3', '-1'],
  ['Infinity', '1.5'],
];

async function startListening() {
  const fixture = await startRecorded();
  await microservice(fixture).listen();
  return fixture;
}

async function responseTo(fixture: Fixture, metadata: unknown, pattern = 'heir', data: unknown = {}) {
  const { answer, socket } = await sendRequest(fixture.rollcall.port, pattern, data, metadata);
  const response = await answer;
  socket.destroy();
  return response;
}

const post = (headers: Record<string, string>): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ many: 'x'.repeat(100_000) }),
});

describe('a request over TCP', () => {
  it('passes the rest of its deadline and its retry flag on to all of its work', async () => {
    const fixture = await startListening();
    expect(await responseTo(fixture, { 'rollcall-deadline-ms': 500, 'rollcall-attempt': 2 })).toMatchObject({
      response: 'done',
    });
    expect([...fixture.recorder.notes]).toEqual(atEachStage([500, true]));
  });

  it('passes nothing on to work after its answer', async () => {
    const fixture = await startListening();
    await responseTo(fixture, { 'rollcall-deadline-ms': 500 });
    fixture.recorder.release();
    await fixture.recorder.background;
    expect(fixture.recorder.notes.get('returned observable')).toEqual([500, false]);
    expect(fixture.recorder.notes.get('left behind')).toBeNull();
  });

  it.each<[string, unknown]>([
    ['of a client that knows nothing of this', undefined],
    ['with metadata of others', { traceparent: '00-1-2-01' }],
    ['with metadata that is none', 'text'],
    ...MALFORMED.map(([deadline, attempt]): [string, unknown] => [
      `whose deadline is ${String(deadline)}`,
      { 'rollcall-deadline-ms': deadline, 'rollcall-attempt': attempt },
    ]),
  ])('%s is handled as usual', async (_, metadata) => {
    const fixture = await startListening();
    expect(await responseTo(fixture, metadata)).toMatchObject({ response: 'done' });
    expect([...fixture.recorder.notes]).toEqual(atEachStage(null));
  });

  it('is refused before its handler runs if its caller no longer waits, and counted', async () => {
    const fixture = await startListening();
    const { err } = await responseTo(fixture, { 'rollcall-deadline-ms': 0 });
    expect(err).toMatchObject({ status: 'error', code: 'DEADLINE_EXCEEDED' });
    expect([...fixture.recorder.notes]).toEqual([]);
    expect(fixture.meter.count('rollcall_late_requests_total', { protocol: 'tcp' })).toBe(1);
  });

  it('is refused if its time ran out while it was queued', async () => {
    const fixture = await startRecorded();
    const app = microservice(fixture);
    await app.init();
    const server: Server = (app as any).serverInstance;
    const waits: (() => void)[] = [];
    server.setOnProcessingStartHook((_: unknown, __: unknown, done: () => Promise<unknown>) => {
      waits.push(() => void done());
    });
    await app.listen();
    const patient = await sendRequest(fixture.rollcall.port, 'heir', {}, { 'rollcall-deadline-ms': 500 });
    const late = await sendRequest(fixture.rollcall.port, 'heir', {}, { 'rollcall-deadline-ms': 50 });
    await expect.poll(() => waits.length).toBe(2);
    await fixture.time.advanceBy(100);
    for (const proceed of waits) proceed();
    expect(await patient.answer).toMatchObject({ response: 'done' });
    expect((await late.answer).err).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect([...fixture.recorder.notes]).toEqual(atEachStage([400, false]));
    patient.socket.destroy();
    late.socket.destroy();
  });

  it('is never refused and passes on no deadline if it is an event: no caller waits for it', async () => {
    const fixture = await startListening();
    const socket = connect(fixture.rollcall.port, '127.0.0.1');
    await once(socket, 'connect');
    const metadata = { 'rollcall-deadline-ms': 0, 'rollcall-attempt': 2 };
    socket.write(encodeFrame({ pattern: 'placed', data: 7, metadata }));
    await expect.poll(() => fixture.recorder.ran).toEqual([7]);
    expect(fixture.recorder.notes.get('event')).toBeNull();
    socket.destroy();
  });
});

describe('a request to an application that makes no calls', () => {
  @Controller()
  class LeafController {
    constructor(@Inject(INHERITANCE) private readonly inheritance: DeadlineContext) {}

    @MessagePattern('leaf')
    leaf(): string {
      return this.inheritance.current() === null ? 'nothing to inherit' : 'something';
    }
  }

  it('uses no AsyncLocalStorage, and is still refused if its caller no longer waits', async () => {
    const fixture = await createFixture({ service: 'orders' }, { controllers: [LeafController] });
    await microservice(fixture).listen();
    const inTime = await responseTo(fixture, { 'rollcall-deadline-ms': 500 }, 'leaf');
    expect(inTime).toMatchObject({ response: 'nothing to inherit' });
    const { err } = await responseTo(fixture, { 'rollcall-deadline-ms': 0 }, 'leaf');
    expect(err).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

describe.each(['express', 'fastify'] as const)('a request over HTTP on %s', (framework) => {
  async function server() {
    const fixture = await startRecorded();
    const app = application(fixture, framework);
    await app.listen(0);
    return { ...fixture, url: `http://127.0.0.1:${portOf(app)}/heir` };
  }

  it('passes the rest of its deadline and its retry flag on to all of its work', async () => {
    const { recorder, url } = await server();
    const headers = { 'rollcall-deadline-ms': '500', 'rollcall-attempt': '3' };
    expect(await (await fetch(url, { headers })).text()).toBe('done');
    expect([...recorder.notes]).toEqual(atEachStage([500, true]));
  });

  it('does so also if its body arrives in pieces', async () => {
    const { recorder, url } = await server();
    expect(await (await fetch(url, post({ 'rollcall-deadline-ms': '500' }))).text()).toBe('done');
    expect(recorder.ran).toHaveLength(1);
    expect([...recorder.notes]).toEqual(atEachStage([500, false]));
  });

  it('passes nothing on to work after its answer', async () => {
    const { recorder, url, module } = await server();
    const inheritance = module.get<DeadlineContext>(INHERITANCE);
    await (await fetch(url, { headers: { 'rollcall-deadline-ms': '500' } })).text();
    let leftover: unknown = 'unknown';
    await expect
      .poll(async () => {
        recorder.release();
        await recorder.background;
        leftover = recorder.notes.get('left behind');
        return leftover;
      })
      .toBeNull();
    expect(inheritance.current()).toBeNull();
  });

  it.each<Record<string, string>>([
    {},
    ...MALFORMED.map(([deadline, attempt]) => ({
      'rollcall-deadline-ms': String(deadline),
      'rollcall-attempt': String(attempt),
    })),
  ])('is handled as usual with the headers %j', async (headers) => {
    const { recorder, url } = await server();
    expect((await fetch(url, { headers })).status).toBe(200);
    expect([...recorder.notes]).toEqual(atEachStage(null));
  });

  it('is refused with 504 before its handler runs if its caller no longer waits, and counted', async () => {
    const { recorder, url, meter } = await server();
    const response = await fetch(url, { headers: { 'rollcall-deadline-ms': '0' } });
    expect([response.status, await response.json()]).toEqual([
      504,
      expect.objectContaining({ code: 'DEADLINE_EXCEEDED' }),
    ]);
    expect([...recorder.notes]).toEqual([]);
    expect(meter.count('rollcall_late_requests_total', { protocol: 'http' })).toBe(1);
  });
});
