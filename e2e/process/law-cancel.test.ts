import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { setTimeout as pass } from 'node:timers/promises';
import { compare, startLawFixture, runUnderLoad, warmUp, runConcurrently } from './law-fixture.js';
import type { LawFixture, PairReport } from './law-fixture.js';
import { endAll } from './spawn.js';

/** Calls that break beside an aborted call are not repeated, so that they are counted. */
const TERMS = { deadlineMs: 15_000, idempotent: false };
const ABORTS = { calls: 20_000, concurrent: 200, afterMs: 12 };
const BARE_ABORTS = { ...ABORTS, calls: 2_000 };
/** Reads time out, on the connections of writes that must not be executed twice. */
const LOAD = {
  rates: { slow: 200, book: 100 },
  terms: { slow: { deadlineMs: 30, idempotent: true }, book: { deadlineMs: 5_000, idempotent: false } },
};
const LOAD_MS = 7_000;

const findOtherOutcomes = ({ rollcall }: PairReport): readonly string[] =>
  Object.keys(rollcall.failed).filter((code) => code !== 'CANCELLED');

/** Writes that failed, and reads that failed for another reason than their deadline. */
const findSideEffects = ({ rollcall }: PairReport): readonly string[] =>
  rollcall.failures
    .filter(({ verb, code }) => verb === 'book' || code !== 'DEADLINE_EXCEEDED')
    .map(({ verb, code, text }) => `${verb} ${code} ${text}`)
    .slice(0, 5);

const failedWrites = ({ failures }: PairReport['rollcall']): number =>
  failures.filter(({ verb }) => verb === 'book').length;

const writes = ({ rollcall, bare }: PairReport): string =>
  `failed_writes=${failedWrites(rollcall)} bare_failed_writes=${failedWrites(bare)}`;

describe('abandoned calls over gRPC', () => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(1);
  }, 60_000);
  afterEach(() => fixture.endCallers());
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  it(`end CANCELLED, ${ABORTS.calls} of them, and fail nothing else`, async () => {
    const pair = await fixture.pair('grpc');
    const run = (): Promise<PairReport> =>
      runConcurrently(pair, (caller) => caller.abort('book', TERMS, caller.client === 'bare' ? BARE_ABORTS : ABORTS));
    expect(await compare('aborted', run, { findViolations: findOtherOutcomes })).toEqual([]);
  });

  it('fail no write on the same connections when their deadlines end them', async () => {
    const pair = await fixture.pair('grpc');
    await warmUp([pair]);
    const run = (): Promise<readonly PairReport[]> => runUnderLoad([pair], LOAD, () => pass(LOAD_MS));
    expect(
      await compare('late-reads-beside-writes', run, { findViolations: findSideEffects, details: writes }),
    ).toEqual([]);
    expect(fixture.executedTwice).toEqual([]);
  });
});
