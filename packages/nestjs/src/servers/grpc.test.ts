import { connect } from 'node:http2';
import { once } from 'node:events';
import type { Client, ClientReadableStream, ClientWritableStream } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import type { Inherited } from '@rollcall/client';
import type { DeadlineContext } from '../calls/deadline-context.js';
import { callClient, clientsOf, createGrpcFixture, metadataOf } from '../grpc.fixture.js';
import type { GrpcFixture, CallResult } from '../grpc.fixture.js';
import { INHERITANCE, MEMBERSHIP } from '../inject.js';
import { Gate } from '../nest.fixture.js';
import type { Membership } from '../registration/membership.js';

const CALL = {
  'rollcall-replica': 'replica-1',
  'rollcall-instance': 'orders-1',
  'rollcall-nonce': 'nonce-123',
  'rollcall-purpose': 'beat',
  'rollcall-mac': 'ab',
};

async function served() {
  const fixture = await createGrpcFixture();
  const { orders, health } = clientsOf(`127.0.0.1:${fixture.rollcall.port}`);
  return { ...fixture, orders, health };
}

const check = (health: Client, entries: Readonly<Record<string, string>>): Promise<CallResult> =>
  callClient(health, 'Check', {}, metadataOf(entries));

/** A request that is a stream, open. */
function gathering(orders: Client): {
  call: ClientWritableStream<object>;
  result: Promise<Pick<CallResult, 'error' | 'value'>>;
} {
  let call: ClientWritableStream<object> | null = null;
  const result = new Promise<Pick<CallResult, 'error' | 'value'>>((resolve) => {
    call = Reflect.apply(Reflect.get(orders, 'Gather'), orders, [
      (error: CallResult['error'], value: unknown) => resolve({ error, value }),
    ]);
  });
  return { call: call!, result };
}

const inFlight = (fixture: GrpcFixture): number => fixture.module.get<Membership>(MEMBERSHIP).inFlight.count;

describe('a gRPC server', () => {
  it('is announced with its actual port', async () => {
    const { rollcall } = await served();
    expect(rollcall.events).toEqual(['start', 'register']);
    expect(rollcall.registered).toEqual([
      { protocol: 'grpc', host: '127.0.0.1', port: expect.any(Number), tls: false },
    ]);
    expect(rollcall.port).toBeGreaterThan(0);
  });

  it('answers the calls of its application as before, with their errors', async () => {
    const { orders } = await served();
    const found = await callClient(orders, 'Find', { id: '7' }, metadataOf({}));
    expect(found).toMatchObject({ error: null, value: { id: '7', status: 'found' } });
    const failed = await callClient(orders, 'Fail', { id: '7' }, metadataOf({}));
    expect(failed.error).toMatchObject({ code: 5, details: 'no such order' });
  });
});

describe('Heartbeat-1 over gRPC', () => {
  it('is answered by the standard health service, with the id and the nonce as metadata', async () => {
    const { health, rollcall } = await served();
    const { error, value, head } = await check(health, CALL);
    expect([error, value]).toEqual([null, { status: 1 }]);
    expect(head?.get('rollcall-instance')).toEqual(['orders-1']);
    expect(head?.get('rollcall-nonce')).toEqual(['nonce-123']);
    expect(rollcall.questions).toEqual([
      { replica: 'replica-1', instance: 'orders-1', nonce: 'nonce-123', purpose: 'beat', mac: 'ab' },
    ]);
  });

  it('ends with our FIN, after the answer', async () => {
    const { rollcall } = await served();
    const session = connect(`http://127.0.0.1:${rollcall.port}`);
    const closed = once(session, 'close');
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...CALL,
    });
    stream.end(Buffer.alloc(5)).resume();
    expect((await once(stream, 'trailers'))[0]).toMatchObject({ 'grpc-status': '0' });
    await closed;
  });

  it('answers an identity check for any expected id, and leaves the connection open', async () => {
    const { orders, health, rollcall } = await served();
    const { head } = await check(health, { 'rollcall-instance': 'orders-2' });
    expect(head?.get('rollcall-instance')).toEqual(['orders-1']);
    expect(head?.get('rollcall-nonce')).toEqual([]);
    expect(rollcall.questions).toEqual([expect.objectContaining({ instance: 'orders-2' })]);
    expect((await callClient(orders, 'Find', { id: '7' }, metadataOf({}))).error).toBeNull();
  });

  it('leaves other checks to the health service of the application', async () => {
    const { health, rollcall } = await served();
    expect((await check(health, {})).error).toMatchObject({ code: 12 });
    expect(rollcall.questions).toEqual([]);
  });
});

describe('a gRPC request for another process', () => {
  it('is refused with a status before anything runs', async () => {
    const { orders } = await served();
    const { error } = await callClient(orders, 'Find', { id: '7' }, metadataOf({ 'rollcall-target': 'orders-2' }));
    expect(error).toMatchObject({ code: 14, details: expect.stringContaining('This is orders-1') });
    expect(error?.metadata.get('rollcall-misdirected')).toEqual(['orders-1']);
  });

  it('is refused as a stream if requested', async () => {
    const { orders } = await served();
    const entries = { 'rollcall-target': 'orders-2', 'rollcall-refusal': 'stream' };
    const { error } = await callClient(orders, 'Find', { id: '7' }, metadataOf(entries));
    expect(error).toMatchObject({ code: 14, details: expect.stringContaining('refused') });
  });

  it('is accepted if it is for this one', async () => {
    const { orders } = await served();
    const { error } = await callClient(orders, 'Find', { id: '7' }, metadataOf({ 'rollcall-target': 'orders-1' }));
    expect(error).toBeNull();
  });
});

describe('a gRPC request with a deadline', () => {
  it('passes its rest on to the calls of its handler', async () => {
    const { orders, module } = await served();
    const fixture = module.get<DeadlineContext>(INHERITANCE);
    fixture.expectCalls();
    fixture.expectCalls();
    let left: Inherited | null = null;
    const gate = module.get(Gate);
    const pass = gate.pass.bind(gate);
    gate.pass = () => {
      left = fixture.current();
      return pass();
    };
    gate.open();
    await callClient(
      orders,
      'Slow',
      { id: '7' },
      metadataOf({ 'rollcall-deadline-ms': '800', 'rollcall-attempt': '2' }),
    );
    expect(left).toMatchObject({ deadlineAt: 800, isRetry: true });
    await callClient(orders, 'Slow', { id: '7' }, metadataOf({}));
    expect(left).toBeNull();
  });

  it('is refused before the handler runs if the deadline has passed', async () => {
    const { orders } = await served();
    const { error } = await callClient(orders, 'Find', { id: '7' }, metadataOf({ 'rollcall-deadline-ms': '0' }));
    expect(error).toMatchObject({ code: 4, details: expect.stringContaining('stopped waiting') });
  });
});

describe('a gRPC server that shuts down', () => {
  it('lets a call in progress finish', async () => {
    const fixture = await served();
    const slow = callClient(fixture.orders, 'Slow', { id: '7' }, metadataOf({}));
    await fixture.gate.entered;
    expect(inFlight(fixture)).toBe(1);
    const { inFlight: work } = fixture.module.get<Membership>(MEMBERSHIP);
    expect(work.describe()).toMatch(/^grpc .*Orders\/Slow \(for \d+ ms\)$/);
    let isClosed = false;
    const closing = fixture.app.close().then(() => (isClosed = true));
    await fixture.time.advanceBy(1_000);
    expect([fixture.rollcall.events.includes('drain'), isClosed]).toEqual([true, false]);
    fixture.gate.open();
    expect(await slow).toMatchObject({ error: null, value: { status: 'done' } });
    await expect.poll(() => inFlight(fixture)).toBe(0);
    await fixture.time.advanceBy(1_000);
    await closing;
  });

  it('does not wait for a request that lasts as long as its caller likes', async () => {
    const fixture = await served();
    const { call, result } = gathering(fixture.orders);
    call.write({ id: '1' });
    await fixture.gate.entered;
    expect(inFlight(fixture)).toBe(1);
    const closing = fixture.app.close();
    await fixture.time.advanceBy(100);
    await closing;
    expect((await result).error).not.toBeNull();
  });

  it('waits for the answer to such a request if its end has arrived before', async () => {
    const fixture = await served();
    const { call, result } = gathering(fixture.orders);
    call.write({ id: '1' });
    call.end({ id: '2' });
    await fixture.gate.entered;
    const { inFlight: work } = fixture.module.get<Membership>(MEMBERSHIP);
    await expect.poll(() => work.awaited({ since: 0, pulledUntil: 0 })).toBe(1);
    const closing = fixture.app.close();
    await fixture.time.advanceBy(1_000);
    fixture.gate.open();
    expect(await result).toMatchObject({ error: null, value: { id: '1,2', status: 'done' } });
    await expect.poll(() => inFlight(fixture)).toBe(0);
    await fixture.time.advanceBy(1_000);
    await closing;
  });

  it('does not wait for a stream without an end', async () => {
    const fixture = await served();
    const follow: (message: object) => ClientReadableStream<unknown> = Reflect.get(fixture.orders, 'Follow');
    const stream = Reflect.apply(follow, fixture.orders, [{ id: 'for ever' }]);
    const broken = once(stream, 'error');
    await fixture.gate.entered;
    expect(inFlight(fixture)).toBe(1);
    const closing = fixture.app.close();
    await fixture.time.advanceBy(100);
    await closing;
    await broken;
  });
});
