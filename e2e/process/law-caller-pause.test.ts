import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import type { LawCaller, Report } from './law-caller.js';
import { runConcurrently, startLawFixture, printFigures, findShortfalls } from './law-fixture.js';
import type { LawFixture } from './law-fixture.js';
import { endAll } from './spawn.js';

const RATES = { find: 300 };
const TERMS = { find: { deadlineMs: 4_500, idempotent: true } };
const CALM_MS = 700;
const PAUSE_MS = 10_000;
const AFTER_PAUSE_MS = 1_500;
/** Callers wake up one after the other: each makes its backlog of 3,000 calls at once. */
const STAGGER_MS = 1_500;
/**
 * The share of the backlog that may overtake a call, or as much as with the bare client: instances are not equally
 * fast. Last in, first out would be nearly 1.
 */
const MAX_OVERTAKING_SHARE = 0.5;

/** Stops the process, or only its event loop. */
const PAUSES = {
  'a blocked event loop': (caller: LawCaller) => caller.block(PAUSE_MS),
  SIGSTOP: async (caller: LawCaller) => {
    caller.child.kill('SIGSTOP');
    await pass(PAUSE_MS);
    caller.child.kill('SIGCONT');
  },
};

/** By how many places a call was executed later than the order of the calls implies, at worst. */
function maxOvertaking(executed: readonly string[], name: string): number {
  const order = [...new Set(executed)]
    .filter((id) => id.startsWith(`${name}-`))
    .map((id) => Number(id.split('-').at(-1)));
  const expectedPlaces = new Map(order.toSorted((one, other) => one - other).map((turn, place) => [turn, place]));
  return Math.max(0, ...order.map((turn, place) => place - expectedPlaces.get(turn)!));
}

describe.each([
  [1, 'a blocked event loop'],
  [3, 'SIGSTOP'],
] as const)('with %i instances', (instances, kind) => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(instances);
  }, 60_000);
  afterEach(() => fixture.endCallers());
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  it(`a caller sends the calls that queued up behind ${kind} for 10 s in order`, async () => {
    const pairs = await Promise.all(PROTOCOLS.map((over) => fixture.pair(over)));
    let turn = 0;
    const lived = async (caller: LawCaller): Promise<Report> => {
      await pass(STAGGER_MS * turn++);
      await caller.start('load', RATES, TERMS);
      await pass(CALM_MS);
      await PAUSES[kind](caller);
      await pass(AFTER_PAUSE_MS);
      return caller.stop('load');
    };
    const reports = await Promise.all(pairs.map((pair) => runConcurrently(pair, lived)));
    const executed = fixture.executed('find');
    const late = pairs.map(({ rollcall, bare }) => [
      maxOvertaking(executed, rollcall.name),
      maxOvertaking(executed, bare.name),
    ]);
    for (const [index, report] of reports.entries()) {
      printFigures(
        `caller-${kind.replaceAll(' ', '-')}-${instances}`,
        report,
        `overtaken=${late[index]?.join(' bare_overtaken=')}`,
      );
    }
    expect(reports.flatMap(findShortfalls)).toEqual([]);
    const most = (MAX_OVERTAKING_SHARE * RATES.find * PAUSE_MS) / 1_000;
    expect(late.filter(([ours = 0, bare = 0]) => ours > Math.max(most, bare))).toEqual([]);
  });
});
