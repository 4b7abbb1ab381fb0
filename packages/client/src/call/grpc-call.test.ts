import { noMeter, parseOptions, silentLog, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { ECHO, grpcToy } from '../transport/grpc/grpc.fixture.js';
import { GrpcStatusError } from '../transport/grpc/message.js';
import { deadPort } from '../transport/transport.fixture.js';
import type { Toy } from '../transport/transport.fixture.js';
import { FakeView } from './calls.fixture.js';
import { Calls } from './calls.js';
import { callFields } from './policy/service-options.js';

const TIMED = { deadlineMs: 10_000 };

async function toy(id: string): Promise<Toy> {
  const made = await grpcToy();
  made.id = id;
  onTestFinished(() => made.close());
  return made;
}

function instanceOf(id: string, port: number, protocol: 'grpc' | 'tcp' = 'grpc'): Instance {
  return createInstance({ id, endpoints: [{ protocol, host: '127.0.0.1', port, tls: false }] });
}

function callsTo(...instances: readonly Instance[]) {
  const suspects: string[] = [];
  const calls = new Calls({
    time: systemTime,
    random: seededRandom(1),
    meter: noMeter,
    log: silentLog,
    services: { service: () => new FakeView(instances), settle: () => Promise.resolve(), names: () => [] },
    options: parseOptions(callFields, {}),
    suspect: (id, outcome) => suspects.push(`${id} ${outcome}`),
  });
  onTestFinished(() => calls.close());
  return { calls, suspects };
}

describe('a gRPC call by name', () => {
  it('resolves with the result of the method’s own deserializer', async () => {
    const service = await toy('a');
    const { calls } = callsTo(instanceOf('a', service.port));
    expect(await calls.grpc('orders', ECHO, { id: 7 })).toEqual({ id: 7 });
    expect(service.received).toEqual([{ id: 7 }]);
  });

  it('moves to another instance when no server or another process answers, and reports it to the registry', async () => {
    const [other, service] = [await toy('payments-7'), await toy('c')];
    const { calls, suspects } = callsTo(
      instanceOf('a', await deadPort()),
      instanceOf('b', other.port),
      instanceOf('c', service.port),
    );
    for (let n = 0; n < 12; n += 1) expect(await calls.grpc('orders', ECHO, n, TIMED)).toBe(n);
    expect(other.received).toEqual([]);
    expect(new Set(suspects)).toEqual(new Set(['a refused', 'b misdirected']));
  });

  it('is repeated after a broken connection only if it is idempotent', async () => {
    const [broken, service] = [await toy('a'), await toy('b')];
    broken.habit = 'hang-up';
    const { calls } = callsTo(instanceOf('a', broken.port), instanceOf('b', service.port));
    const failures: unknown[] = [];
    for (let n = 0; n < 8; n += 1) await calls.grpc('orders', ECHO, n, TIMED).catch((error) => failures.push(error));
    expect(failures[0]).toMatchObject({ code: 'TRANSPORT', attempts: [{ instance: 'a', outcome: 'closed' }] });
    const again = callsTo(instanceOf('a', broken.port), instanceOf('b', service.port)).calls;
    for (let n = 0; n < 8; n += 1) {
      expect(await again.grpc('orders', ECHO, n, { ...TIMED, idempotent: true })).toBe(n);
    }
  });

  it('rejects with the status of the service, which does not count against the instance', async () => {
    const service = await toy('a');
    service.habit = 'fail';
    const { calls, suspects } = callsTo(instanceOf('a', service.port));
    for (let n = 0; n < 6; n += 1) {
      const failed = calls.grpc('orders', ECHO, 1);
      await expect(failed).rejects.toMatchObject({
        code: 'REMOTE',
        message: expect.stringContaining('no order found'),
      });
      await expect(failed).rejects.toMatchObject({ cause: expect.any(GrpcStatusError) });
    }
    expect([suspects, calls.isEjected('a')]).toEqual([[], false]);
  });

  it('ends at its deadline', async () => {
    const service = await toy('a');
    service.habit = 'hold';
    const { calls } = callsTo(instanceOf('a', service.port));
    await expect(calls.grpc('orders', ECHO, 1, { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('is refused if no instance offers gRPC', async () => {
    const { calls } = callsTo(instanceOf('a', 1, 'tcp'));
    await expect(calls.grpc('orders', ECHO, 1)).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
  });

  it('is refused for a streaming method', () => {
    const { calls } = callsTo();
    expect(() => calls.grpc('orders', { ...ECHO, responseStream: true }, 1)).toThrow(
      '/toys.Toy/Echo answers with a stream',
    );
  });
});
