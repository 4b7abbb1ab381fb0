import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { noMeter, silentLog, systemTime } from '@rollcall/core';
import type { RollcallError } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { expect, it, onTestFinished } from 'vitest';
import { CallWorld, fleet } from '../call/calls.fixture.js';
import { answer, echo, frameOf } from './grpc/grpc.fixture.js';
import { GrpcTransport } from './grpc/grpc.js';
import { headersWith, httpRequest } from './http/message.js';
import { requestFrame, tcpRequest } from './tcp/message.js';
import type { AttemptTrace, CallTrace, CallTracer, TracedAttempt, TracedCall } from './tracing.js';
import { RecordingSink, targetOf } from './transport.fixture.js';

/** A tracer that records its calls, in order. */
class RecordingTracer implements CallTracer {
  readonly lines: string[] = [];
  readonly calls: TracedCall[] = [];
  wants = true;

  begin(call: TracedCall): CallTrace | null {
    this.calls.push(call);
    if (!this.wants) return null;
    this.lines.push(`call ${call.service} ${call.protocol} ${call.method}`);
    return {
      attempt: (attempt) => this.#attempt(attempt),
      ended: (error: RollcallError | null) => void this.lines.push(`ended ${error?.code ?? 'well'}`),
    };
  }

  #attempt({ instance, number, reason }: TracedAttempt): AttemptTrace {
    this.lines.push(`attempt ${number} ${instance.id} ${reason}`);
    return {
      carrier: { traceparent: `trace-${number}` },
      within: (send) => {
        this.lines.push(`send ${number}`);
        return send();
      },
      value: (value) => void this.lines.push(`value ${number} ${String(value)}`),
      ended: (outcome) => void this.lines.push(`done ${number} ${outcome}`),
    };
  }
}

function world(tracer: CallTracer, time = new ManualTime()): CallWorld {
  return new CallWorld({
    time,
    random: seededRandom(1),
    meter: noMeter,
    log: silentLog,
    tracer,
    instances: fleet('HEALTHY', 'HEALTHY'),
  });
}

it('receives a call, its attempts, and their outcomes', async () => {
  const tracer = new RecordingTracer();
  const made = world(tracer).play({ a: { afterMs: 1, failure: 'refused' }, b: { afterMs: 1, failure: 'refused' } });
  await made.ask({ deadlineMs: 1_000 });
  const [first, second] = made.calledHosts;
  expect(tracer.lines.slice(0, 7)).toEqual([
    'call orders tcp find',
    `attempt 1 ${first} first`,
    'send 1',
    'done 1 refused',
    `attempt 2 ${second} retry`,
    'send 2',
    'done 2 refused',
  ]);
  expect(tracer.lines.at(-1)).toMatch(/^ended (TRANSPORT|ALL_EJECTED|NO_INSTANCE)/);
});

it('reports each value and the success', async () => {
  const tracer = new RecordingTracer();
  const made = world(tracer).play({});
  const { value } = await made.ask();
  expect(tracer.lines.slice(2)).toEqual(['send 1', `value 1 ${String(value)}`, 'done 1 success', 'ended well']);
});

it('ends a call once if it is refused, cancelled or closed', async () => {
  const tracer = new RecordingTracer();
  const made = world(tracer).play({ a: 'never', b: 'never' });
  await made.ask({ signal: AbortSignal.abort() });
  await made.ask({}, 1);
  await made.calls.close();
  expect(tracer.lines.filter((line) => line.startsWith('ended'))).toEqual(['ended CANCELLED', 'ended CLOSED']);
});

it('ignores a call for which the tracer returns null', async () => {
  const tracer = new RecordingTracer();
  tracer.wants = false;
  const { value } = await world(tracer).play({}).ask();
  expect(value).toBeDefined();
  expect(tracer.calls).toMatchObject([{ service: 'orders', shape: 'value' }]);
  expect(tracer.lines).toEqual([]);
});

const carried = { remainingMs: 500, attempt: 1, carrier: { traceparent: '00-ab' } };

it('sends the carrier of a tracer with the payload', () => {
  const frame = requestFrame(tcpRequest('find', { id: 7 }, false), 3, carried);
  expect(JSON.parse(frame.slice(frame.indexOf('#') + 1))).toEqual({
    pattern: 'find',
    data: { id: 7 },
    id: 3,
    metadata: { 'rollcall-deadline-ms': 500, traceparent: '00-ab' },
  });
  const event = requestFrame(tcpRequest('placed', {}, true), 4, carried);
  expect(JSON.parse(event.slice(event.indexOf('#') + 1))).toEqual({
    pattern: 'placed',
    data: {},
    metadata: { traceparent: '00-ab' },
  });
});

it('replaces headers with the same names, so that none is duplicated', () => {
  const request = httpRequest('/orders/7', { headers: { Traceparent: '00-of-the-user', accept: 'text/plain' } });
  if (request instanceof Promise) throw new Error('a request without a body is ready at once');
  const headers = headersWith(request, carried, targetOf({ port: 1, protocol: 'http' }), false);
  expect(headers).toEqual(['accept', 'text/plain', 'traceparent', '00-ab', 'rollcall-deadline-ms', '500']);
});

it('sends it as headers over gRPC', async () => {
  let receivedHeaders: IncomingHttpHeaders = {};
  const server = createServer();
  server.on('stream', (stream, headers) => {
    receivedHeaders = headers;
    answer(stream, frameOf(Buffer.from('null')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new GrpcTransport(systemTime, { connections: 1, connectTimeoutMs: 500, maxMessageBytes: 1_000 });
  onTestFinished(async () => {
    await transport.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const sink = new RecordingSink();
  transport.channel(targetOf({ port, protocol: 'grpc' }, 'api')).send(echo(1), carried, sink);
  expect((await sink.settled).failure).toBeNull();
  expect(receivedHeaders).toMatchObject({ traceparent: '00-ab', 'grpc-timeout': '500m' });
});
