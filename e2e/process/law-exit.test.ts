import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failedBySecond, findGuesses, startLawFixture, printFigures, runUnderLoad, warmUp } from './law-fixture.js';
import type { LawFixture, PairReport } from './law-fixture.js';
import { endAll } from './spawn.js';

const LOAD = { rates: { book: 100 }, terms: { book: { deadlineMs: 5_000, idempotent: false } } };
const CALM_MS = 700;
const BETWEEN_MS = 700;

describe('three instances over HTTP', () => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(3);
  }, 60_000);
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  it('execute no call twice when they call process.exit one after the other', async () => {
    const reports = await runUnderLoad(await warmUp([await fixture.pair('http')]), LOAD, async () => {
      await pass(CALM_MS);
      for (const instance of fixture.instances) {
        instance.child.kill('SIGUSR2');
        await instance.child.exited;
        await fixture.relaunch(instance);
        await pass(BETWEEN_MS);
      }
    });
    const executed = new Set(fixture.executed('book'));
    const lost = ({ rollcall, bare }: PairReport): string =>
      [rollcall, bare]
        .map(({ failures }) => failures.filter(({ id }) => executed.has(id)).length)
        .join(' bare_failed_but_executed=');
    for (const report of reports)
      printFigures('exit', report, `failed_but_executed=${lost(report)} ${failedBySecond(report)}`);
    expect(fixture.executedTwice).toEqual([]);
    expect(reports.flatMap(findGuesses)).toEqual([]);
  });
});
