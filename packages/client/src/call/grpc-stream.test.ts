import { noMeter, parseOptions, silentLog, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GrpcMethod } from '../transport/grpc/message.js';
import type { MessageSource } from '../transport/grpc/upload.js';
import { deadPort } from '../transport/transport.fixture.js';
import { FakeView } from './calls.fixture.js';
import { Calls } from './calls.js';
import type { GrpcCall } from './grpc-call.js';
import {
  breaker,
  HARMLESS,
  impatient,
  instanceAt,
  Kept,
  method,
  MAX_CONCURRENT,
  Tap,
  TOY,
  toy,
} from './grpc-stream.fixture.js';
import { callFields } from './policy/service-options.js';

function callsTo(...instances: readonly Instance[]) {
  const calls = new Calls({
    time: systemTime,
    random: seededRandom(1),
    meter: noMeter,
    log: silentLog,
    services: { service: () => new FakeView(instances), settle: () => Promise.resolve(), names: () => [] },
    options: parseOptions(callFields, {}),
    suspect: () => {},
  });
  onTestFinished(() => calls.close());
  const begin = <Input>(called: GrpcMethod<Input>, message: Input | MessageSource<Input>, options?: GrpcCall) => {
    const kept = new Kept();
    const call = calls.grpcStream('toys', called, message, kept, { deadlineMs: 10_000, ...options });
    return { kept, cancel: () => call.cancel(), over: kept.over };
  };
  return { calls, begin };
}

describe('a gRPC method that answers with a stream', () => {
  it('delivers each message, and the end', async () => {
    const { begin } = callsTo(instanceAt('a', (await toy()).port));
    const { kept, over } = begin(TOY.Count, 3);
    await over;
    expect([kept.values, kept.end]).toEqual([[1, 2, 3], 'complete']);
  });

  it('moves to another instance when no server listens, and after a broken connection if its proto declares it idempotent', async () => {
    const [dead, broken, { port }] = [await deadPort(), await breaker(), await toy()];
    const there = [instanceAt('dead', dead), instanceAt('broken', broken.port), instanceAt('c', port)];
    for (let n = 0; n < 12; n += 1) {
      const { kept, over } = callsTo(...there).begin({ ...TOY.Count, ...HARMLESS }, 1);
      await over;
      expect([kept.values, kept.end]).toEqual([[1], 'complete']);
    }
    const outcomes = new Set<unknown>();
    for (let n = 0; n < 12; n += 1) {
      const { kept, over } = callsTo(...there.slice(1)).begin(TOY.Count, 1);
      await over;
      outcomes.add(kept.end === 'complete' ? kept.end : kept.end?.code);
    }
    expect([broken.requests > 0, outcomes.has('TRANSPORT')]).toEqual([true, true]);
  });

  it('is cancelled at its server when its caller unsubscribes', async () => {
    const made = await toy();
    const { begin } = callsTo(instanceAt('a', made.port));
    const { cancel, kept } = begin(TOY.Count, -1);
    await expect.poll(() => made.received).toEqual([-1]);
    cancel();
    await expect.poll(() => made.cancelled).toBe(1);
    expect([kept.values, kept.end]).toEqual([[], null]);
  });
});

describe('a gRPC method that takes a stream', () => {
  it('gets each message, and returns one answer', async () => {
    const made = await toy();
    const { begin } = callsTo(instanceAt('a', made.port));
    const tap = new Tap([1, 2]);
    const { kept, over } = begin(TOY.Sum, tap);
    await expect.poll(() => made.received).toEqual([1, 2]);
    tap.next(4);
    tap.complete();
    await over;
    expect([kept.values, kept.end]).toEqual([[7], 'complete']);
  });

  it('may be answered before the end of its messages; the rest is not requested', async () => {
    const { begin } = callsTo(instanceAt('a', (await toy()).port));
    const tap = new Tap([1, -1]);
    const { kept, over } = begin(TOY.Sum, tap);
    await over;
    expect([kept.values, kept.end, tap.isWanted]).toEqual([[-1], 'complete', false]);
    tap.next(3);
    tap.complete();
  });

  it.each([
    ['with a value', TOY.Sum, [-1], 'complete'],
    ['with an end', TOY.Chat, ['over'], 'complete'],
    ['with a status', TOY.Chat, ['wrong'], { code: 'REMOTE' }],
  ] as const)(
    'may be answered %s before the end of its messages, which frees its place for later calls',
    async (_how, called, first, end) => {
      const made = await toy();
      const { begin } = callsTo(instanceAt('a', made.port));
      for (let n = 0; n < 2 * MAX_CONCURRENT; n += 1) {
        const { kept, over } = begin<unknown>(called, new Tap<unknown>(first), { deadlineMs: 2_000 });
        await over;
        expect(kept.end).toEqual(end === 'complete' ? end : expect.objectContaining(end));
      }
      const { kept, over } = begin(TOY.Count, 1);
      await over;
      expect(kept.values).toEqual([1]);
    },
  );

  it('may be answered while the server does not read the buffered messages', async () => {
    const made = await impatient();
    const { begin, calls } = callsTo(instanceAt('a', made.port));
    const large = 'x'.repeat(300_000);
    for (let n = 0; n < 6; n += 1) {
      const { kept, over } = begin<string>(TOY.Sum, new Tap([large], true), { deadlineMs: 2_000 });
      await over;
      expect([kept.values, kept.end]).toEqual([[0], 'complete']);
      expect(await calls.grpc('toys', method('Take', false, false), large, { deadlineMs: 2_000 })).toBe(0);
    }
    expect(made.connections()).toBe(1);
  });

  it('exchanges messages in both directions, if it also answers with a stream', async () => {
    const { begin } = callsTo(instanceAt('a', (await toy()).port));
    const tap = new Tap(['hello']);
    const { kept, over } = begin(TOY.Chat, tap);
    await expect.poll(() => kept.values).toEqual(['hello!']);
    tap.next('bye');
    await expect.poll(() => kept.values).toEqual(['hello!', 'bye!']);
    tap.complete();
    await over;
    expect(kept.end).toBe('complete');
  });

  it('moves to another instance until a message was requested', async () => {
    const [dead, { port }] = [await deadPort(), await toy()];
    for (let n = 0; n < 8; n += 1) {
      const tap = new Tap([n], true);
      const { kept, over } = callsTo(instanceAt('dead', dead), instanceAt('b', port)).begin(TOY.Sum, tap);
      await over;
      expect([kept.values, tap.subscriptions]).toEqual([[n], 1]);
    }
  });

  it('is not repeated after a message was requested, even if declared idempotent', async () => {
    const [one, other] = [await breaker(), await breaker()];
    const { begin } = callsTo(instanceAt('a', one.port), instanceAt('b', other.port));
    const tap = new Tap([1]);
    const { kept, over } = begin({ ...TOY.Sum, ...HARMLESS }, tap, { idempotent: true });
    await over;
    expect(kept.end).toMatchObject({ code: 'TRANSPORT', attempts: [{ outcome: 'closed' }] });
    expect([one.requests + other.requests, tap.subscriptions, tap.isWanted]).toEqual([1, 1, false]);
  });

  it('fails with the error of its source, and the server sees a cancelled call', async () => {
    const made = await toy();
    const { begin, calls } = callsTo(instanceAt('a', made.port));
    const tap = new Tap([1]);
    const { kept, over } = begin(TOY.Sum, tap);
    await expect.poll(() => made.received).toEqual([1]);
    const cause = new Error('the file ended');
    tap.error(cause);
    await over;
    expect(kept.end).toMatchObject({ code: 'TRANSPORT', cause, attempts: [{ outcome: 'spoiled' }] });
    await expect.poll(() => made.cancelled).toBe(1);
    expect(calls.isEjected('a')).toBe(false);
  });

  it('fails if a message cannot be encoded, even the first', async () => {
    const { begin } = callsTo(instanceAt('a', (await toy()).port));
    const circle: unknown[] = [];
    circle.push(circle);
    const { kept, over } = begin(TOY.Chat, new Tap<unknown>([circle]));
    await over;
    expect(kept.end).toMatchObject({ code: 'TRANSPORT', attempts: [{ outcome: 'spoiled' }] });
  });

  it('fails if messages arrive faster than they can be written, before they fill the memory', async () => {
    const made = await toy();
    const { begin } = callsTo(instanceAt('a', made.port));
    const large = 'x'.repeat(1_048_576);
    const { kept, over } = begin(TOY.Chat, new Tap(Array.from({ length: 40 }, () => large)));
    await over;
    expect(kept.end).toMatchObject({
      code: 'TRANSPORT',
      message: expect.stringContaining('send the messages more slowly'),
    });
  });

  it('stops requesting messages after a cancel or after its deadline', async () => {
    const made = await toy();
    const { begin } = callsTo(instanceAt('a', made.port));
    const taps = [new Tap([1]), new Tap([1])] as const;
    const { cancel, kept } = begin(TOY.Sum, taps[0]);
    const late = begin(TOY.Sum, taps[1], { deadlineMs: 50 });
    await expect.poll(() => made.received).toEqual([1, 1]);
    cancel();
    await late.over;
    expect(late.kept.end).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect([kept.end, taps[0].isWanted, taps[1].isWanted]).toEqual([null, false, false]);
    await expect.poll(() => made.cancelled).toBe(2);
  });

  it('stops requesting messages when it is cancelled during a request', async () => {
    const made = await toy();
    const { begin } = callsTo(instanceAt('a', made.port));
    // from now on there is a connection, and a source is subscribed to at once
    await begin(TOY.Count, 1).over;
    const ending = new AbortController();
    const tap = new Tap([1]);
    const source: MessageSource<number> = {
      subscribe: (observer) => {
        const subscription = tap.subscribe(observer);
        ending.abort();
        return subscription;
      },
    };
    const { kept } = begin(TOY.Sum, source, { signal: ending.signal });
    expect([tap.subscriptions, tap.isWanted]).toEqual([1, false]);
    await expect.poll(() => made.cancelled).toBe(1);
    expect([kept.values, kept.end]).toEqual([[], expect.objectContaining({ code: 'CANCELLED' })]);
  });

  it('refuses at once what is no stream of messages, and is no call of one message', () => {
    const { begin, calls } = callsTo();
    expect(() => begin(TOY.Sum, 1)).toThrow('pass an Observable');
    expect(() => calls.grpc('toys', TOY.Sum, 1)).toThrow('/toys.Toy/Sum takes a stream of messages: call it with');
  });
});
