import { once } from 'node:events';
import { constants, createServer } from 'node:http2';
import { credentials, makeGenericClientConstructor, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { Client, ClientReadableStream, ServerUnaryCall, ServerWritableStream, ServiceError } from '@grpc/grpc-js';
import { noMeter, parseOptions, silentLog, systemTime } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeView } from '../../call/calls.fixture.js';
import { Calls } from '../../call/calls.js';
import { callFields } from '../../call/policy/service-options.js';
import { createInstance } from '../../registry-client/registry-client.fixture.js';
import { answer, frameOf } from '../../transport/grpc/grpc.fixture.js';
import { deadPort } from '../../transport/transport.fixture.js';
import { registerGrpcResolver } from './resolver.js';

const json = {
  requestSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes: Buffer): unknown => JSON.parse(bytes.toString()),
  responseSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes: Buffer): unknown => JSON.parse(bytes.toString()),
};
const SERVICE = {
  Who: { path: '/toys.Toy/Who', requestStream: false, responseStream: false, ...json },
  Count: { path: '/toys.Toy/Count', requestStream: false, responseStream: true, ...json },
};

/** A grpc-js server that answers with its name, unless the request tells it to behave otherwise. */
async function serverOf(name: string) {
  const server = new Server();
  const behaviour = { isBroken: false, isHolding: false, calls: 0 };
  server.addService(SERVICE, {
    Who: (call: ServerUnaryCall<unknown, unknown>, done: (error: object | null, value?: unknown) => void) => {
      behaviour.calls += 1;
      if (behaviour.isBroken) done({ code: status.UNAVAILABLE, details: 'out of order' });
      else if (call.request === 'fail') done({ code: status.NOT_FOUND, details: 'toy not found' });
      else if (call.request !== 'hold' && !behaviour.isHolding) done(null, name);
    },
    Count: (call: ServerWritableStream<unknown, unknown>) => {
      call.write(1);
      call.write(2);
      call.end();
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  onTestFinished(() => server.forceShutdown());
  return { server, behaviour, instance: instanceAt(name, port) };
}

/** Another process, which refuses requests for other instances as a Rollcall server does. */
async function startOtherServer(): Promise<Instance> {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    stream.resume();
    if (headers['rollcall-instance'] === undefined) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else answer(stream, frameOf(new Uint8Array()), { 'rollcall-instance': 'payments-7' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return instanceAt('orders-stranger', (server.address() as { port: number }).port);
}

function instanceAt(id: InstanceId, port: number, protocol: 'grpc' | 'tcp' = 'grpc'): Instance {
  return createInstance({ id, endpoints: [{ protocol, host: '127.0.0.1', port, tls: false }] });
}

let schemes = 0;

interface Named {
  readonly view: FakeView;
  readonly suspects: string[];
  readonly calls: Calls;
  readonly client: Client;
  readonly who: (question?: unknown, deadlineMs?: number) => Promise<{ error: ServiceError | null; value: unknown }>;
}

/** A client that calls the given instances by name. */
async function named(instances: readonly Instance[], options: object = {}, path = 'orders'): Promise<Named> {
  const view = new FakeView(instances);
  const suspects: string[] = [];
  const calls = new Calls({
    time: systemTime,
    random: seededRandom(1),
    meter: noMeter,
    log: silentLog,
    services: {
      service: () => view,
      settle: (of, timeoutMs) =>
        of.status === 'waiting'
          ? new Promise((resolve) => void systemTime.setTimer(timeoutMs, resolve))
          : Promise.resolve(),
      names: () => ['orders'],
    },
    options: parseOptions(callFields, options),
    suspect: (id, outcome) => suspects.push(`${id} ${outcome}`),
  });
  const scheme = `test${(schemes += 1)}`;
  await registerGrpcResolver({ time: systemTime, wake() {}, route: (name) => calls.grpcRoute(name) }, { scheme });
  const Toy = makeGenericClientConstructor(SERVICE, 'Toy');
  const client = new Toy(`${scheme}:///${path}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  onTestFinished(async () => {
    client.close();
    await calls.close();
  });
  const who: Named['who'] = (question = 'who', deadlineMs = 3_000) =>
    new Promise((resolve) => {
      const settle = (error: ServiceError | null, value: unknown): void => resolve({ error, value });
      Reflect.apply(Reflect.get(client, 'Who'), client, [question, { deadline: Date.now() + deadlineMs }, settle]);
    });
  return { view, suspects, calls, client, who };
}

async function tally({ who }: Named, count: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let n = 0; n < count; n += 1) {
    const { error, value } = await who();
    const key = error === null ? String(value) : `error ${error.code}`;
    seen[key] = (seen[key] ?? 0) + 1;
  }
  return seen;
}

describe('a grpc-js client by name', () => {
  it('reaches every instance', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    const seen = await tally(await named([a.instance, b.instance]), 60);
    expect(Object.keys(seen).toSorted()).toEqual(['orders-a', 'orders-b']);
  });

  it('supports streams', async () => {
    const { instance } = await serverOf('orders-a');
    const { client } = await named([instance]);
    const stream: ClientReadableStream<unknown> = Reflect.apply(Reflect.get(client, 'Count') as () => never, client, [
      'go',
    ]);
    const values: unknown[] = [];
    stream.on('data', (value: unknown) => values.push(value));
    await once(stream, 'end');
    expect(values).toEqual([1, 2]);
  });

  it('calls added instances, and stops calling removed instances, without an error', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    const world = await named([a.instance]);
    expect(await tally(world, 5)).toEqual({ 'orders-a': 5 });
    world.view.become([a.instance, b.instance]);
    await expect.poll(() => tally(world, 10)).toHaveProperty('orders-b');
    world.view.become([b.instance]);
    await expect.poll(() => tally(world, 10)).toEqual({ 'orders-b': 10 });
  });

  it('gets no error when an instance dies between its calls, and reports it to the registry', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    const world = await named([a.instance, b.instance]);
    await expect.poll(async () => Object.keys(await tally(world, 20)).length).toBe(2);
    a.server.forceShutdown();
    await expect.poll(() => world.suspects).toContain('orders-a refused');
    expect(await tally(world, 20)).toEqual({ 'orders-b': 20 });
  });

  it('moves to another instance when another process refuses a call, and avoids that process from then on', async () => {
    const { instance } = await serverOf('orders-a');
    const world = await named([await startOtherServer(), instance]);
    const seen = await tally(world, 60);
    expect(seen).toEqual({ 'orders-a': 60 });
    await expect.poll(() => world.suspects).toContain('orders-stranger misdirected');
  });

  it('retries in grpc-js if the instances declare the method idempotent', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    a.behaviour.isBroken = true;
    const methods = { 'Toy/Who': { idempotent: true } };
    const world = await named([
      { ...a.instance, methods },
      { ...b.instance, methods },
    ]);
    expect(await tally(world, 100)).toEqual({ 'orders-b': 100 });
    expect(a.behaviour.calls).toBeGreaterThan(0);
  });

  it('retries all calls that were in flight to an instance that died', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    const methods = { 'Toy/Who': { idempotent: true } };
    const world = await named([{ ...a.instance, methods }]);
    a.behaviour.isHolding = true;
    const calls = Array.from({ length: 100 }, () => world.who('who', 10_000));
    await expect.poll(() => a.behaviour.calls).toBe(100);
    world.view.become([
      { ...a.instance, methods },
      { ...b.instance, methods },
    ]);
    await expect
      .poll(() => world.calls.explain('orders').protocols.flatMap(({ instances }) => instances).length)
      .toBe(2);
    a.server.forceShutdown();
    const values = (await Promise.all(calls)).map(({ error, value }) => error?.details ?? value);
    expect(new Set(values)).toEqual(new Set(['orders-b']));
  });

  it('does not retry a call that its caller has cancelled', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    const methods = { 'Toy/Who': { idempotent: true } };
    const world = await named([
      { ...a.instance, methods },
      { ...b.instance, methods },
    ]);
    const calls = (): number => a.behaviour.calls + b.behaviour.calls;
    const settle: unknown[] = [];
    const call: { cancel(): void } = Reflect.apply(Reflect.get(world.client, 'Who') as () => never, world.client, [
      'hold',
      (error: ServiceError | null) => void settle.push(error?.code),
    ]);
    await expect.poll(calls).toBe(1);
    call.cancel();
    await expect.poll(() => settle).toEqual([status.CANCELLED]);
    expect(Object.values(await tally(world, 60)).reduce((sum, count) => sum + count)).toBe(60);
    expect(calls()).toBe(61);
  });

  it('sends no call to an instance that is CRITICAL', async () => {
    const [{ instance }, dead] = [await serverOf('orders-a'), instanceAt('orders-dead', await deadPort())];
    const world = await named([instance, { ...dead, state: 'CRITICAL' }]);
    expect(await tally(world, 10)).toEqual({ 'orders-a': 10 });
    expect(world.suspects).toEqual([]);
    world.view.become([{ ...dead, state: 'CRITICAL' }]);
    await expect.poll(async () => (await world.who()).error?.details).toContain('1 is CRITICAL');
  });

  it('reports the outcome of each call to load and breaker', async () => {
    const { instance } = await serverOf('orders-a');
    const world = await named([instance]);
    await world.who();
    expect((await world.who('fail')).error).toMatchObject({ code: status.NOT_FOUND, details: 'toy not found' });
    expect((await world.who('hold', 50)).error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(world.suspects).toEqual(['orders-a timeout']);
    const node = [...world.calls.grpcRoute('orders').stations][0];
    expect([node?.inFlight, node?.lastSuccessAt]).toEqual([0, expect.any(Number)]);
  });

  it('ejects an instance that fails fast after the fewest errors', async () => {
    const [a, b] = [await serverOf('orders-a'), await serverOf('orders-b')];
    a.behaviour.isBroken = true;
    const seen = await tally(await named([a.instance, b.instance]), 200);
    expect(seen['error 14'] ?? 0).toBeLessThanOrEqual(5);
  });
});

describe('a grpc-js client of a service without a callable instance', () => {
  it('reports that the service is unknown', async () => {
    const world = await named([]);
    world.view.become([], 'unknown');
    const { error } = await world.who();
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('UNKNOWN_SERVICE') });
  });

  it('reports that no instance offers gRPC', async () => {
    const { error } = await (await named([instanceAt('orders-a', 1, 'tcp')])).who();
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('NO_ENDPOINT') });
  });

  it('reports that no registry has answered', async () => {
    const view = await named([], { catalogWaitMs: 20 });
    view.view.status = 'waiting';
    const { error } = await view.who();
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('NO_CATALOG') });
  });

  it('reports at once that no instance listens', async () => {
    const { error } = await (await named([instanceAt('orders-a', await deadPort())])).who();
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('ECONNREFUSED') });
  });

  it('reports that the name is invalid', async () => {
    const { error } = await (await named([], {}, 'No_Name')).who();
    expect(error).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('is not the name of a service'),
    });
  });
});

const notInstalled = () => Promise.reject(new Error("Cannot find package '@grpc/grpc-js'"));

describe('registerGrpcResolver', () => {
  it('names the package to install if grpc-js is missing', async () => {
    const parts = { time: systemTime, wake() {}, route: () => expect.fail(), load: notInstalled };
    const registered = registerGrpcResolver(parts);
    await expect(registered).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(registered).rejects.toThrow('npm install @grpc/grpc-js');
  });

  it('refuses an invalid scheme', async () => {
    const parts = { time: systemTime, wake() {}, route: () => expect.fail() };
    await expect(registerGrpcResolver(parts, { scheme: 'Roll call' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});
