import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import { runConcurrently, compare, runSequentially, startLawFixture } from './law-fixture.js';
import type { LawFixture, Pair, PairReport } from './law-fixture.js';
import { endAll } from './spawn.js';

/** A deadline that is enough on a slow machine, too. */
const TERMS = { deadlineMs: 15_000, idempotent: true };
/** Less than any answer of `slow` takes. */
const SHORT_DEADLINE = { deadlineMs: 100, idempotent: true };
/** From the call that times out to the second burst, ms: longer than any first ejection. */
const SETTLED_MS = 6_000;
/** The same, and more than half of the steady answers take on a busy machine. */
const SHORT_DEADLINE_BESIDE = { deadlineMs: 200, idempotent: true };
const STEADY = { concurrent: 60, forMs: 6_000 };
/** grpc-js takes no message above 4 MiB. */
const TOO_LARGE_BYTES = 5 * 1024 * 1024;

const burstOf1000 = (pair: Pair): Promise<PairReport> =>
  runSequentially(pair, (caller) => caller.burst('find', 1_000, TERMS));

describe('one idle, healthy instance', () => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(1);
  }, 60_000);
  afterEach(() => fixture.endCallers());
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  it.each(PROTOCOLS)('answers bursts of 1,000 and 5,000 calls over %s', async (over) => {
    const pair = await fixture.pair(over);
    const burst = (calls: number): Promise<readonly string[]> =>
      compare(`burst-${calls}`, () => runSequentially(pair, (caller) => caller.burst('find', calls, TERMS)));
    expect([...(await burst(1_000)), ...(await burst(5_000))]).toEqual([]);
  });

  it('answers a burst after a call whose deadline was too short, at once and later', async () => {
    const pairs = await Promise.all(PROTOCOLS.map((over) => fixture.pair(over)));
    const found: string[] = [];
    for (const pair of pairs) {
      const late = await runConcurrently(pair, (caller) => caller.burst('slow', 1, SHORT_DEADLINE));
      expect(late.rollcall.failed).toEqual({ DEADLINE_EXCEEDED: 1 });
      found.push(...(await compare('burst-after-short-deadline', () => burstOf1000(pair))));
    }
    await pass(SETTLED_MS);
    for (const pair of pairs) found.push(...(await compare('burst-6s-later', () => burstOf1000(pair))));
    expect(found).toEqual([]);
  });

  it.each(PROTOCOLS)('answers steady calls over %s beside single ones whose deadline is too short', async (over) => {
    const pair = await fixture.pair(over);
    const found = await compare('steady-beside-short-deadlines', () =>
      runConcurrently(pair, async (caller) => {
        const steady = caller.closed('read', TERMS, STEADY);
        await pass(STEADY.forMs / 4);
        await caller.burst('slow', 1, SHORT_DEADLINE_BESIDE);
        await pass(STEADY.forMs / 2);
        await caller.burst('slow', 1, SHORT_DEADLINE_BESIDE);
        return steady;
      }),
    );
    expect(found).toEqual([]);
  });

  it('answers a burst over gRPC after one message that it refuses for its size', async () => {
    const pair = await fixture.pair('grpc');
    const refused = await runConcurrently(pair, (caller) => caller.large('find', TOO_LARGE_BYTES, TERMS));
    expect(refused.bare.failed).toEqual({ 8: 1 });
    const found = await compare('burst-after-too-large', () =>
      runSequentially(pair, (caller) => caller.burst('find', 200, TERMS)),
    );
    expect(found).toEqual([]);
  });
});
