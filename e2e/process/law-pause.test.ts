import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import { compare, startLawFixture, runUnderLoad, warmUp } from './law-fixture.js';
import type { LawFixture } from './law-fixture.js';
import { endAll } from './spawn.js';

/** Calls per second, by each of the two callers. */
const LOAD = {
  rates: { find: 125, book: 75 },
  terms: { find: { deadlineMs: 5_000, idempotent: true }, book: { deadlineMs: 5_000, idempotent: false } },
};
const PAUSES_MS = [1_500, 3_000];
const CALM_MS = 700;
const AFTERMATH_MS = 1_000;

describe.each([1, 3])('with %i instances', (instances) => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(instances);
  }, 60_000);
  afterEach(() => fixture.endCallers());
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  const signal = (name: NodeJS.Signals): void => fixture.instances.forEach(({ child }) => child.kill(name));

  it.each(PROTOCOLS)('a pause of all at once fails no call over %s', async (over) => {
    const pair = await fixture.pair(over);
    await warmUp([pair]);
    const found: string[] = [];
    for (const pauseMs of PAUSES_MS) {
      const run = async (): Promise<void> => {
        await pass(CALM_MS);
        signal('SIGSTOP');
        await pass(pauseMs);
        signal('SIGCONT');
        await pass(AFTERMATH_MS);
      };
      found.push(...(await compare(`pause-${pauseMs}-of-${instances}`, () => runUnderLoad([pair], LOAD, run))));
    }
    expect(fixture.executedTwice).toEqual([]);
    expect(found).toEqual([]);
  });
});
